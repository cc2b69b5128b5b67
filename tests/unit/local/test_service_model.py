from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest

from portside.local.protocol.fault import Fault
from portside.local.services.model import ModelService
from portside.local.state.store import Store
from tests.unit.local.state_fakes import ARN, IMAGE, URL, FakeClock, FakeObjects, call

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from portside.local.protocol.call import Value

ROLE = "arn:aws:iam::000000000000:role/portside"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(tmp_path / "state.sqlite3")
    yield opened
    opened.close()


@pytest.fixture
def service(store: Store, clock: FakeClock) -> ModelService:
    return ModelService(store, objects=FakeObjects(**{"model.tar.gz": b""}), clock=clock)


def create(name: str = "NER", **changes: Value) -> dict[str, Value]:
    return {"ModelName": name, "PrimaryContainer": {"Image": IMAGE, "ModelDataUrl": URL}} | changes


async def refused(service: ModelService, **params: Value) -> Fault:
    with pytest.raises(Fault) as caught:
        await service.create(call("CreateModel", **params))
    return caught.value


async def test_a_model_is_described_as_it_was_made(service: ModelService) -> None:
    made = await service.create(call("CreateModel", **create(ExecutionRoleArn=ROLE)))
    described = await service.describe(call("DescribeModel", ModelName="NER"))

    assert made == {"ModelArn": f"{ARN}model/ner"}
    assert described["ModelName"] == "NER"
    assert described["ExecutionRoleArn"] == ROLE
    assert described["PrimaryContainer"] == {
        "Image": IMAGE,
        "ModelDataUrl": URL,
        "Mode": "SingleModel",
    }
    assert described["CreationTime"].timestamp() == 1_700_000_000
    assert described["EnableNetworkIsolation"] is False


async def test_the_other_ways_to_name_container_and_artifact(service: ModelService) -> None:
    source = {"S3Uri": URL, "S3DataType": "S3Object", "CompressionType": "Gzip"}
    container = {"Image": IMAGE, "ModelDataSource": {"S3DataSource": source}}
    await service.create(call("CreateModel", ModelName="ner", Containers=[container]))

    described = await service.describe(call("DescribeModel", ModelName="ner"))

    assert described["PrimaryContainer"]["ModelDataUrl"] == URL


async def test_a_name_is_taken_once_whatever_its_case(service: ModelService) -> None:
    await service.create(call("CreateModel", **create("NER")))

    fault = await refused(service, **create("ner"))

    assert fault.code == "ValidationException"
    assert fault.message == f'Cannot create already existing model "{ARN}model/ner".'


@pytest.mark.parametrize("operation", ["describe", "delete"])
async def test_an_unknown_model(service: ModelService, operation: str) -> None:
    with pytest.raises(Fault) as caught:
        await {"describe": service.describe, "delete": service.delete}[operation](
            call("DescribeModel", ModelName="ner")
        )

    assert caught.value.code == "ValidationException"
    assert caught.value.message == f'Could not find model "{ARN}model/ner".'


async def test_a_deleted_model_can_be_made_again(service: ModelService, store: Store) -> None:
    await service.create(call("CreateModel", **create(Tags=[{"Key": "a", "Value": "1"}])))
    assert store.tags(f"{ARN}model/ner") == {"a": "1"}

    await service.delete(call("DeleteModel", ModelName="NER"))
    await service.create(call("CreateModel", **create()))

    assert store.tags(f"{ARN}model/ner") == {}


@pytest.mark.parametrize(
    "url",
    ["s3://bucket/gone.tar.gz", "s3://elsewhere/model.tar.gz", "https://bucket/model.tar.gz"],
)
async def test_an_artifact_that_is_not_there(service: ModelService, url: str) -> None:
    container = {"Image": IMAGE, "ModelDataUrl": url}
    fault = await refused(service, **create(PrimaryContainer=container, ExecutionRoleArn=ROLE))

    assert fault.code == "ValidationException"
    assert fault.message == (
        f'Could not access model data at {url}. Please ensure that the role "{ROLE}" exists and'
        ' that its trust relationship policy allows the action "sts:AssumeRole" for the service'
        ' principal "sagemaker.amazonaws.com". Also ensure that the role has "s3:GetObject"'
        " permissions and that the object is located in us-east-1. If your Model uses multiple"
        " models or uncompressed models, please ensure that the role has"
        ' "s3:ListBucket" permission.'
    )


