"""What is there now: only questions to the account, no change.

An unchanged project costs about a dozen of them. What only a change or a removal needs to know
(what runs instead, whose the old configs are) is asked for when there is one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from portside.aws import autoscaling, ecr, iam, repository, s3, sagemaker
from portside.aws.session import Session
from portside.deploy.current.current import (
    BucketNow,
    Current,
    EndpointNow,
    Live,
    MadeNow,
    PolicyNow,
    RoleNow,
    TargetNow,
)
from portside.deploy.current.earlier import KEPT_CONFIGS, earlier_configs
from portside.deploy.desired import name, tag
from portside.deploy.desired.resources import (
    TAG_PROJECT,
    Artifact,
    Bucket,
    Desired,
    Endpoint,
    Image,
    Repository,
    Role,
    ScalableTarget,
    ScalingPolicy,
    model_fields,
)

_SETTINGS = ("DataCaptureConfig", "AsyncInferenceConfig", "KmsKeyId")


def observe(session: Session, desired: Desired) -> Current:
    """The state of each wanted resource, and of what belongs to its endpoints."""
    current = _shared(session, desired)
    for endpoint in desired.endpoints:
        current = _with_endpoint(session, endpoint, desired=desired, current=current)
    return current


def _shared(session: Session, desired: Desired) -> Current:
    """Bucket, artifact, repository, image and roles, each asked for by its name."""
    bucket: BucketNow | None = None
    keys, digests = set[str](), set[str]()
    layers = frozenset[str]()
    repositories = dict[str, dict[str, str]]()
    for wanted in desired.resources:
        match wanted:
            case Bucket(name=own):
                bucket = _bucket(session, own)
            case Artifact(bucket=own, key=key):
                if bucket and s3.object_exists(session, own, key):
                    keys.add(key)
            case Repository(name=own):
                tags = repository.repository_tags(session, repository_of(session, own))
                repositories |= {} if tags is None else {own: tags}
            case Image(repository=own, data=data):
                place = repository_of(session, own)
                if own in repositories and ecr.describe_image(session, place, data.digest):
                    digests.add(data.digest)
                elif own in repositories:
                    layers = ecr.available_layers(session, place, list(data.blobs))
            case _:
                pass
    names = {wanted.name for wanted in desired.resources if isinstance(wanted, Role)}
    roles = {own: role_now(session, own) for own in sorted(names)}
    return Current(
        bucket=bucket,
        artifact_keys=frozenset(keys),
        repositories=repositories,
        image_digests=frozenset(digests),
        layer_digests=layers,
        roles={own: role for own, role in roles.items() if role is not None},
        alarms=_alarms(session, desired),
    )


def _alarms(session: Session, desired: Desired) -> frozenset[str]:
    wanted = [
        found.alarm["AlarmName"]
        for found in desired.resources
        if isinstance(found, ScalingPolicy) and found.alarm
    ]
    return frozenset(alarm for alarm in wanted if autoscaling.alarm_exists(session, alarm))


def _with_endpoint(
    session: Session, endpoint: Endpoint, *, desired: Desired, current: Current
) -> Current:
    """What is known, and what there is of one endpoint."""
    configs = sagemaker.list_endpoint_configs(session, contains=endpoint.name)
    models = sagemaker.list_models(session, contains=endpoint.name)
    now = _endpoint(session, endpoint)
    current = replace(
        current,
        configs=current.configs | _made(configs, endpoint),
        models=current.models | _made(models, endpoint),
        endpoints=current.endpoints | ({endpoint.name: now} if now else {}),
    )
    current = _with_tags(session, endpoint, desired=desired, current=current, made=configs + models)
    current = _with_scaling(session, endpoint, desired=desired, current=current)
    return _with_owners(session, endpoint, desired=desired, current=current, made=configs + models)


def _made(found: list[sagemaker.Made], endpoint: Endpoint) -> dict[str, MadeNow]:
    return {
        one.name: MadeNow(created_at=one.created_at)
        for one in found
        if name.is_addressed(one.name, endpoint.name)
    }


def _endpoint(session: Session, endpoint: Endpoint) -> EndpointNow | None:
    found = sagemaker.describe_endpoint(session, endpoint.name)
    if found is None:
        return None
    return EndpointNow(
        status=found.status,
        config_name=found.config_name,
        tags=sagemaker.list_tags(session, found.arn),
        live=None
        if found.config_name == endpoint.config_name
        else _live(session, found.config_name),
    )


def _live(session: Session, config_name: str) -> Live | None:
    """What an endpoint runs instead of what is wanted, to show what changes."""
    config = sagemaker.describe_endpoint_config(session, config_name)
    if config is None:
        return None
    variants = config["ProductionVariants"]
    models = {
        variant["VariantName"]: sagemaker.describe_model(session, variant.get("ModelName", ""))
        for variant in variants
        if variant.get("ModelName")
    }
    return Live(
        variants=variants,
        settings={key: config[key] for key in _SETTINGS if config.get(key)},
        models={variant: _fields(model) for variant, model in models.items() if model},
    )


def _fields(model: dict[str, Any]) -> dict[str, Any]:
    container = model.get("PrimaryContainer", {})
    return model_fields(
        image=container.get("Image", ""),
        model_data=container.get("ModelDataUrl"),
        environment=container.get("Environment", {}),
        role_arn=model.get("ExecutionRoleArn", ""),
        vpc=model.get("VpcConfig"),
    )


def _with_tags(
    session: Session,
    endpoint: Endpoint,
    *,
    desired: Desired,
    current: Current,
    made: list[sagemaker.Made],
) -> Current:
    """The tags of what an endpoint is to run, where it changes; its own are the last to be set."""
    now = current.endpoints.get(endpoint.name)
    if (
        now is not None
        and now.config_name == endpoint.config_name
        and not tag.added(endpoint.tags, now.tags)
        and not tag.removed(endpoint.tags, now.tags)
    ):
        return current
    variants = desired.configs[endpoint.config_name].variants
    wanted = {endpoint.config_name, *(variant["ModelName"] for variant in variants)}
    tags = {one.name: sagemaker.list_tags(session, one.arn) for one in made if one.name in wanted}
    return replace(
        current,
        configs=_tagged(current.configs, tags),
        models=_tagged(current.models, tags),
    )


def _tagged(found: dict[str, MadeNow], tags: dict[str, dict[str, str]]) -> dict[str, MadeNow]:
    return {own: replace(made, tags=tags.get(own, made.tags)) for own, made in found.items()}


def _with_scaling(
    session: Session, endpoint: Endpoint, *, desired: Desired, current: Current
) -> Current:
    """Targets are asked for where some are wanted, or where an update may take some away."""
    now = current.endpoints.get(endpoint.name)
    wanted = [
        found
        for found in desired.resources
        if isinstance(found, ScalableTarget) and found.endpoint == endpoint.name
    ]
    if now is None or not (wanted or now.config_name != endpoint.config_name):
        return current
    live = now.live.variants if now.live else []
    ids = {found.name for found in wanted}
    ids |= {name.resource_id(endpoint.name, variant["VariantName"]) for variant in live}
    targets = autoscaling.list_targets(session, resource_ids=sorted(ids)) if ids else []
    policies = [
        policy
        for resource_id in sorted({target.resource_id for target in targets})
        for policy in autoscaling.list_policies(session, resource_id=resource_id)
    ]
    alarm = name.wake_alarm(endpoint.name)
    asked = targets and alarm not in current.alarms
    return replace(
        current,
        targets=current.targets + tuple(target_now(endpoint.name, target) for target in targets),
        policies=current.policies + tuple(map(_policy, policies)),
        alarms=current.alarms
        | ({alarm} if asked and autoscaling.alarm_exists(session, alarm) else set()),
    )


def _with_owners(
    session: Session,
    endpoint: Endpoint,
    *,
    desired: Desired,
    current: Current,
    made: list[sagemaker.Made],
) -> Current:
    """Whose the earlier configs and Models are, where there are so many that some may go."""
    earlier = set(earlier_configs(endpoint, current))
    models = {
        found
        for found in current.models
        if name.is_addressed(found, endpoint.name) and found not in desired.models
    }
    variants = len(desired.configs[endpoint.config_name].variants)
    if len(earlier) <= KEPT_CONFIGS and len(models) <= KEPT_CONFIGS * variants:
        return current
    arns = {one.arn: one.name for one in made if one.name in earlier | models}
    ours = {
        own
        for arn, own in arns.items()
        if sagemaker.list_tags(session, arn).get(TAG_PROJECT) == desired.project
    }
    configs = {
        own: replace(current.configs[own], is_ours=own in ours, models=_models_of(session, own))
        for own in earlier
    }
    return replace(
        current,
        configs=current.configs | configs,
        models=current.models
        | {own: replace(current.models[own], is_ours=own in ours) for own in models},
    )


def _models_of(session: Session, config: str) -> frozenset[str]:
    found = sagemaker.describe_endpoint_config(session, config) or {}
    variants = found.get("ProductionVariants", [])
    return frozenset(variant["ModelName"] for variant in variants if variant.get("ModelName"))


def _bucket(session: Session, own: str) -> BucketNow | None:
    found = s3.describe_bucket(session, own)
    if found is None:
        return None
    return BucketNow(
        is_encrypted=found.is_encrypted,
        is_private=found.is_private,
        is_versioned=found.is_versioned,
    )


def repository_of(session: Session, own: str) -> ecr.Repository:
    """A repository of the account, by its name."""
    return ecr.Repository(account=session.account, name=own)


def role_now(session: Session, own: str) -> RoleNow | None:
    """A role with its policies and tags; None where there is none."""
    found = iam.get_role(session, own, policy_name=name.POLICY)
    if found is None:
        return None
    return RoleNow(trust=found.trust, policy=found.policy, tags=found.tags)


def target_now(endpoint: str, target: autoscaling.Target) -> TargetNow:
    """A scalable target of one of an endpoint's variants."""
    return TargetNow(
        endpoint=endpoint,
        resource_id=target.resource_id,
        dimension=target.dimension,
        least=target.least,
        most=target.most,
    )


def _policy(policy: autoscaling.Policy) -> PolicyNow:
    return PolicyNow(
        name=policy.name,
        resource_id=policy.resource_id,
        dimension=policy.dimension,
        configuration=policy.configuration,
    )
