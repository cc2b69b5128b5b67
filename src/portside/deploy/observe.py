"""What is there now: only questions to the account, no change."""

from __future__ import annotations

from collections.abc import Iterable

from portside.aws import iam, s3, sagemaker
from portside.aws.session import Session
from portside.deploy.current import Current, EndpointNow, Owned, RoleNow
from portside.deploy.resources import (
    POLICY_NAME,
    TAG_PROJECT,
    Artifact,
    Bucket,
    Desired,
    Endpoint,
    EndpointConfig,
    Kind,
    Model,
    Role,
    artifact_prefix,
    bucket_name,
    role_name,
)


def observe(session: Session, desired: Desired) -> Current:
    """The state of each wanted resource, asked for by its name."""
    bucket, artifacts, role = False, set[str](), None
    models, configs, endpoints = set[str](), set[str](), dict[str, EndpointNow]()
    for wanted in desired.resources:
        match wanted:
            case Bucket(name=name):
                bucket = s3.bucket_exists(session, name)
            case Artifact(bucket=name, key=key):
                if bucket and s3.object_exists(session, name, key):
                    artifacts.add(key)
            case Role(name=name):
                role = _role(session, name)
            case Model(name=name):
                if sagemaker.describe_model(session, name):
                    models.add(name)
            case EndpointConfig(name=name):
                if sagemaker.describe_endpoint_config(session, name):
                    configs.add(name)
            case Endpoint(name=name):
                if now := _endpoint(session, name):
                    endpoints[name] = now
    return Current(
        bucket=bucket,
        artifact_keys=frozenset(artifacts),
        role=role,
        models=frozenset(models),
        configs=frozenset(configs),
        endpoints=endpoints,
    )


def observe_owned(session: Session, project: str) -> tuple[Owned, ...]:
    """Everything in the account that this project made: by its tag, or under its prefix."""
    owned: list[Owned] = []
    for kind, listing in (
        (Kind.ENDPOINT, sagemaker.list_endpoints),
        (Kind.CONFIG, sagemaker.list_endpoint_configs),
        (Kind.MODEL, sagemaker.list_models),
    ):
        names = _tagged(session, listing(session, contains=project), project)
        owned += [Owned(kind=kind, name=name) for name in names]
    bucket = bucket_name(account=session.account, region=session.region)
    keys = s3.list_keys(session, bucket, prefix=artifact_prefix(project))
    owned += [Owned(kind=Kind.ARTIFACT, name=f"s3://{bucket}/{key}") for key in keys]
    role = _role(session, role_name(project))
    if role is not None and role.tags.get(TAG_PROJECT) == project:
        owned.append(Owned(kind=Kind.ROLE, name=role_name(project)))
    return tuple(owned)


def _tagged(session: Session, found: Iterable[tuple[str, str]], project: str) -> list[str]:
    return [
        name for name, arn in found if sagemaker.list_tags(session, arn).get(TAG_PROJECT) == project
    ]


def _role(session: Session, name: str) -> RoleNow | None:
    found = iam.get_role(session, name, policy_name=POLICY_NAME)
    if found is None:
        return None
    return RoleNow(trust=found.trust, policy=found.policy, tags=found.tags)


def _endpoint(session: Session, name: str) -> EndpointNow | None:
    found = sagemaker.describe_endpoint(session, name)
    if found is None:
        return None
    return EndpointNow(
        status=found.status,
        config_name=found.config_name,
        tags=sagemaker.list_tags(session, found.arn),
    )
