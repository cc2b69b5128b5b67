"""After a removal: whether everything is gone, and whether the bucket may go as well.

removed ──▶ asked anew ──▶ nothing left, or an error that names it
bucket  ──▶ whose is what lies in it? ──▶ only this project's ──▶ emptied and removed
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from portside.aws import s3, sagemaker
from portside.aws.session import Session
from portside.deploy.current.current import Owned
from portside.deploy.desired.resources import Kind
from portside.deploy.run.run import is_changing
from portside.errors import DeployError

PATIENCE_S: Final = 30.0
"""How long lists may show what is gone: S3 and SageMaker tell at once, IAM and auto scaling are
eventually consistent. IAM User Guide, "Changes that I make are not always immediately visible"."""


def check_unused(session: Session, owned: Sequence[Owned]) -> None:
    """Raise `DeployError` where an endpoint of somebody else's runs on what would be removed.

    SageMaker itself deletes a config or a Model that is in use, and the endpoint then fails at
    its next update. Source: BC DeleteEndpointConfig.
    """
    ours = {kind: {one.name for one in owned if one.kind is kind} for kind in Kind}
    if not ours[Kind.CONFIG] and not ours[Kind.MODEL]:
        return
    for endpoint in sagemaker.list_endpoints(session):
        if endpoint.name in ours[Kind.ENDPOINT]:
            continue
        now = sagemaker.describe_endpoint(session, endpoint.name)
        name = now.config_name if now else ""
        if name in ours[Kind.CONFIG]:
            raise _in_use(endpoint.name, f"EndpointConfig `{name}`")
        config = sagemaker.describe_endpoint_config(session, name) if name else None
        for variant in (config or {}).get("ProductionVariants", []):
            if variant.get("ModelName") in ours[Kind.MODEL]:
                raise _in_use(endpoint.name, f"Model `{variant['ModelName']}`")


def check_gone(
    look: Callable[[], Sequence[Owned]],
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Ask again what there is. Raises `DeployError` that names what is left."""
    until, pause_s = clock() + PATIENCE_S, 0.5
    while left := look():
        if clock() > until:
            raise DeployError(
                f"something is left: {_named(left)}",
                hint="run `portside destroy` again; if it stays, look at it in AWS's console",
            )
        sleep(pause_s)
        pause_s = min(2 * pause_s, 8.0)


def remove_bucket(session: Session, bucket: str, *, project: str) -> None:
    """Empty and remove Portside's bucket, with the journals of projects that are no more.

    Raises `DeployError` where other projects have something else in it, or a run goes on.
    """
    keys = [key.split("/") for key in s3.list_keys(session, bucket, prefix="")]
    for locked in (key[0] for key in keys if key[1:] == ["lock"]):
        if is_changing(session, locked, bucket=bucket):
            raise DeployError(
                f"cannot remove the bucket `{bucket}`: a run changes the project `{locked}`",
                hint="wait until it ends: `portside status --history` in its folder shows it",
            )
    found = {key[0] for key in keys if key[1:2] not in (["journal"], ["lock"])}
    others = sorted(found - {project})
    if others:
        raise DeployError(
            f"cannot remove the bucket `{bucket}`: other projects have something in it: "
            + ", ".join(f"`{other}`" for other in others),
            hint="destroy those first, or leave out `--bucket`",
        )
    s3.remove_bucket(session, bucket)


def _in_use(endpoint: str, what: str) -> DeployError:
    return DeployError(
        f"cannot remove the {what}: the endpoint `{endpoint}` of somebody else's runs it",
        hint=f"remove or update `{endpoint}` first",
    )


def _named(left: Iterable[Owned]) -> str:
    return ", ".join(f"{one.kind} `{one.name}`" for one in left)
