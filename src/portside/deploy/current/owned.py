"""Everything in an account that a project made, for its removal."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from portside.aws import autoscaling, iam, repository, s3, sagemaker
from portside.aws.session import Session
from portside.deploy.current.current import Owned
from portside.deploy.current.observe import repository_of, role_now, target_now
from portside.deploy.desired import name
from portside.deploy.desired.resources import TAG_PROJECT, TAG_REGION, Kind

_ROLE_STEM = 53
"""Characters of a role's name that no digest takes the place of; see `name.role_name`."""


def observe_owned(session: Session, project: str) -> tuple[Owned, ...]:
    """Everything in the account that this project made: by its tag, or under its prefix."""
    owned: list[Owned] = []
    for kind, listing in (
        (Kind.ENDPOINT, sagemaker.list_endpoints),
        (Kind.CONFIG, sagemaker.list_endpoint_configs),
        (Kind.MODEL, sagemaker.list_models),
    ):
        names = _tagged(session, listing(session, contains=project), project)
        owned += [Owned(kind=kind, name=found) for found in names]
    owned += _owned_scaling(session, _endpoints(owned))
    bucket = name.bucket_name(account=session.account, region=session.region)
    keys = s3.list_kept_keys(session, bucket, prefix=name.artifact_prefix(project))
    owned += [Owned(kind=Kind.ARTIFACT, name=f"s3://{bucket}/{key}") for key in keys]
    images = name.repository_name(project)
    tags = repository.repository_tags(session, repository_of(session, images)) or {}
    if tags.get(TAG_PROJECT) == project:
        owned.append(Owned(kind=Kind.REPOSITORY, name=images))
    owned += [Owned(kind=Kind.ROLE, name=found) for found in _owned_roles(session, project)]
    return tuple(owned)


def left_over(session: Session, project: str, *, wanted: Collection[str]) -> tuple[str, ...]:
    """The endpoints of a project that are not among those that it wants."""
    others = [
        one for one in sagemaker.list_endpoints(session, contains=project) if one.name not in wanted
    ]
    return tuple(sorted(_tagged(session, others, project)))


def _tagged(session: Session, found: Iterable[sagemaker.Made], project: str) -> list[str]:
    return [
        one.name
        for one in found
        if sagemaker.list_tags(session, one.arn).get(TAG_PROJECT) == project
    ]


def _endpoints(owned: Iterable[Owned]) -> list[str]:
    """The endpoints that there are, and those of which only a config is left."""
    found = set[str]()
    for one in owned:
        stem = one.name.rpartition("-")[0]
        if one.kind is Kind.ENDPOINT:
            found.add(one.name)
        elif one.kind is Kind.CONFIG and name.is_addressed(one.name, stem):
            found.add(stem)
    return sorted(found)


def _owned_scaling(session: Session, endpoints: list[str]) -> list[Owned]:
    """What was registered for endpoints that are ours, also where somebody deleted one by hand."""
    if not endpoints:
        return []
    owned = [
        Owned(
            kind=Kind.SCALABLE_TARGET,
            name=target.resource_id,
            target=target_now(endpoint, target),
        )
        for target in autoscaling.list_targets(session)
        for endpoint in endpoints
        if target.resource_id.startswith(f"endpoint/{endpoint}/")
    ]
    alarms = [name.wake_alarm(endpoint) for endpoint in endpoints]
    owned += [
        Owned(kind=Kind.ALARM, name=alarm)
        for alarm in alarms
        if autoscaling.alarm_exists(session, alarm)
    ]
    return owned


def _owned_roles(session: Session, project: str) -> list[str]:
    names = iam.list_roles(session, path=name.ROLE_PATH)
    here = name.role_name(project, region=session.region)[:_ROLE_STEM]
    found = [(own, role_now(session, own)) for own in names if own.startswith(here)]
    return [
        own
        for own, role in found
        if role is not None
        and role.tags.get(TAG_PROJECT) == project
        and role.tags.get(TAG_REGION) == session.region
    ]
