"""From a project to what it wants in an account, with all names and parameters (pure).

    Project, artifact, image ─▶ bucket ─ artifact ─ repository ─ image
                    for each endpoint: role ─ Models ─ EndpointConfig ─ Endpoint ─ scaling

What a Model and an EndpointConfig are made from decides their names, so a change makes new
ones and an unchanged project makes none.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

from portside import __version__, contract
from portside.config import (
    Async,
    EndpointKind,
    InstanceSection,
    Project,
    Realtime,
    Serverless,
    VariantSection,
)
from portside.config import Endpoint as ConfiguredEndpoint
from portside.deploy.desired import name
from portside.deploy.desired.policy import Places, least_policy, trust_policy
from portside.deploy.desired.resources import (
    TAG_DIGEST,
    TAG_NEEDS,
    TAG_PROJECT,
    TAG_REGION,
    TAG_TTL,
    Artifact,
    Bucket,
    Desired,
    Endpoint,
    EndpointConfig,
    GivenRole,
    Image,
    ImageData,
    Model,
    ModelData,
    Repository,
    Resource,
    Role,
    Where,
)
from portside.deploy.desired.scaling import scaling
from portside.deploy.desired.setting import async_inference, data_capture, deployment
from portside.deploy.desired.tag import recorded
from portside.errors import DeployError
from portside.image.reference import runtime_image

DEFAULT_MEMORY_MB: Final = 2048

MEMORY_HEADROOM: Final = 1.25
"""Over what the model held while it was proven, for long requests and the server: an assumption."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shared:
    """What the endpoints of a project share."""

    project: str
    where: Where
    bucket: Bucket
    artifact: Artifact | None
    image: str
    repository: str
    memory_bytes: int | None


def desired(
    project: Project,
    model_data: ModelData | None,
    *,
    where: Where,
    image: ImageData | None = None,
) -> Desired:
    """The resources of a project whose artifact, or image with the model in it, is made.

    Without an image its endpoints run Portside's own, which every local AWS has.
    """
    bucket = Bucket(name=name.bucket_name(account=where.account, region=where.region))
    resources: list[Resource] = [bucket]
    artifact = _artifact(project.name, bucket, model_data) if model_data else None
    if artifact:
        resources.append(artifact)
    ours = runtime_image(account=where.account, region=where.region, version=__version__)
    image_name, repository = str(ours), ours.repository
    if image:
        made, in_it = _image(project, image, where=where)
        resources += [made, in_it]
        image_name, repository = in_it.name, made.name
    shared = _Shared(
        project=project.name,
        where=where,
        bucket=bucket,
        artifact=artifact,
        image=image_name,
        repository=repository,
        memory_bytes=model_data.memory_bytes if model_data else None,
    )
    for endpoint in project.endpoints:
        resources += _endpoint(endpoint, shared)
    return Desired(project=project.name, resources=tuple(resources))


def memory_size_mb(settings: Serverless, measured_bytes: int | None) -> int:
    """The memory size that is set, else the least from 2 GB on that holds what was measured."""
    if settings.memory_size_mb is not None:
        return settings.memory_size_mb
    needed = (measured_bytes or 0) * MEMORY_HEADROOM / 2**20
    for size in contract.SERVERLESS_MEMORY_MB:
        if size >= max(needed, DEFAULT_MEMORY_MB):
            return size
    raise DeployError(
        f"the model does not fit a serverless endpoint: it needs about {needed:,.0f} MB, "
        f"and {contract.SERVERLESS_MEMORY_MB[-1]} is the most",
        hint='set `kind = "realtime"`, or `memory_size_mb` to try it all the same',
    )


def _artifact(project: str, bucket: Bucket, data: ModelData) -> Artifact:
    key = f"{name.artifact_prefix(project)}{data.digest}/model.tar.gz"
    return Artifact(bucket=bucket.name, key=key, data=data)


def _image(project: Project, data: ImageData, *, where: Where) -> tuple[Repository, Image]:
    tags = recorded(_common_tags(project)) | {TAG_PROJECT: project.name}
    repository = Repository(name=name.repository_name(project.name), tags=tags)
    image = Image(
        registry=where.registry,
        repository=repository.name,
        tag=name.image_tag(data.digest),
        data=data,
    )
    return repository, image


def _common_tags(project: Project) -> dict[str, str]:
    """The tags that all endpoints of a project have, for what they share."""
    first, *others = (endpoint.settings.tags for endpoint in project.endpoints)
    return {
        key: value
        for key, value in first.items()
        if all(other.get(key) == value for other in others)
    }


def _endpoint(endpoint: ConfiguredEndpoint, shared: _Shared) -> list[Resource]:
    """All that one endpoint needs, in order; what two variants share stands there once."""
    settings = endpoint.settings
    tags = recorded(settings.tags) | {TAG_PROJECT: shared.project}
    places = _places(endpoint, shared)
    role = _role(endpoint, shared, places=places, tags=tags)
    variants = [
        (variant, _model(endpoint, variant, shared=shared, role=role, tags=tags))
        for variant in _variants(endpoint)
    ]
    config = _config(endpoint, variants, shared=shared, places=places, tags=tags)
    rollout = settings.rollout if isinstance(settings, InstanceSection) else None
    wanted = Endpoint(
        name=endpoint.name,
        config_name=config.name,
        tags=tags | _endpoint_tags(settings, role),
        deployment=deployment(rollout) if rollout else None,
    )
    models = {model.name: model for _, model in variants}
    names = [variant.name for variant, _ in variants]
    return [role, *models.values(), config, wanted, *scaling(endpoint, names)]


