"""Answers that come in parts: their lease, their end, and what breaks them."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from portside.local.instance.instance_client import (
    Answer,
    ConnectionLostError,
    InvocationTimeoutError,
)
from portside.local.protocol.fault import Fault
from tests.unit.local.test_service_runtime import World, made_world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from portside.local.capacity.capacity import Lease, Occupancy
    from portside.local.capacity.fleet import Fleet
    from portside.local.protocol.call import Value
    from portside.local.state.deployment import Variant


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with made_world(tmp_path) as made:
        yield made


async def begin(world: World, **params: Value) -> dict[str, Value]:
    return await world.service.invoke_stream(world.call(**params))


async def read(body: Value) -> list[bytes]:
    parts = []
    while True:
        try:
            parts.append(await anext(body))
        except StopAsyncIteration:
            return parts


def outstanding(world: World) -> int:
    assert world.running is not None
    return world.running.occupancy.outstanding


async def test_parts_come_as_the_instance_sends_them(world: World) -> None:
    headers = {"Content-Type": "text/plain", "X-Amzn-SageMaker-Custom-Attributes": "a=2"}
    world.client.answer = Answer(status=200, headers=headers, body=b"")
    world.client.chunks = [b"one", b"two"]

    output = await begin(world, Accept="text/plain")

    assert await read(output.pop("Body")) == [b"one", b"two"]
    assert output == {
        "ContentType": "text/plain",
        "CustomAttributes": "a=2",
        "InvokedProductionVariant": "AllTraffic",
    }
    assert world.client.headers == {"Accept": "text/plain"}


async def test_the_lease_is_held_to_the_end(world: World) -> None:
    world.client.chunks = [b"one", b"two"]
    body = (await begin(world))["Body"]

    assert await anext(body) == b"one"
    assert (outstanding(world), world.client.streams) == (1, 1)

    await body.aclose()
    assert (outstanding(world), world.client.streams) == (0, 0)
    [seen] = world.measured
    assert (seen.is_stream, seen.broke_mid_stream, seen.fault) == (True, False, None)
    assert seen.first_chunk_s is not None


async def test_one_that_nobody_reads_is_given_up_too(world: World) -> None:
    body = (await begin(world))["Body"]

    await body.aclose()

    assert (outstanding(world), world.client.streams) == (0, 0)


async def test_an_answer_of_nothing(world: World) -> None:
    assert await read((await begin(world))["Body"]) == [b"ok"]
    world.client.chunks = [b""]
    assert await read((await begin(world))["Body"]) == []


@pytest.mark.parametrize(
    ("failure", "error_code"),
    [
        (InvocationTimeoutError(), "ModelInvocationTimeExceeded"),
        (ConnectionLostError("cut"), "StreamBroken"),
    ],
)
async def test_what_breaks_in_the_middle_is_a_part(
    world: World, failure: Exception, error_code: str
) -> None:
    world.client.chunks = [b"one", failure]
    body = (await begin(world))["Body"]

    assert await anext(body) == b"one"
    with pytest.raises(Fault) as caught:
        await anext(body)
    await body.aclose()

    assert (caught.value.code, caught.value.fields) == (
        "ModelStreamError",
        {"ErrorCode": error_code},
    )
    assert [(seen.broke_mid_stream, seen.fault) for seen in world.measured] == [(True, None)]
    assert outstanding(world) == 0


@dataclass
class Witness:
    """A fleet whose leases tell how they ended."""

    fleet: Fleet
    errors: list[Exception] = field(default_factory=list)

    @property
    def variant(self) -> Variant:
        return self.fleet.variant

    @property
    def occupancy(self) -> Occupancy:
        return self.fleet.occupancy

    @asynccontextmanager
    async def lease(self) -> AsyncIterator[Lease]:
        try:
            async with self.fleet.lease() as lease:
                yield lease
        except Exception as error:
            self.errors.append(error)
            raise


async def test_the_lease_hears_of_what_broke_in_the_middle(world: World) -> None:
    """One of serverless ends an instance that has hung."""
    assert world.running is not None
    witness = Witness(world.running)
    world.running = witness  # type: ignore[assignment]  # as far as it is used
    failure = InvocationTimeoutError()
    world.client.chunks = [b"one", failure]
    body = (await begin(world))["Body"]

    await anext(body)
    with pytest.raises(Fault):
        await anext(body)
    await body.aclose()

    assert witness.errors == [failure]


@pytest.mark.parametrize(
    ("chunks", "status", "original"),
    [
        ([b"bad input"], 400, "bad input"),
        ([ConnectionLostError("cut")], 200, None),
        ([InvocationTimeoutError()], 200, None),
    ],
)
async def test_what_fails_before_the_first_part_is_refused(
    world: World, chunks: list[bytes | Exception], status: int, original: str | None
) -> None:
    world.client.answer = Answer(status=status, headers={}, body=b"")
    world.client.chunks = chunks

    with pytest.raises(Fault) as caught:
        await begin(world)

    assert (caught.value.code, caught.value.status) == ("ModelError", 424)
    if original is not None:
        assert caught.value.fields["OriginalMessage"] == original
    assert (outstanding(world), world.client.streams) == (0, 0)
    assert [seen.fault for seen in world.measured] == [424]


async def test_a_session_goes_on_in_a_stream(world: World) -> None:
    new = {"X-Amzn-SageMaker-New-Session-Id": "abc; Expires=2033-05-18T03:33:20Z"}
    world.client.answer = Answer(status=200, headers=new, body=b"ok")
    await world.invoke(SessionId="NEW_SESSION")

    await read((await begin(world, SessionId="abc"))["Body"])

    assert world.client.headers["X-Amzn-SageMaker-Session-Id"] == "abc"
    with pytest.raises(Fault) as caught:
        await begin(world, SessionId="other")
    assert caught.value.code == "ValidationError"
