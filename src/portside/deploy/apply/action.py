"""The function that carries out each step: one for each verb and kind, found in one table.

Each may be done twice: what is there already, or gone already, is no error.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias, TypeVar

from portside.aws import autoscaling, ecr, iam, repository, s3, sagemaker
from portside.aws.session import Session
from portside.deploy.apply.role_check import check_role
from portside.deploy.apply.watch import Watch
from portside.deploy.current.current import PolicyNow, TargetNow
from portside.deploy.desired.name import POLICY, ROLE_PATH
from portside.deploy.desired.resources import (
    TAG_VERIFIED,
    Artifact,
    Endpoint,
    EndpointConfig,
    GivenRole,
    Image,
    Kind,
    Model,
    Repository,
    Role,
    ScalableTarget,
    ScalingPolicy,
)
from portside.deploy.plan.step import Step, Verb

W = TypeVar("W")


class Progress(Protocol):
    """Is told how one step goes on."""

    def status(self, text: str) -> None:
        """What it waits for."""

    def sent(self, count_bytes: int) -> None:
        """Bytes sent since the last call."""

    def note(self, text: str) -> None:
        """Something that the user should know, and that stays to be read."""


class Pusher(Protocol):
    """Brings an image into its repository; layers that are there already are not sent."""

    def __call__(self, image: Image, progress: Progress) -> None: ...


class Verifier(Protocol):
    """Whether an endpoint answers as it should; raises `DeployError` where it does not."""

    def __call__(self, endpoint: Endpoint, progress: Progress) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What steps are carried out with.

    `patiently` tries again what a role that was just made keeps from working.
    """

    session: Session
    watch: Watch
    patiently: Callable[[Callable[[], None]], None]
    push: Pusher | None = None
    verify: Verifier | None = None


Action: TypeAlias = Callable[[Tools, Step, Progress], None]


def _wanted(step: Step, sort: type[W]) -> W:
    if not isinstance(step.wanted, sort):
        raise TypeError(f"the step `{step.id}` needs a {sort.__name__}")
    return step.wanted


def _tags(step: Step) -> tuple[dict[str, str], list[str]]:
    """Those that are set, and those that go."""
    tags = {one.field: str(one.new) for one in step.changes if one.new is not None}
    return tags, [one.field for one in step.changes if one.new is None]


# --- What endpoints are made from -----------------------------------------------


def _create_bucket(tools: Tools, step: Step, _: Progress) -> None:
    s3.create_bucket(tools.session, step.name)
    s3.secure_bucket(tools.session, step.name)


def _secure_bucket(tools: Tools, step: Step, _: Progress) -> None:
    s3.secure_bucket(tools.session, step.name)


def _upload_artifact(tools: Tools, step: Step, progress: Progress) -> None:
    artifact = _wanted(step, Artifact)
    s3.upload(
        tools.session,
        artifact.data.file,
        bucket=artifact.bucket,
        key=artifact.key,
        progress=progress.sent,
    )


def _delete_artifact(tools: Tools, step: Step, _: Progress) -> None:
    bucket, _sep, key = step.name.removeprefix("s3://").partition("/")
    s3.delete_object(tools.session, bucket, key)


def _create_repository(tools: Tools, step: Step, _: Progress) -> None:
    wanted = _wanted(step, Repository)
    ecr.create_repository(tools.session, _named(tools, step.name), tags=wanted.tags)


def _delete_repository(tools: Tools, step: Step, _: Progress) -> None:
    repository.delete_repository(tools.session, _named(tools, step.name))


def _named(tools: Tools, name: str) -> ecr.Repository:
    return ecr.Repository(account=tools.session.account, name=name)


def _tag_repository(tools: Tools, step: Step, _: Progress) -> None:
    tags, removed = _tags(step)
    repository.set_tags(tools.session, _named(tools, step.name), tags=tags, removed=removed)


def _push_image(tools: Tools, step: Step, progress: Progress) -> None:
    if tools.push is None:
        raise TypeError("nobody was given who pushes images")
    tools.push(_wanted(step, Image), progress)


def _create_role(tools: Tools, step: Step, _: Progress) -> None:
    role, session = _wanted(step, Role), tools.session
    iam.create_role(session, role.name, path=ROLE_PATH, trust=role.trust, tags=role.tags)
    iam.put_policy(session, role.name, policy_name=POLICY, policy=role.policy)