def _endpoint_tags(settings: EndpointKind, role: Role | GivenRole) -> dict[str, str]:
    """What is kept with the endpoint alone: its time to live, and what its role was checked for."""
    tags = {TAG_TTL: settings.ttl} if settings.ttl else {}
    if isinstance(role, GivenRole):
        tags[TAG_NEEDS] = name.digest_of([role.arn, role.policy])[: name.DIGEST_LENGTH]
    return tags


def _variants(endpoint: ConfiguredEndpoint) -> tuple[VariantSection, ...]:
    """The variants that are named, else the one that takes all traffic."""
    settings = endpoint.settings
    named = settings.variants if isinstance(settings, Realtime) else ()
    return named or (VariantSection(name=contract.DEFAULT_VARIANT),)


def _places(endpoint: ConfiguredEndpoint, shared: _Shared) -> Places:
    def place(given: str | None, what: str) -> str:
        prefix = name.data_prefix(shared.project, endpoint.name, what)
        return (given or f"s3://{shared.bucket.name}/{prefix}").rstrip("/")

    settings, artifact = endpoint.settings, shared.artifact
    prefix = name.artifact_prefix(shared.project)
    artifacts = f"s3://{artifact.bucket}/{prefix}" if artifact else None
    if isinstance(settings, Async):
        return Places(
            artifacts=artifacts,
            repository=shared.repository,
            input=place(settings.input, "inputs"),
            output=place(settings.output, "outputs"),
            failure=place(settings.failure, "failures"),
        )
    captured = settings.capture if isinstance(settings, Realtime) else None
    return Places(
        artifacts=artifacts,
        repository=shared.repository,
        capture=place(captured.destination, "captured") if captured else None,
    )


def _role(
    endpoint: ConfiguredEndpoint, shared: _Shared, *, places: Places, tags: dict[str, str]
) -> Role | GivenRole:
    where, given = shared.where, endpoint.settings.role
    policy = least_policy(endpoint.name, endpoint.settings, places=places, where=where)
    if given is not None:
        own = given.rpartition("/")[2]
        return GivenRole(
            endpoint=endpoint.name, name=own, arn=given, trust=trust_policy(where), policy=policy
        )
    own = name.role_name(endpoint.name, region=where.region)
    return Role(
        endpoint=endpoint.name,
        name=own,
        arn=f"arn:{where.partition}:iam::{where.account}:role{name.ROLE_PATH}{own}",
        trust=trust_policy(where),
        policy=policy,
        tags=tags | {TAG_REGION: where.region},
    )


def _model(
    endpoint: ConfiguredEndpoint,
    variant: VariantSection,
    *,
    shared: _Shared,
    role: Role | GivenRole,
    tags: dict[str, str],
) -> Model:
    settings = endpoint.settings
    vpc = settings.vpc if isinstance(settings, InstanceSection) else None
    model = Model(
        name="",
        image=shared.image,
        model_data=shared.artifact.name if shared.artifact else None,
        environment=settings.environment | variant.environment,
        role_arn=role.arn,
        tags={},
        vpc={"Subnets": [*vpc.subnets], "SecurityGroupIds": [*vpc.security_groups]}
        if vpc
        else None,
    )
    own, digest = name.addressed(endpoint.name, model.fields)
    return replace(model, name=own, tags=tags | {TAG_DIGEST: digest})


def _config(
    endpoint: ConfiguredEndpoint,
    variants: list[tuple[VariantSection, Model]],
    *,
    shared: _Shared,
    places: Places,
    tags: dict[str, str],
) -> EndpointConfig:
    settings = endpoint.settings
    requested = [
        {"VariantName": variant.name, "ModelName": model.name}
        | _capacity(endpoint, variant, memory_bytes=shared.memory_bytes)
        for variant, model in variants
    ]
    extra: dict[str, Any] = {}
    if isinstance(settings, InstanceSection) and settings.kms_key:
        extra["KmsKeyId"] = settings.kms_key
    if isinstance(settings, Realtime) and settings.capture and places.capture:
        extra["DataCaptureConfig"] = data_capture(
            settings.capture, destination=places.capture, kms_key=settings.kms_key
        )
    if isinstance(settings, Async) and places.output and places.failure:
        extra["AsyncInferenceConfig"] = async_inference(
            settings, output=places.output, failure=places.failure
        )
    own, digest = name.addressed(endpoint.name, {"variants": requested} | extra)
    return EndpointConfig(
        name=own, variants=requested, settings=extra, tags=tags | {TAG_DIGEST: digest}
    )


def _capacity(
    endpoint: ConfiguredEndpoint, variant: VariantSection, *, memory_bytes: int | None
) -> dict[str, Any]:
    """What a variant runs on. BC ProductionVariant."""
    settings = endpoint.settings
    if isinstance(settings, Serverless):
        serverless = {
            "MemorySizeInMB": memory_size_mb(settings, memory_bytes),
            "MaxConcurrency": settings.max_concurrency,
        }
        if settings.provisioned_concurrency is not None:
            serverless["ProvisionedConcurrency"] = settings.provisioned_concurrency
        return {"ServerlessConfig": serverless}
    weight = {"InitialVariantWeight": variant.weight} if _is_named(endpoint) else {}
    return {
        "InstanceType": variant.instance_type or settings.instance_type,
        "InitialInstanceCount": variant.instance_count or settings.instance_count,
    } | weight


def _is_named(endpoint: ConfiguredEndpoint) -> bool:
    return isinstance(endpoint.settings, Realtime) and bool(endpoint.settings.variants)
