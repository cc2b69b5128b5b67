from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from portside.local.invocation.data_capture import (
    FLUSH_BYTES,
    MAX_HELD_BYTES,
    DataCapture,
    Exchange,
    Message,
    make_record,
)
from portside.local.s3.artifact_cache import ObjectMissingError
from tests.unit.local.state_fakes import FakeClock, eventually

CONFIG: dict[str, Any] = {
    "InitialSamplingPercentage": 50,
    "DestinationS3Uri": "s3://bucket/captured/",
    "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
    "CaptureContentTypeHeader": {
        "CsvContentTypes": ["text/csv"],
        "JsonContentTypes": ["application/json"],
    },
}
EXCHANGE = Exchange(
    endpoint="ner",
    variant="AllTraffic",
    inference_id="i-1",
    time_ms=1_583_929_938_648,  # 2020-03-11T12:32:18.648Z
    asked=Message(content_type="text/csv", body=b"1,2"),
    answered=Message(content_type="application/json; charset=utf-8", body='"é"'.encode()),
)


@dataclass
class Objects:
    """A bucket that takes all, or nothing."""

    failure: Exception | None = None
    by_key: dict[str, bytes] = field(default_factory=dict)

    async def put(self, bucket: str, key: str, body: bytes) -> None:
        if self.failure is not None:
            raise self.failure
        self.by_key[f"s3://{bucket}/{key}"] = body

    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for body in self.by_key.values() for line in body.splitlines()]


def test_a_record() -> None:
    record = make_record(EXCHANGE, CONFIG)

    event_id = record["eventMetadata"].pop("eventId")
    assert re.fullmatch(r"[0-9a-f-]{36}", event_id)
    assert record == {
        "captureData": {
            "endpointInput": {
                "observedContentType": "text/csv",
                "mode": "INPUT",
                "data": "1,2",
                "encoding": "CSV",
            },
            "endpointOutput": {
                "observedContentType": "application/json; charset=utf-8",
                "mode": "OUTPUT",
                "data": '"é"',
                "encoding": "JSON",
            },
        },
        "eventMetadata": {"inferenceTime": "2020-03-11T12:32:18Z", "inferenceId": "i-1"},
        "eventVersion": "0",
    }


@pytest.mark.parametrize(
    ("modes", "sides"),
    [
        (["Input"], {"endpointInput"}),
        (["Output"], {"endpointOutput"}),
        (["InputAndOutput"], {"endpointInput", "endpointOutput"}),
    ],
)
def test_only_the_sides_that_are_wanted(modes: list[str], sides: set[str]) -> None:
    config = CONFIG | {"CaptureOptions": [{"CaptureMode": mode} for mode in modes]}

    assert set(make_record(EXCHANGE, config)["captureData"]) == sides


@pytest.mark.parametrize(
    ("content_type", "body"),
    [("image/png", b"abc"), (None, b"abc"), ("text/csv", b"\xff"), ("", b"")],
)
def test_what_is_not_listed_or_no_text_is_base64(content_type: str | None, body: bytes) -> None:
    asked = Message(content_type=content_type, body=body)

    side = make_record(replace(EXCHANGE, asked=asked), CONFIG)["captureData"]["endpointInput"]

    assert side["encoding"] == "BASE64"
    assert side.get("observedContentType") == content_type


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (None, [False, False, False]),
        (CONFIG, [True, True, False]),
        (CONFIG | {"EnableCapture": False}, [False, False, False]),
        (CONFIG | {"InitialSamplingPercentage": 100}, [True, True, True]),
        (CONFIG | {"InitialSamplingPercentage": 0}, [False, False, False]),
    ],
)
async def test_sampling(config: dict[str, Any] | None, expected: list[bool]) -> None:
    spread = iter((0.0, 0.49, 0.5))
    capture = DataCapture(Objects(), clock=FakeClock(), spread=lambda: next(spread))

    assert [capture.samples(config) for _ in range(3)] == expected


async def test_records_of_one_hour_are_one_object() -> None:
    objects = Objects()
    capture = DataCapture(objects, clock=FakeClock())
    for time_ms in (0, 1, 3_600_000):
        capture.hold(replace(EXCHANGE, time_ms=EXCHANGE.time_ms + time_ms), CONFIG)

    await eventually(lambda: len(objects.records()) == 3)

    first, second = objects.by_key
    folder = "s3://bucket/captured/ner/AllTraffic/2020/03/11"
    assert re.fullmatch(rf"{folder}/12/32-18-648-[0-9a-f-]{{36}}\.jsonl", first)
    assert second.startswith(f"{folder}/13/")
    assert objects.by_key[first].count(b"\n") == 2


class NoTime(FakeClock):
    """Nobody wakes up by himself."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.Event().wait()


async def test_what_is_held_is_written_at_the_stop() -> None:
    objects = Objects()
    capture = DataCapture(objects, clock=NoTime())
    capture.hold(EXCHANGE, CONFIG)

    await capture.stop()

    assert len(objects.records()) == 1


async def test_much_is_written_at_once() -> None:
    objects = Objects()
    capture = DataCapture(objects, clock=NoTime())
    capture.hold(
        replace(EXCHANGE, asked=Message(content_type="a/b", body=bytes(FLUSH_BYTES))), CONFIG
    )

    await eventually(lambda: len(objects.by_key) == 1)


async def test_what_nobody_can_write_is_not_held(caplog: pytest.LogCaptureFixture) -> None:
    objects = Objects()
    capture = DataCapture(objects, clock=NoTime())
    much = replace(EXCHANGE, asked=Message(content_type="a/b", body=bytes(MAX_HELD_BYTES // 2)))
    for _ in range(3):
        capture.hold(much, CONFIG)

    await capture.stop()

    [written] = objects.by_key.values()
    assert written.count(b"\n") == 1
    assert "data capture falls behind" in caplog.text


async def test_a_bucket_that_is_not_there_is_logged_and_the_rest_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    objects = Objects(failure=ObjectMissingError("no such bucket"))
    capture = DataCapture(objects, clock=FakeClock())
    capture.hold(EXCHANGE, CONFIG)
    await eventually(lambda: "could not capture 1 records" in caplog.text)

    objects.failure = None
    capture.hold(EXCHANGE, CONFIG)
    await eventually(lambda: len(objects.records()) == 1)
    await capture.stop()
