"""Repositories, their settings, policies and tags."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from tests.unit.local.ecr_fakes import ADDRESS, Ecr, open_ecr
from tests.unit.local.state_fakes import ACCOUNT, REGION, FakeClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

ARN = f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/team/app"


@pytest.fixture
async def ecr(tmp_path: Path) -> AsyncIterator[Ecr]:
    opened = open_ecr(tmp_path / "images", FakeClock())
    yield opened
    opened.registry.close()


async def test_a_repository_is_described_as_it_was_made(ecr: Ecr) -> None:
    made = await ecr(
        "CreateRepository", repositoryName="team/app", tags=[{"Key": "a", "Value": "b"}]
    )
    assert made["repository"]["repositoryArn"] == ARN
    assert made["repository"]["repositoryUri"] == f"{ADDRESS}/team/app"
    assert made["repository"]["imageTagMutability"] == "MUTABLE"
    described = await ecr("DescribeRepositories", repositoryNames=["team/app"])
    assert described["repositories"] == [made["repository"]]
    tags = await ecr("ListTagsForResource", resourceArn=ARN)
    assert tags == {"tags": [{"Key": "a", "Value": "b"}]}


async def test_names_are_taken_once_and_missed_in_ecrs_words(ecr: Ecr) -> None:
    await ecr("CreateRepository", repositoryName="app")
    fault = await ecr.refused("CreateRepository", repositoryName="app")
    assert (fault.code, fault.message) == (
        "RepositoryAlreadyExistsException",
        f"The repository with name 'app' already exists in the registry with id '{ACCOUNT}'",
    )
    for asked in ({"repositoryNames": ["none"]}, {"repositoryNames": ["app", "none"]}):
        fault = await ecr.refused("DescribeRepositories", **asked)
        assert (fault.code, fault.message) == (
            "RepositoryNotFoundException",
            f"The repository with name 'none' does not exist in the registry with id '{ACCOUNT}'",
        )
    other = "1" * 12
    fault = await ecr.refused("ListImages", repositoryName="app", registryId=other)
    assert other in str(fault.message)
    assert await ecr("DescribeRepositories", registryId=other) == {"repositories": []}


async def test_a_repository_with_images_goes_only_by_force(ecr: Ecr) -> None:
    await ecr("CreateRepository", repositoryName="app")
    await ecr.push_image(b"layer")
    fault = await ecr.refused("DeleteRepository", repositoryName="app")
    assert fault.code == "RepositoryNotEmptyException"
    await ecr("DeleteRepository", repositoryName="app", force=True)
    assert ecr.blobs() == set()
    assert (await ecr("DescribeRepositories"))["repositories"] == []


async def test_pages_of_repositories(ecr: Ecr) -> None:
    for name in ("c", "a", "b"):
        await ecr("CreateRepository", repositoryName=name * 2)
    first = await ecr("DescribeRepositories", maxResults=2)
    then = await ecr("DescribeRepositories", maxResults=2, nextToken=first["nextToken"])
    names = [one["repositoryName"] for one in first["repositories"] + then["repositories"]]
    assert names == ["aa", "bb", "cc"]
    assert "nextToken" not in then


async def test_policies_are_kept_and_told_again(ecr: Ecr) -> None:
    await ecr("CreateRepository", repositoryName="app")
    for put, get, delete, member, missing in (
        (
            "PutLifecyclePolicy",
            "GetLifecyclePolicy",
            "DeleteLifecyclePolicy",
            "lifecyclePolicyText",
            "LifecyclePolicyNotFoundException",
        ),
        (
            "SetRepositoryPolicy",
            "GetRepositoryPolicy",
            "DeleteRepositoryPolicy",
            "policyText",
            "RepositoryPolicyNotFoundException",
        ),
    ):
        assert (await ecr.refused(get, repositoryName="app")).code == missing
        for broken in ("no JSON", "[]"):
            fault = await ecr.refused(put, repositoryName="app", **{member: broken})
            assert fault.code == "InvalidParameterException"
        await ecr(put, repositoryName="app", **{member: '{"a": 1}'})
        assert (await ecr(get, repositoryName="app"))[member] == '{"a": 1}'
        assert (await ecr(delete, repositoryName="app"))[member] == '{"a": 1}'
        assert (await ecr.refused(delete, repositoryName="app")).code == missing


async def test_tags_of_a_repository(ecr: Ecr) -> None:
    await ecr("CreateRepository", repositoryName="team/app")
    await ecr("TagResource", resourceArn=ARN, tags=[{"Key": "a", "Value": "1"}])
    await ecr("TagResource", resourceArn=ARN, tags=[{"Key": "a", "Value": "2"}])
    assert await ecr("ListTagsForResource", resourceArn=ARN) == {
        "tags": [{"Key": "a", "Value": "2"}]
    }
    many = [{"Key": str(number), "Value": ""} for number in range(50)]
    fault = await ecr.refused("TagResource", resourceArn=ARN, tags=many)
    assert fault.code == "TooManyTagsException"
    await ecr("UntagResource", resourceArn=ARN, tagKeys=["a", "none"])
    assert await ecr("ListTagsForResource", resourceArn=ARN) == {"tags": []}
    fault = await ecr.refused("ListTagsForResource", resourceArn=f"{ARN}-none")
    assert fault.code == "RepositoryNotFoundException"
    fault = await ecr.refused("ListTagsForResource", resourceArn="team/app")
    assert fault.code == "InvalidParameterException"


async def test_the_exceptions_of_a_mutability_come_with_it_alone(ecr: Ecr) -> None:
    filters = [{"filterType": "WILDCARD", "filter": "x*"}]
    for settings in (
        {"imageTagMutability": "IMMUTABLE_WITH_EXCLUSION"},
        {"imageTagMutability": "IMMUTABLE", "imageTagMutabilityExclusionFilters": filters},
    ):
        fault = await ecr.refused("CreateRepository", repositoryName="app", **settings)
        assert fault.code == "InvalidParameterException"


async def test_the_password_is_for_twelve_hours(ecr: Ecr) -> None:
    [given] = (await ecr("GetAuthorizationToken"))["authorizationData"]
    user, _, _ = base64.b64decode(given["authorizationToken"]).decode().partition(":")
    assert user == "AWS"
    assert given["proxyEndpoint"] == f"http://{ADDRESS}"
    now = datetime.fromtimestamp(ecr.clock.seconds, UTC)
    assert (given["expiresAt"] - now).total_seconds() == 12 * 3600