def _update_role(tools: Tools, step: Step, _: Progress) -> None:
    role, session = _wanted(step, Role), tools.session
    iam.update_trust(session, role.name, trust=role.trust)
    iam.put_policy(session, role.name, policy_name=POLICY, policy=role.policy)


def _tag_role(tools: Tools, step: Step, _: Progress) -> None:
    tags, removed = _tags(step)
    iam.set_tags(tools.session, step.name, tags=tags, removed=removed)


def _delete_role(tools: Tools, step: Step, _: Progress) -> None:
    iam.delete_role(tools.session, step.name, policy_name=POLICY)


def _check_role(tools: Tools, step: Step, progress: Progress) -> None:
    check_role(tools.session, _wanted(step, GivenRole), note=progress.note)


# --- SageMaker ------------------------------------------------------------------


def _create_model(tools: Tools, step: Step, _: Progress) -> None:
    model = _wanted(step, Model)
    tools.patiently(
        lambda: sagemaker.create_model(
            tools.session,
            model.name,
            image=model.image,
            model_data=model.model_data,
            environment=model.environment,
            role_arn=model.role_arn,
            vpc=model.vpc,
            tags=model.tags,
        )
    )


def _delete_model(tools: Tools, step: Step, _: Progress) -> None:
    sagemaker.delete_model(tools.session, step.name)


def _create_config(tools: Tools, step: Step, _: Progress) -> None:
    config = _wanted(step, EndpointConfig)
    sagemaker.create_endpoint_config(
        tools.session,
        config.name,
        variants=config.variants,
        settings=config.settings,
        tags=config.tags,
    )


def _delete_config(tools: Tools, step: Step, _: Progress) -> None:
    sagemaker.delete_endpoint_config(tools.session, step.name)


def _create_endpoint(tools: Tools, step: Step, _: Progress) -> None:
    wanted = _wanted(step, Endpoint)
    sagemaker.create_endpoint(
        tools.session, wanted.name, config_name=wanted.config_name, tags=wanted.tags
    )


def _update_endpoint(tools: Tools, step: Step, _: Progress) -> None:
    wanted = _wanted(step, Endpoint)
    now = sagemaker.describe_endpoint(tools.session, wanted.name)
    # An update that was running when this one was planned may have led there.
    if now is not None and now.config_name == wanted.config_name:
        return
    sagemaker.update_endpoint(
        tools.session,
        wanted.name,
        config_name=wanted.config_name,
        deployment=wanted.deployment,
        retain_capacity=wanted.retain_capacity,
    )


def _wait_for_endpoint(tools: Tools, step: Step, progress: Progress) -> None:
    wanted = step.wanted.config_name if isinstance(step.wanted, Endpoint) else None
    tools.watch.until_in_service(step.name, config_name=wanted, note=progress.status)


def _tag_endpoint(tools: Tools, step: Step, _: Progress) -> None:
    now = sagemaker.describe_endpoint(tools.session, step.name)
    _set_tags(tools, step, arn=now.arn if now else None)


def _tag_model(tools: Tools, step: Step, _: Progress) -> None:
    found = sagemaker.describe_model(tools.session, step.name) or {}
    _set_tags(tools, step, arn=found.get("ModelArn"))


def _tag_config(tools: Tools, step: Step, _: Progress) -> None:
    found = sagemaker.describe_endpoint_config(tools.session, step.name) or {}
    _set_tags(tools, step, arn=found.get("EndpointConfigArn"))


def _set_tags(tools: Tools, step: Step, *, arn: str | None) -> None:
    if arn is not None:
        tags, removed = _tags(step)
        sagemaker.set_tags(tools.session, arn, tags=tags, removed=removed)


def _verify_endpoint(tools: Tools, step: Step, progress: Progress) -> None:
    """The tag comes last: who is killed before it, or fails, is asked again."""
    if tools.verify is None:
        raise TypeError("nobody was given who verifies endpoints")
    endpoint = _wanted(step, Endpoint)
    tools.verify(endpoint, progress)
    now = sagemaker.describe_endpoint(tools.session, endpoint.name)
    if now is not None:
        tags = {TAG_VERIFIED: endpoint.config_name}
        config = sagemaker.describe_endpoint_config(tools.session, endpoint.config_name) or {}
        for arn in (config.get("EndpointConfigArn"), now.arn):
            if arn:
                sagemaker.set_tags(tools.session, arn, tags=tags, removed=[])


