"""The difference between what is wanted and what is there, as a flat list of steps (pure).

    for each resource, in the order in which it must be made:
        missing ─▶ create or upload       differs ─▶ update       as wanted ─▶ nothing
    at the end: the rights that only an earlier config needed ─▶ withdrawn
                the configs and Models that no rollback needs any more ─▶ delete

Each step has a reason that a user reads and, where something changes, its fields old and new.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, assert_never

from portside.deploy.current.current import (
    BEYOND_REPAIR,
    SETTLED,
    BucketNow,
    Current,
    EndpointNow,
    Live,
    Owned,
)
from portside.deploy.desired.resources import (
    TAG_PROJECT,
    TAG_VERIFIED,
    Artifact,
    Bucket,
    Desired,
    Endpoint,
    EndpointConfig,
    GivenRole,
    Image,
    Kind,
    Model,
    Repository,
    Resource,
    Role,
    ScalableTarget,
    ScalingPolicy,
)
from portside.deploy.plan.difference import Change, by_name, differences, without_values
from portside.deploy.plan.prune import prune_steps
from portside.deploy.plan.role_step import given_role_steps, narrow_steps, role_steps
from portside.deploy.plan.scaling_step import (
    keeps_capacity,
    policy_steps,
    release_steps,
    target_steps,
)
from portside.deploy.plan.step import Step, Verb, create, step
from portside.deploy.plan.tag_step import check_ours, tag_steps
from portside.errors import DeployError

__all__ = ["Step", "Verb", "plan", "plan_removal"]

_REMOVAL_ORDER = (
    Kind.ALARM,
    Kind.SCALING_POLICY,
    Kind.SCALABLE_TARGET,
    Kind.ENDPOINT,
    Kind.CONFIG,
    Kind.MODEL,
    Kind.ARTIFACT,
    Kind.IMAGE,
    Kind.REPOSITORY,
    Kind.ROLE,
)
"""What points at others goes first; the bucket is shared and stays."""


def plan(desired: Desired, current: Current) -> tuple[Step, ...]:
    """The steps from `current` to `desired`, in order; none where nothing differs.

    Raises `DeployError` where a resource of that name is not this project's.
    """
    steps = [
        found for resource in desired.resources for found in _steps(resource, desired, current)
    ]
    return (*steps, *narrow_steps(desired, current), *prune_steps(desired, current))


def plan_removal(owned: tuple[Owned, ...]) -> tuple[Step, ...]:
    """The steps that remove what a project owns."""
    return tuple(
        Step(
            verb=Verb.DELETE,
            kind=kind,
            name=found.name,
            reason="made by this project",
            existing=found.target,
        )
        for kind in _REMOVAL_ORDER
        for found in owned
        if found.kind is kind
    )


def _steps(resource: Resource, desired: Desired, current: Current) -> list[Step]:
    match resource:
        case Bucket():
            return _bucket_steps(resource, current.bucket)
        case Artifact():
            there = resource.key in current.artifact_keys
            return [] if there else [_upload_step(resource)]
        case Repository():
            return _repository_steps(resource, current)
        case Image():
            there = resource.data.digest in current.image_digests
            return [] if there else [_push_step(resource, current)]
        case Role():
            return role_steps(resource, desired, current)
        case GivenRole():
            return given_role_steps(resource, desired, current)
        case Model():
            return _model_steps(resource, desired, current)
        case EndpointConfig():
            return _config_steps(resource, desired, current)
        case Endpoint():
            return _endpoint_steps(resource, desired, current)
        case ScalableTarget():
            return target_steps(resource, desired, current)
        case ScalingPolicy():
            return policy_steps(resource, desired, current)
        case _:
            assert_never(resource)


def _upload_step(artifact: Artifact) -> Step:
    size_bytes = artifact.data.size_bytes
    return step(Verb.UPLOAD, artifact, "is not on S3 yet", size_bytes=size_bytes)


def _push_step(image: Image, current: Current) -> Step:
    blobs = image.data.blobs
    missing = [size for digest, size in blobs.items() if digest not in current.layer_digests]
    reason = "is not in its repository yet"
    if len(missing) < len(blobs):
        reason += f"; {len(blobs) - len(missing)} of its {len(blobs)} blobs are"
    return step(Verb.UPLOAD, image, reason, size_bytes=sum(missing))


def _bucket_steps(bucket: Bucket, now: BucketNow | None) -> list[Step]:
    if now is None:
        return [create(bucket)]
    wanted = BucketNow()
    pairs = (
        ("Encryption", now.is_encrypted, wanted.is_encrypted),
        ("PublicAccessBlock", now.is_private, wanted.is_private),
        ("Versioning", now.is_versioned, wanted.is_versioned),
    )
    changes = tuple(
        Change(field=field, old=old, new=new) for field, old, new in pairs if old != new
    )
    return [step(Verb.UPDATE, bucket, "is not kept as it should be", changes)] if changes else []


def _repository_steps(repository: Repository, current: Current) -> list[Step]:
    tags = current.repositories.get(repository.name)
    if tags is None:
        return [create(repository)]
    check_ours(f"repository `{repository.name}`", tags, repository.tags[TAG_PROJECT])
    return tag_steps(repository, tags)


def _model_steps(model: Model, desired: Desired, current: Current) -> list[Step]:
    """With what changes against the Model of the same variant that runs now."""
    if (now := current.models.get(model.name)) is not None:
        return tag_steps(model, now.tags)
    for endpoint, live in _lives(desired, current):
        for variant in desired.configs[endpoint.config_name].variants:
            before = live.models.get(variant["VariantName"])
            if variant["ModelName"] == model.name and before is not None:
                changes = without_values(differences(before, model.fields))
                return [step(Verb.CREATE, model, "differs from what runs", changes)]
    return [create(model)]


def _config_steps(config: EndpointConfig, desired: Desired, current: Current) -> list[Step]:
    if (now := current.configs.get(config.name)) is not None:
        return tag_steps(config, now.tags)
    for endpoint, live in _lives(desired, current):
        if endpoint.config_name == config.name:
            changes = differences(
                _shown(live.variants, live.settings), _shown(config.variants, config.settings)
            )
            reason = "differs from what runs" if changes else "takes the new Model"
            return [step(Verb.CREATE, config, reason, changes)]
    return [create(config)]


def _lives(desired: Desired, current: Current) -> list[tuple[Endpoint, Live]]:
    found = [(endpoint, current.endpoints.get(endpoint.name)) for endpoint in desired.endpoints]
    return [(endpoint, now.live) for endpoint, now in found if now and now.live]


def _shown(variants: list[dict[str, Any]], settings: dict[str, Any]) -> dict[str, Any]:
    """A weight of 1 is AWS's own where nobody sets one. BC ProductionVariant."""
    return {
        name: {"InitialVariantWeight": 1.0} | fields for name, fields in by_name(variants).items()
    } | settings


