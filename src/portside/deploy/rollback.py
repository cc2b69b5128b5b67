"""Back to an EndpointConfig that an endpoint ran before.

    configs with the project's tag ─▶ versions, newest first ─▶ the Nth before the live one ─▶ steps

A config is never changed, and the last three stay when newer ones come, so going back is one
update and makes nothing anew. Where auto scaling stands in its way (see `scaling_step`), that is
released, and the next deployment registers it anew: who goes back is in a hurry.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from portside.aws import autoscaling, sagemaker
from portside.aws.session import Session
from portside.deploy.current.current import SETTLED, TargetNow
from portside.deploy.current.observe import target_now
from portside.deploy.desired.name import is_addressed, resource_id
from portside.deploy.desired.resources import TAG_PROJECT, TAG_VERIFIED, Endpoint, Kind
from portside.deploy.desired.scaling import INSTANCE_COUNT
from portside.deploy.plan.step import Step, Verb, step
from portside.deploy.run.journal import DONE, Entry
from portside.errors import DeployError

COMMAND: Final = "portside rollback"
"""As the journal has it."""

_LIST: Final = f"{COMMAND} --list --endpoint"


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A config that an endpoint runs or may run: when it was made, and from what."""

    config: str
    created_at: float
    """Seconds since 1970."""
    model_data: tuple[str, ...]
    image: tuple[str, ...]
    """Of each variant's Model, in their order; `gone` where the Model is."""
    instance_types: dict[str, str | None]
    """What each variant runs on, by its name; None for serverless."""
    is_live: bool
    is_verified: bool = False
    """Whether an endpoint was seen to answer with it as it should."""

    @property
    def is_whole(self) -> bool:
        """Whether all that it needs is there still."""
        return "gone" not in self.image


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """An endpoint and its versions, newest first."""

    endpoint: str
    status: str
    versions: tuple[Version, ...]
    targets: tuple[TargetNow, ...]
    """What Application Auto Scaling moves."""


def look_back(session: Session, project: str, endpoint: str) -> Past:
    """The versions of an endpoint. Raises `DeployError` where it is not the project's."""
    now = sagemaker.describe_endpoint(session, endpoint)
    if now is None or sagemaker.list_tags(session, now.arn).get(TAG_PROJECT) != project:
        raise DeployError(
            f"cannot roll back the endpoint `{endpoint}`: "
            + ("it is not deployed" if now is None else f"it is not of the project `{project}`"),
            hint="deploy it first: `portside deploy`"
            if now is None
            else "see what the project has with `portside status`",
        )
    made = {
        one: sagemaker.list_tags(session, one.arn)
        for one in sagemaker.list_endpoint_configs(session, contains=endpoint)
        if one.name == now.config_name or is_addressed(one.name, endpoint)
    }
    found = [
        _version(session, one, live=now.config_name, is_verified=TAG_VERIFIED in tags)
        for one, tags in made.items()
        if one.name == now.config_name or tags.get(TAG_PROJECT) == project
    ]
    versions = sorted(found, key=lambda one: (-one.created_at, one.config))
    live = (one for one in versions if one.is_live)
    ids = [resource_id(endpoint, variant) for one in live for variant in one.instance_types]
    targets = autoscaling.list_targets(session, resource_ids=ids) if ids else []
    return Past(
        endpoint=endpoint,
        status=now.status,
        versions=tuple(versions),
        targets=tuple(target_now(endpoint, target) for target in targets),
    )


def choose(past: Past, *, back: int = 1, to: str | None = None) -> Version:
    """The version of a name, else the `back`th of those made before the one that runs.

    Those that were seen to answer, if any was: who goes back wants what worked.
    Where an earlier state was deployed again, nothing was made before it: then the others count,
    the newest of them first. Raises `DeployError` where there is none.
    """
    if to is not None:
        candidates = [one for one in past.versions if one.config == to]
        back = 1
    else:
        candidates = _earlier(past)
    if len(candidates) < back:
        many = {0: "there is no earlier config to go to", 1: "there is one earlier config"}.get(
            len(candidates), f"there are {len(candidates)} earlier configs"
        )
        raise DeployError(
            f"cannot roll back the endpoint `{past.endpoint}`: "
            + (f"there is no config `{to}` of its own" if to else many),
            hint=f"choose one with `--to` of what `{_LIST} {past.endpoint}` shows"
            if candidates or to
            else "bring an earlier state of its files back, as `git checkout COMMIT` does, then "
            "`portside deploy`; or remove what the project has: `portside destroy`",
        )
    chosen = candidates[back - 1]
    if not chosen.is_whole:
        raise DeployError(
            f"cannot roll back to `{chosen.config}`: a Model that it needs was deleted",
            hint=f"choose another with `--to` of what `{_LIST} {past.endpoint}` shows",
        )
    return chosen


