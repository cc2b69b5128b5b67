"""Do the steps of a plan, one call each, and wait where SageMaker takes its time.

A step that fails stops the rest; what came before stays. Names are content-addressed,
so running again plans just the steps that are missing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol, TypeAlias, assert_never

from portside.aws import iam, s3, sagemaker
from portside.aws.session import Session
from portside.deploy.plan import Step, Verb
from portside.deploy.resources import (
    POLICY_NAME,
    Artifact,
    Bucket,
    Endpoint,
    EndpointConfig,
    Kind,
    Model,
    Resource,
    Role,
)
from portside.deploy.watch import Watch
from portside.errors import DeployError, RemoteError

ROLE_PATIENCE_S = 60.0
"""How long a new role may take to reach all of AWS; seconds as a rule. IAM is eventually
consistent: IAM User Guide, "Changes that I make are not always immediately visible"."""


_WORDS = {verb: str(verb) for verb in Verb} | {Verb.WAIT: "wait for"}


class Progress(Protocol):
    """Is told how one step goes on."""

    def status(self, text: str) -> None:
        """What it waits for."""

    def sent(self, count_bytes: int) -> None:
        """Bytes sent since the last call."""


Reporter: TypeAlias = Callable[[Step], AbstractContextManager[Progress]]
"""Opens around each step; closes with the step's exception where it fails."""


class Applier:
    """Carries out plans in one account; the clock and the pauses are given."""

    def __init__(
        self,
        session: Session,
        reporter: Reporter,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._session = session
        self._reporter = reporter
        self._watch = Watch(session, sleep=sleep)
        self._sleep = sleep
        self._clock = clock

    def apply(self, steps: tuple[Step, ...]) -> None:
        """Do the steps in order. Raises the first failure, with the step in its words."""
        for step in steps:
            with self._reporter(step) as progress:
                try:
                    self._do(step, progress)
                except RemoteError as error:
                    what = f"{_WORDS[step.verb]} the {step.kind} `{step.name}`"
                    raise DeployError(
                        f"cannot {what}: {error.message}",
                        hint=error.hint or "mend the cause and run the same command again",
                    ) from error

    def _do(self, step: Step, progress: Progress) -> None:
        match step.verb:
            case Verb.CREATE:
                self._create(step.wanted)
            case Verb.UPLOAD:
                self._upload(step, progress)
            case Verb.UPDATE:
                self._update(step.wanted)
            case Verb.WAIT:
                wanted = step.wanted.config_name if isinstance(step.wanted, Endpoint) else None
                self._watch.until_in_service(step.name, config_name=wanted, note=progress.status)
            case Verb.DELETE:
                self._delete(step, progress)
            case _:
                assert_never(step.verb)

    def _create(self, wanted: Resource | None) -> None:
        session = self._session
        match wanted:
            case Bucket(name=name):
                s3.create_bucket(session, name)
            case Role():
                iam.create_role(session, wanted.name, trust=wanted.trust, tags=wanted.tags)
                iam.put_policy(session, wanted.name, policy_name=POLICY_NAME, policy=wanted.policy)
            case Model():
                self._patiently(
                    lambda: sagemaker.create_model(
                        session,
                        wanted.name,
                        image=wanted.image,
                        model_data=wanted.model_data,
                        environment=wanted.environment,
                        role_arn=wanted.role_arn,
                        tags=wanted.tags,
                    )
                )
            case EndpointConfig(name=name):
                sagemaker.create_endpoint_config(
                    session, name, variants=wanted.variants, tags=wanted.tags
                )
            case Endpoint(name=name):
                sagemaker.create_endpoint(
                    session, name, config_name=wanted.config_name, tags=wanted.tags
                )
            case Artifact() | None:
                raise TypeError(f"{wanted} is not made by a create step")

    def _update(self, wanted: Resource | None) -> None:
        session = self._session
        match wanted:
            case Role():
                iam.update_trust(session, wanted.name, trust=wanted.trust)
                iam.put_policy(session, wanted.name, policy_name=POLICY_NAME, policy=wanted.policy)
            case Endpoint(name=name, config_name=config_name):
                now = sagemaker.describe_endpoint(session, name)
                # An update that was running when this one was planned may have led there.
                if now is None or now.config_name != config_name:
                    sagemaker.update_endpoint(session, name, config_name=config_name)
            case _:
                raise TypeError(f"{wanted} cannot be updated")

    def _upload(self, step: Step, progress: Progress) -> None:
        if not isinstance(step.wanted, Artifact):
            raise TypeError(f"{step.wanted} cannot be uploaded")
        artifact = step.wanted
        s3.upload(
            self._session,
            artifact.data.file,
            bucket=artifact.bucket,
            key=artifact.key,
            progress=progress.sent,
        )

    def _delete(self, step: Step, progress: Progress) -> None:
        session, name = self._session, step.name
        match step.kind:
            case Kind.ENDPOINT:
                self._watch.until_gone(name, note=progress.status)
            case Kind.CONFIG:
                sagemaker.delete_endpoint_config(session, name)
            case Kind.MODEL:
                sagemaker.delete_model(session, name)
            case Kind.ARTIFACT:
                bucket, _, key = name.removeprefix("s3://").partition("/")
                s3.delete_object(session, bucket, key)
            case Kind.ROLE:
                iam.delete_role(session, name, policy_name=POLICY_NAME)
            case Kind.BUCKET:
                raise TypeError("a bucket is shared by projects and never deleted by a plan")
            case _:
                assert_never(step.kind)

    def _patiently(self, call: Callable[[], None]) -> None:
        """Try again while a role that was just made has not reached all of AWS."""
        until = self._clock() + ROLE_PATIENCE_S
        while True:
            try:
                return call()
            except RemoteError as error:
                if "assume" not in error.message.lower() or self._clock() > until:
                    raise
            self._sleep(2.0)