def _endpoint_steps(endpoint: Endpoint, desired: Desired, current: Current) -> list[Step]:
    """An endpoint's way to the wanted config, from whatever state it is in."""
    now = current.endpoints.get(endpoint.name)
    if now is None:
        return [create(endpoint), _wait(endpoint, "until it is InService"), _verify(endpoint)]
    check_ours(f"endpoint `{endpoint.name}`", now.tags, desired.project)
    release = release_steps(endpoint, desired, current)
    if now.status in BEYOND_REPAIR:
        # SageMaker allows nothing but deletion of a Failed endpoint.
        return [
            *release,
            step(Verb.DELETE, endpoint, f"is {now.status}"),
            step(Verb.CREATE, endpoint, "is wanted anew"),
            _wait(endpoint, "until it is InService"),
            _verify(endpoint),
        ]
    moved = replace(endpoint, retain_capacity=keeps_capacity(endpoint, desired, current))
    if now.config_name == endpoint.config_name:
        wait = [] if now.status == "InService" else _settling(moved, now)
        is_verified = now.tags.get(TAG_VERIFIED) == endpoint.config_name
        verify = [] if is_verified else [_verify(endpoint)]
        return [*release, *wait, *tag_steps(endpoint, now.tags), *verify]
    _check_kind(endpoint, now, desired)
    changes = differences(
        {"EndpointConfigName": now.config_name}, {"EndpointConfigName": endpoint.config_name}
    )
    return [
        *_calm(endpoint, now),
        *release,
        step(Verb.UPDATE, moved, f"runs `{now.config_name}`", changes),
        _wait(endpoint, "until it is InService"),
        *tag_steps(endpoint, now.tags),
        _verify(endpoint),
    ]


def _check_kind(endpoint: Endpoint, now: EndpointNow, desired: Desired) -> None:
    """SageMaker refuses an update from instances to serverless. DG serverless-endpoints."""
    wanted = desired.configs[endpoint.config_name].variants
    if (
        now.live is not None
        and any("ServerlessConfig" in variant for variant in wanted)
        and any("InstanceType" in variant for variant in now.live.variants)
    ):
        raise DeployError(
            f"cannot make the endpoint `{endpoint.name}` serverless: it runs on instances, and "
            "SageMaker updates no endpoint from instances to serverless",
            hint="run `portside destroy` first, or give the new endpoint another name",
        )


def _calm(endpoint: Endpoint, now: EndpointNow) -> list[Step]:
    """Wait for what is going on to end, on whatever config; an update mends what is stuck."""
    if now.status in SETTLED:
        return []
    reason = f"is {now.status}"
    return [Step(verb=Verb.WAIT, kind=endpoint.kind, name=endpoint.name, reason=reason)]


def _settling(endpoint: Endpoint, now: EndpointNow) -> list[Step]:
    """To the wanted config from an endpoint that names it, and is on its way to one of the two.

    Of an update that is going on nobody tells where it leads to.
    """
    if now.status not in {"Updating", "RollingBack"}:
        return [_wait(endpoint, f"is {now.status}")]
    return [
        *_calm(endpoint, now),
        step(Verb.UPDATE, endpoint, "if it ends on another config"),
        _wait(endpoint, "until it is InService"),
    ]


def _verify(endpoint: Endpoint) -> Step:
    """Once for each config: a tag keeps which one was shown to answer."""
    return step(Verb.VERIFY, endpoint, "a sample is asked before anything old goes")


def _wait(endpoint: Endpoint, reason: str) -> Step:
    return step(Verb.WAIT, endpoint, reason)