def _delete_endpoint(tools: Tools, step: Step, progress: Progress) -> None:
    tools.watch.until_gone(step.name, note=progress.status)


# --- Application Auto Scaling ---------------------------------------------------


def _put_target(tools: Tools, step: Step, _: Progress) -> None:
    wanted = _wanted(step, ScalableTarget)
    target = autoscaling.Target(
        resource_id=wanted.name,
        dimension=wanted.dimension,
        least=wanted.least,
        most=wanted.most,
    )
    autoscaling.register_target(tools.session, target)


def _delete_target(tools: Tools, step: Step, _: Progress) -> None:
    if not isinstance(step.existing, TargetNow):
        raise TypeError(f"the step `{step.id}` does not say which capacity it is about")
    autoscaling.deregister_target(
        tools.session,
        resource_id=step.existing.resource_id,
        dimension=step.existing.dimension,
    )


def _put_policy(tools: Tools, step: Step, _: Progress) -> None:
    wanted = _wanted(step, ScalingPolicy)
    policy = autoscaling.Policy(
        name=wanted.name,
        resource_id=wanted.resource_id,
        dimension=wanted.dimension,
        configuration=wanted.configuration,
    )
    arn = autoscaling.put_policy(tools.session, policy, policy_type=wanted.policy_type)
    if wanted.alarm is not None:
        autoscaling.put_alarm(tools.session, wanted.alarm, action=arn)


def _delete_policy(tools: Tools, step: Step, _: Progress) -> None:
    if not isinstance(step.existing, PolicyNow):
        raise TypeError(f"the step `{step.id}` does not say which capacity it is about")
    autoscaling.delete_policy(
        tools.session,
        name=step.name,
        resource_id=step.existing.resource_id,
        dimension=step.existing.dimension,
    )


def _delete_alarm(tools: Tools, step: Step, _: Progress) -> None:
    autoscaling.delete_alarm(tools.session, step.name)


ACTIONS: Final[dict[tuple[Verb, Kind], Action]] = {
    (Verb.CREATE, Kind.BUCKET): _create_bucket,
    (Verb.UPDATE, Kind.BUCKET): _secure_bucket,
    (Verb.UPLOAD, Kind.ARTIFACT): _upload_artifact,
    (Verb.DELETE, Kind.ARTIFACT): _delete_artifact,
    (Verb.CREATE, Kind.REPOSITORY): _create_repository,
    (Verb.TAG, Kind.REPOSITORY): _tag_repository,
    (Verb.DELETE, Kind.REPOSITORY): _delete_repository,
    (Verb.UPLOAD, Kind.IMAGE): _push_image,
    (Verb.CREATE, Kind.ROLE): _create_role,
    (Verb.UPDATE, Kind.ROLE): _update_role,
    (Verb.CHECK, Kind.ROLE): _check_role,
    (Verb.TAG, Kind.ROLE): _tag_role,
    (Verb.DELETE, Kind.ROLE): _delete_role,
    (Verb.CREATE, Kind.MODEL): _create_model,
    (Verb.TAG, Kind.MODEL): _tag_model,
    (Verb.DELETE, Kind.MODEL): _delete_model,
    (Verb.CREATE, Kind.CONFIG): _create_config,
    (Verb.TAG, Kind.CONFIG): _tag_config,
    (Verb.DELETE, Kind.CONFIG): _delete_config,
    (Verb.CREATE, Kind.ENDPOINT): _create_endpoint,
    (Verb.UPDATE, Kind.ENDPOINT): _update_endpoint,
    (Verb.WAIT, Kind.ENDPOINT): _wait_for_endpoint,
    (Verb.TAG, Kind.ENDPOINT): _tag_endpoint,
    (Verb.VERIFY, Kind.ENDPOINT): _verify_endpoint,
    (Verb.DELETE, Kind.ENDPOINT): _delete_endpoint,
    (Verb.CREATE, Kind.SCALABLE_TARGET): _put_target,
    (Verb.UPDATE, Kind.SCALABLE_TARGET): _put_target,
    (Verb.DELETE, Kind.SCALABLE_TARGET): _delete_target,
    (Verb.CREATE, Kind.SCALING_POLICY): _put_policy,
    (Verb.UPDATE, Kind.SCALING_POLICY): _put_policy,
    (Verb.DELETE, Kind.SCALING_POLICY): _delete_policy,
    (Verb.DELETE, Kind.ALARM): _delete_alarm,
}
"""Who carries out a step; what is not here, no plan has."""