class NoPermission:
    """A role that may do nothing; remembers what was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str | None, str]] = []

    async def may_read(self, role_arn: str | None, url: str) -> bool:
        self.asked.append((role_arn, url))
        return False

    async def may_pull(self, role_arn: str | None, image: str) -> bool:
        raise NotImplementedError


async def test_a_role_that_may_not_read_the_artifact(store: Store, clock: FakeClock) -> None:
    permissions = NoPermission()
    objects = FakeObjects(**{"model.tar.gz": b""})
    service = ModelService(store, objects=objects, clock=clock, permissions=permissions)

    fault = await refused(service, **create(ExecutionRoleArn=ROLE))
    await service.create(call("CreateModel", **create(PrimaryContainer={"Image": IMAGE})))

    assert str(fault.message).startswith(f"Could not access model data at {URL}. ")
    assert permissions.asked == [(ROLE, URL)]


async def test_while_the_object_store_is_away_nobody_is_blamed(
    store: Store, clock: FakeClock
) -> None:
    objects = FakeObjects(**{"model.tar.gz": b""})
    objects.outages = 1

    fault = await refused(ModelService(store, objects=objects, clock=clock), **create())

    assert (fault.code, fault.status) == ("ServiceUnavailable", 503)


async def test_an_image_of_ecr_by_tag_and_digest(service: ModelService) -> None:
    image = f"{IMAGE}@sha256:{'0' * 64}"

    await service.create(call("CreateModel", **create(PrimaryContainer={"Image": image})))


@pytest.mark.parametrize(
    "image", ["portside-runtime", "docker.io/library/python:3.11", "ghcr.io/me/model@sha256:1"]
)
async def test_an_image_from_elsewhere(service: ModelService, image: str) -> None:
    fault = await refused(service, **create(PrimaryContainer={"Image": image}))

    assert fault.code == "ValidationException"
    assert fault.message == (
        f'Using non-ECR image "{image}" without Vpc repository access mode is not supported.'
    )


@pytest.mark.parametrize(
    "params",
    [
        {"ModelName": "ner"},
        create(Containers=[{"Image": IMAGE}]),
        create(PrimaryContainer={"ModelDataUrl": URL}),
        create(PrimaryContainer={"Image": IMAGE, "Environment": {"A": "x" * 33_000}}),
    ],
)
async def test_what_cannot_be(service: ModelService, params: dict[str, Value]) -> None:
    assert (await refused(service, **params)).code == "ValidationException"


PREFIX = {"S3Uri": "s3://bucket/p/", "S3DataType": "S3Prefix", "CompressionType": "None"}


@pytest.mark.parametrize(
    "params",
    [
        {"ModelName": "ner", "Containers": [{"Image": IMAGE}, {"Image": IMAGE}]},
        create(PrimaryContainer={"Image": IMAGE, "Mode": "MultiModel"}),
        create(PrimaryContainer={"Image": IMAGE, "ModelDataSource": {"S3DataSource": PREFIX}}),
        create(PrimaryContainer={"ModelPackageName": "package"}),
        create(EnableNetworkIsolation=True),
        create(VpcConfig={"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]}),
    ],
)
async def test_what_is_not_built_says_so(service: ModelService, params: dict[str, Value]) -> None:
    fault = await refused(service, **params)

    assert (fault.code, fault.status) == ("NotImplementedException", 501)
    assert str(fault.message).endswith("is not built in the local SageMaker")


async def made(service: ModelService, clock: FakeClock, *names: str) -> None:
    for name in names:
        await clock.sleep(1)
        await service.create(call("CreateModel", **create(name)))


async def listed(service: ModelService, **params: Value) -> tuple[list[str], str | None]:
    page = await service.list_page(call("ListModels", **params))
    return [each["ModelName"] for each in page["Models"]], page.get("NextToken")


async def test_lists_are_newest_first_and_ten_a_page(
    service: ModelService, clock: FakeClock
) -> None:
    await made(service, clock, *(f"m{number:02}" for number in range(12)))

    first, token = await listed(service)
    second, end = await listed(service, NextToken=token)

    assert [*first, *second] == [f"m{number:02}" for number in reversed(range(12))]
    assert (len(first), end) == (10, None)


@pytest.mark.parametrize("sort_by", ["Name", "CreationTime"])
@pytest.mark.parametrize("order", ["Ascending", "Descending"])
async def test_pages_join_without_gap_or_overlap(
    service: ModelService, clock: FakeClock, sort_by: str, order: str
) -> None:
    await made(service, clock, "a", "b", "c", "d", "e")
    found: list[str] = []
    token: str | None = None
    for _ in range(3):
        params = {"SortBy": sort_by, "SortOrder": order, "MaxResults": 2}
        page, token = await listed(service, **params | ({"NextToken": token} if token else {}))
        found += page

    assert token is None
    assert found == sorted("abcde", reverse=order == "Descending")


def token_of(content: str) -> str:
    return base64.urlsafe_b64encode(content.encode()).decode()


@pytest.mark.parametrize(
    "token",
    [
        "x",
        "é",
        "a" * 8192,
        token_of("null"),
        token_of("[1]"),
        token_of("[" * 6000),
        token_of('["Name", true, "a", "a"]'),
        token_of('["CreationTime", true, "a", "a"]'),
        token_of(f'["CreationTime", true, {10**30}, "a"]'),
        token_of(f'["CreationTime", true, -{10**30}, "a"]'),
        token_of(r'["CreationTime", true, 1, "\ud800"]'),
    ],
)
async def test_a_token_of_somebody_s_own_making(
    service: ModelService, clock: FakeClock, token: str
) -> None:
    await made(service, clock, "a")

    with pytest.raises(Fault) as caught:
        await listed(service, NextToken=token)

    assert caught.value.code == "ValidationException"