def unfinished(entries: Sequence[Entry], past: Past) -> str | None:
    """The config that the last run was on its way to, if it was a rollback that did not end well.

    It may have arrived all the same, and one more step back would then lead elsewhere.
    """
    if not entries or entries[0].command != COMMAND or entries[0].result == DONE:
        return None
    known = {one.config for one in past.versions}
    update = f"{Verb.UPDATE} {Kind.ENDPOINT} {past.endpoint} to "
    wanted = (step.removeprefix(update) for step in entries[0].steps if step.startswith(update))
    return next((config for config in wanted if config in known), None)


def rollback_steps(past: Past, chosen: Version) -> tuple[Step, ...]:
    """The steps to a version; none where it runs already, and all traffic moves at once.

    Raises `DeployError` where SageMaker takes no update any more.
    """
    live = next((one for one in past.versions if one.is_live), None)
    if chosen.is_live and past.status == "InService":
        return ()
    if past.status == "Failed":
        raise DeployError(
            f"cannot roll back the endpoint `{past.endpoint}`: it is Failed, and SageMaker "
            "lets it only be deleted",
            hint="run `portside deploy`, which makes it anew",
        )
    released = _in_the_way(past, live, chosen)
    is_counted = any(
        target.dimension == INSTANCE_COUNT and target not in released for target in past.targets
    )
    same = live is not None and live.instance_types.keys() == chosen.instance_types.keys()
    wanted = Endpoint(
        name=past.endpoint,
        config_name=chosen.config,
        tags={},
        retain_capacity=is_counted and same,
    )
    calm = () if past.status in SETTLED else (_calm(past),)
    reason = f"runs `{live.config}`" if live else "is wanted so"
    return (
        *calm,
        *map(_release, released),
        step(Verb.UPDATE, wanted, reason),
        step(Verb.WAIT, wanted, "until it is InService"),
    )


def _in_the_way(past: Past, live: Version | None, chosen: Version) -> list[TargetNow]:
    """The targets of variants that go, or that move to other instances."""
    before = live.instance_types if live else {}
    return [
        target
        for target in past.targets
        if (variant := target.resource_id.rpartition("/")[2]) not in chosen.instance_types
        or chosen.instance_types[variant] != before.get(variant)
    ]


def _release(target: TargetNow) -> Step:
    return Step(
        verb=Verb.DELETE,
        kind=Kind.SCALABLE_TARGET,
        name=target.resource_id,
        reason="stands in the way of the update; the next `deploy` registers it anew",
        existing=target,
    )


def _calm(past: Past) -> Step:
    return Step(verb=Verb.WAIT, kind=Kind.ENDPOINT, name=past.endpoint, reason=f"is {past.status}")


def _earlier(past: Past) -> list[Version]:
    others = [one for one in past.versions if not one.is_live]
    others = [one for one in others if one.is_verified] or others
    live = next((one for one in past.versions if one.is_live), None)
    if live is None:
        return others
    older = [one for one in others if one.created_at < live.created_at]
    # One that came later and was never seen to answer is the update that failed.
    return older or [one for one in others if one.is_verified or not live.is_verified]


def _version(session: Session, made: sagemaker.Made, *, live: str, is_verified: bool) -> Version:
    config = sagemaker.describe_endpoint_config(session, made.name) or {}
    variants = config.get("ProductionVariants", [])
    models = [_container(session, variant.get("ModelName", "")) for variant in variants]
    return Version(
        config=made.name,
        created_at=made.created_at,
        model_data=tuple(model.get("ModelDataUrl", "") for model in models),
        image=tuple(model.get("Image", "gone") for model in models),
        instance_types={one["VariantName"]: one.get("InstanceType") for one in variants},
        is_live=made.name == live,
        is_verified=is_verified,
    )


def _container(session: Session, model: str) -> dict[str, Any]:
    found = sagemaker.describe_model(session, model) or {}
    container: dict[str, Any] = found.get("PrimaryContainer", {})
    return container
