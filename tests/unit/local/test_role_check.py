"""What an execution role must have before SageMaker reads artifact and image with it."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import pytest

from portside.local.delegated.role_check import AnyRole, Role, RoleCheck
from tests.unit.local.state_fakes import IMAGE, REGION, URL

ARN = "arn:aws:iam::000000000000:role/runs"
TRUST = {
    "Statement": {
        "Effect": "Allow",
        "Principal": {"Service": "sagemaker.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
}
REPOSITORY = f"arn:aws:ecr:{REGION}:000000000000:repository/portside-runtime"
PULLS = [
    "ecr:BatchCheckLayerAvailability",
    "ecr:GetDownloadUrlForLayer",
    "ecr:BatchGetImage",
]


def allow(*actions: str, resource: str = "*", **elements: Any) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": resource, **elements}
    return {"Statement": [statement]}


READER = Role(
    arn=ARN, trust=TRUST, policies=(allow("s3:GetObject", resource="arn:aws:s3:::bucket/*"),)
)
PULLER = Role(
    arn=ARN,
    trust=TRUST,
    policies=(allow("ecr:GetAuthorizationToken"), allow(*PULLS, resource=REPOSITORY)),
)


class FixedRoles:
    """The roles that a test made."""

    def __init__(self, *roles: Role) -> None:
        self._roles = {role.arn: role for role in roles}

    async def role(self, arn: str) -> Role | None:
        return self._roles.get(arn)


def check(*roles: Role) -> RoleCheck:
    return RoleCheck(FixedRoles(*roles), region=REGION)


async def test_a_role_that_has_what_it_takes() -> None:
    assert await check(READER).may_read(ARN, URL)
    assert await check(PULLER).may_pull(ARN, IMAGE)
    assert await check(PULLER).may_pull(ARN, f"{IMAGE}@sha256:{'0' * 64}")


@pytest.mark.parametrize(
    ("role", "said"),
    [
        (None, "does not exist"),
        (replace(READER, trust={}), "does not let sagemaker.amazonaws.com assume it"),
        (replace(READER, policies=()), "may not do s3:GetObject on arn:aws:s3:::bucket/model.tar"),
        (replace(READER, boundary=allow("ecr:*")), "may not do s3:GetObject"),
        (PULLER, "may not do s3:GetObject"),
    ],
)
async def test_who_may_not_read_and_why_the_log_says(
    role: Role | None, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)

    assert not await check(*[role] if role else []).may_read(ARN, URL)
    assert said in caplog.text


async def test_without_a_role_nothing_is_read() -> None:
    assert not await check(READER).may_read(None, URL)
    assert not await check(PULLER).may_pull(None, IMAGE)


@pytest.mark.parametrize("lacking", ["ecr:GetAuthorizationToken", *PULLS])
async def test_a_pull_needs_every_action(lacking: str) -> None:
    actions = {"ecr:GetAuthorizationToken", *PULLS} - {lacking}

    assert not await check(replace(PULLER, policies=(allow(*actions),))).may_pull(ARN, IMAGE)


async def test_a_pull_is_asked_for_the_repository_of_the_image() -> None:
    other = IMAGE.replace("portside-runtime", "other")

    assert not await check(PULLER).may_pull(ARN, other)
    assert not await check(PULLER).may_pull(ARN, IMAGE.replace(REGION, "eu-west-1"))
    assert not await check(PULLER).may_pull(ARN, "not an image")
    assert not await check(PULLER).may_pull(ARN, "docker.io/library/python:3.11")


@pytest.mark.parametrize(("expected", "account"), [(True, "000000000000"), (False, "111122223333")])
async def test_the_owner_of_the_image_is_known(expected: bool, account: str) -> None:
    owned = {"StringEquals": {"aws:ResourceAccount": "000000000000"}}
    role = replace(PULLER, policies=(allow("ecr:*", Condition=owned),))

    assert await check(role).may_pull(ARN, IMAGE.replace("000000000000", account)) is expected


async def test_off_means_every_role() -> None:
    assert await AnyRole().may_read(None, URL)
    assert await AnyRole().may_pull("arn:aws:iam::000000000000:role/missing", IMAGE)
