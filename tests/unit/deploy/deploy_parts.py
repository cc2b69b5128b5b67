"""Wishes, and the state of an account in which they are fulfilled."""

from __future__ import annotations

from pathlib import Path

from portside.config import Endpoint, Project, Serverless
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
from portside.deploy.desired.desired import desired
from portside.deploy.desired.resources import (
    TAG_VERIFIED,
    Artifact,
    Bucket,
    Desired,
    EndpointConfig,
    GivenRole,
    Image,
    ImageData,
    Model,
    ModelData,
    Repository,
    Role,
    ScalableTarget,
    ScalingPolicy,
    Where,
)
from portside.deploy.desired.resources import Endpoint as WantedEndpoint
from portside.deploy.plan.step import Step

WHERE = Where(account="123456789012", region="eu-west-1")
DATA = ModelData(file=Path("model.tar.gz"), size_bytes=10, digest="ab" * 32)
IMAGE = ImageData(digest=f"sha256:{'12' * 32}", blobs={"sha256:config": 1, "sha256:layer": 99})


def project(*endpoints: Endpoint) -> Project:
    return Project(
        root=Path("/p"),
        name="ner",
        model=None,
        precision="auto",
        handler=None,
        endpoints=endpoints or (Endpoint(name="ner", settings=Serverless()),),
    )


def wanted(
    *endpoints: Endpoint,
    data: ModelData | None = DATA,
    image: ImageData | None = None,
    where: Where = WHERE,
) -> Desired:
    return desired(project(*endpoints), data, where=where, image=image)


def reached(wish: Desired, asked: Desired | None = None, *, status: str = "InService") -> Current:
    """The account in which all of a wish is there; `asked` is what is wanted instead of it."""
    keys, digests, alarms = set[str](), set[str](), set[str]()
    repositories, roles = dict[str, dict[str, str]](), dict[str, RoleNow]()
    models, configs = dict[str, MadeNow](), dict[str, MadeNow]()
    endpoints = dict[str, EndpointNow]()
    targets, policies = list[TargetNow](), list[PolicyNow]()
    bucket: BucketNow | None = None
    for resource in wish.resources:
        match resource:
            case Bucket():
                bucket = BucketNow()
            case Artifact(key=key):
                keys.add(key)
            case Repository(name=name, tags=tags):
                repositories[name] = tags
            case Image(data=data):
                digests.add(data.digest)
            case Role(name=name, trust=trust, policy=policy, tags=tags):
                roles[name] = RoleNow(trust=trust, policy=policy, tags=tags)
            case GivenRole():
                pass
            case Model(name=name):
                models[name] = MadeNow()
            case EndpointConfig(name=name):
                configs[name] = MadeNow()
            case WantedEndpoint(name=name, config_name=config_name, tags=tags):
                endpoints[name] = EndpointNow(
                    status=status,
                    config_name=config_name,
                    tags=tags | {TAG_VERIFIED: config_name},
                    live=live(wish, config_name) if asked else None,
                )
            case ScalableTarget():
                targets.append(
                    TargetNow(
                        endpoint=resource.endpoint,
                        resource_id=resource.name,
                        dimension=resource.dimension,
                        least=resource.least,
                        most=resource.most,
                    )
                )
            case ScalingPolicy():
                policies.append(
                    PolicyNow(
                        name=resource.name,
                        resource_id=resource.resource_id,
                        dimension=resource.dimension,
                        configuration={"DisableScaleIn": False, **resource.configuration},
                    )
                )
                alarms |= {resource.alarm["AlarmName"]} if resource.alarm else set()
    return Current(
        bucket=bucket,
        artifact_keys=frozenset(keys),
        repositories=repositories,
        image_digests=frozenset(digests),
        roles=roles,
        models=models,
        configs=configs,
        endpoints=endpoints,
        targets=tuple(targets),
        policies=tuple(policies),
        alarms=frozenset(alarms),
    )


def live(wish: Desired, config_name: str) -> Live:
    """What AWS tells of an endpoint that runs a config of a wish."""
    config = wish.configs[config_name]
    return Live(
        variants=[{"InitialVariantWeight": 1.0, **variant} for variant in config.variants],
        settings=config.settings,
        models={
            variant["VariantName"]: wish.models[variant["ModelName"]].fields
            for variant in config.variants
        },
    )


def said(steps: tuple[Step, ...]) -> list[tuple[str, str]]:
    return [(str(step.verb), str(step.kind)) for step in steps]
