"""Roles and their inline policies."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from portside.aws.session import Session, explained
from portside.errors import RemoteError


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleState:
    """A role as it stands: who may assume it, what its inline policy allows, its tags."""

    trust: dict[str, Any]
    policy: dict[str, Any] | None
    tags: dict[str, str]


def get_role(session: Session, name: str, *, policy_name: str) -> RoleState | None:
    """The role, or None where there is none."""
    try:
        with explained("iam", "GetRole"):
            role = session.iam.get_role(RoleName=name)["Role"]
    except RemoteError as error:
        if error.code == "NoSuchEntity":
            return None
        raise
    return RoleState(
        trust=_document(role.get("AssumeRolePolicyDocument")) or {},
        policy=_get_policy(session, name, policy_name),
        tags={tag["Key"]: tag["Value"] for tag in role.get("Tags", [])},
    )


def list_roles(session: Session, *, path: str) -> list[str]:
    """The names of the roles below a path."""
    with explained("iam", "ListRoles"):
        pages = session.iam.get_paginator("list_roles").paginate(PathPrefix=path)
        return [role["RoleName"] for page in pages for role in page["Roles"]]


def denied_actions(
    session: Session, arn: str, *, policy: dict[str, Any]
) -> list[dict[str, Any]] | None:
    """The statements of a policy with what a role may not do of them, as AWS simulates it.

    None where that is not known: the caller may not ask, or nobody answers.
    """
    missing = []
    for statement in policy["Statement"]:
        actions, resources = _listed(statement["Action"]), _listed(statement["Resource"])
        try:
            with explained("iam", "SimulatePrincipalPolicy"):
                answer = session.iam.simulate_principal_policy(
                    PolicySourceArn=arn, ActionNames=actions, ResourceArns=resources
                )
        except RemoteError as error:
            if error.code in _NOT_SIMULATED:
                return None
            raise
        refused = {
            result["EvalActionName"]
            for result in answer["EvaluationResults"]
            if result["EvalDecision"] != "allowed"
        }
        if refused:
            missing.append(statement | {"Action": sorted(refused)})
    return missing


def create_role(
    session: Session, name: str, *, path: str, trust: dict[str, Any], tags: dict[str, str]
) -> None:
    """Make a role that the trust policy's principals may assume; one that is there is no error."""
    with _there_is_fine(), explained("iam", "CreateRole"):
        session.iam.create_role(
            RoleName=name,
            Path=path,
            AssumeRolePolicyDocument=json.dumps(trust),
            Description="Read by a SageMaker endpoint that Portside deployed",
            Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
        )


def update_trust(session: Session, name: str, *, trust: dict[str, Any]) -> None:
    """Replace who may assume the role."""
    with explained("iam", "UpdateAssumeRolePolicy"):
        session.iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(trust))


def put_policy(session: Session, name: str, *, policy_name: str, policy: dict[str, Any]) -> None:
    """Replace what the role's inline policy allows."""
    with explained("iam", "PutRolePolicy"):
        session.iam.put_role_policy(
            RoleName=name, PolicyName=policy_name, PolicyDocument=json.dumps(policy)
        )


def set_tags(session: Session, name: str, *, tags: dict[str, str], removed: list[str]) -> None:
    """Take tags away from a role, and then put others on it, which may tell of the rest."""
    if removed:
        with explained("iam", "UntagRole"):
            session.iam.untag_role(RoleName=name, TagKeys=removed)
    if tags:
        with explained("iam", "TagRole"):
            session.iam.tag_role(
                RoleName=name, Tags=[{"Key": key, "Value": value} for key, value in tags.items()]
            )


def delete_role(session: Session, name: str, *, policy_name: str) -> None:
    """Remove the role with its inline policy; what is gone already is no error."""
    with _gone_is_fine(), explained("iam", "DeleteRolePolicy"):
        session.iam.delete_role_policy(RoleName=name, PolicyName=policy_name)
    with _gone_is_fine(), explained("iam", "DeleteRole"):
        session.iam.delete_role(RoleName=name)


_NOT_SIMULATED = {"AccessDenied", "NotImplemented", "NotImplementedError", "InternalFailure", "501"}
"""Of a caller that may not ask, and of a local AWS that does not simulate."""


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


@contextmanager
def _there_is_fine() -> Iterator[None]:
    try:
        yield
    except RemoteError as error:
        if error.code != "EntityAlreadyExists":
            raise


@contextmanager
def _gone_is_fine() -> Iterator[None]:
    try:
        yield
    except RemoteError as error:
        if error.code != "NoSuchEntity":
            raise


def _get_policy(session: Session, name: str, policy_name: str) -> dict[str, Any] | None:
    try:
        with explained("iam", "GetRolePolicy"):
            found = session.iam.get_role_policy(RoleName=name, PolicyName=policy_name)
    except RemoteError as error:
        if error.code == "NoSuchEntity":
            return None
        raise
    return _document(found["PolicyDocument"])


def _document(policy: object) -> dict[str, Any] | None:
    """A policy as a value; botocore decodes the URL-encoded JSON of most answers itself."""
    found = json.loads(policy) if isinstance(policy, str) else policy
    return found if isinstance(found, dict) else None
