from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from portside.local.protocol.fault import Fault
from portside.local.services.tag import TagService
from portside.local.state.resource import Kind, Resource
from portside.local.state.store import Store
from tests.unit.local.state_fakes import ACCOUNT, ARN, REGION, call

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NER = f"{ARN}endpoint/ner"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[TagService]:
    store = Store.open(tmp_path / "state.sqlite3")
    resource = Resource(
        kind=Kind.ENDPOINT,
        account=ACCOUNT,
        region=REGION,
        name="NER",
        creation_time_ms=1,
        last_modified_time_ms=1,
        members={},
    )
    store.add(resource, tags={"a": "1"})
    yield TagService(store)
    store.close()


async def test_tags_are_added_listed_and_removed(service: TagService) -> None:
    tags = [{"Key": "a", "Value": "2"}, {"Key": "b", "Value": ""}]
    added = await service.add(call("AddTags", ResourceArn=NER, Tags=tags))
    await service.delete(call("DeleteTags", ResourceArn=NER, TagKeys=["a"]))
    listed = await service.list_page(call("ListTags", ResourceArn=NER))

    assert added == {"Tags": tags}
    assert listed == {"Tags": [{"Key": "b", "Value": ""}]}


async def test_the_arn_may_carry_the_name_as_it_was_given(service: TagService) -> None:
    listed = await service.list_page(call("ListTags", ResourceArn=f"{ARN}endpoint/NER"))

    assert listed == {"Tags": [{"Key": "a", "Value": "1"}]}


@pytest.mark.parametrize(
    "arn",
    [
        f"{ARN}endpoint/other",
        f"{ARN}model/ner",
        NER.replace(REGION, "eu-west-1"),
        NER.replace(ACCOUNT, "111111111111"),
    ],
)
async def test_an_unknown_resource(service: TagService, arn: str) -> None:
    with pytest.raises(Fault) as caught:
        await service.list_page(call("ListTags", ResourceArn=arn))

    assert caught.value.code == "ValidationException"
    assert f'"{arn}"' in str(caught.value.message)


async def test_other_kinds_are_not_built(service: TagService) -> None:
    with pytest.raises(Fault) as caught:
        await service.list_page(call("ListTags", ResourceArn=f"{ARN}pipeline/p"))

    assert caught.value.status == 501


async def test_there_are_fifty_tags_at_most(service: TagService) -> None:
    tags = [{"Key": str(number), "Value": ""} for number in range(50)]

    with pytest.raises(Fault, match="50 tags"):
        await service.add(call("AddTags", ResourceArn=NER, Tags=tags))

    assert await service.list_page(call("ListTags", ResourceArn=NER)) == {
        "Tags": [{"Key": "a", "Value": "1"}]
    }
