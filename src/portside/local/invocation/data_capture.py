"""What was asked and answered, kept in S3 for who wants to look at it later.

    invocation ─▶ sampled? ─▶ held ─▶ every few seconds, or when it is much, and at the stop:
        one line of JSON each ─▶ one object for each variant and hour of invocation

No invocation waits for it or fails by it: what cannot be written is logged and gone, and
when more comes in than is written, the new is not held. `kill -9` loses what is held.
Format and keys: DG model-monitor-data-capture-endpoint.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import random
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import urlsplit

from portside.local.clock import moment
from portside.local.s3.artifact_cache import ObjectMissingError, ObjectStoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from portside.local.clock import Clock

FLUSH_S: Final = 5.0
FLUSH_BYTES: Final = 4 * 1024 * 1024
MAX_HELD_BYTES: Final = 64 * 1024 * 1024
"""Ours, all three. SageMaker delivers within minutes."""
_STOP_S: Final = 10.0

_INPUT, _OUTPUT = "Input", "Output"
_BOTH: Final = "InputAndOutput"
"""BC CaptureMode."""

_log = logging.getLogger(__name__)


class Objects(Protocol):
    """What can keep objects."""

    async def put(self, bucket: str, key: str, body: bytes) -> None:
        """Store an object.

        Raises `ObjectMissingError` where there is no such bucket, and
        `ObjectStoreUnavailableError` where the store cannot keep it now.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A request's or an answer's body, and what its sender called it."""

    content_type: str | None
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A request with its answer; `time_ms` is when it was received, since 1970."""

    endpoint: str
    variant: str
    inference_id: str | None
    time_ms: int
    asked: Message
    answered: Message

    @property
    def size_bytes(self) -> int:
        """Of both bodies."""
        return len(self.asked.body) + len(self.answered.body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where one object's records belong together: an hour of a variant."""

    bucket: str
    prefix: str


def make_record(exchange: Exchange, config: Mapping[str, Any]) -> dict[str, Any]:
    """The record of one exchange, with the sides that the config names."""
    modes = {option["CaptureMode"] for option in config["CaptureOptions"]}
    sides = {
        "endpointInput": (_INPUT, exchange.asked),
        "endpointOutput": (_OUTPUT, exchange.answered),
    }
    metadata = {
        "eventId": str(uuid.uuid4()),
        "inferenceTime": moment(exchange.time_ms).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    if exchange.inference_id is not None:
        metadata["inferenceId"] = exchange.inference_id
    return {
        "captureData": {
            name: _side(message, config, mode=mode.upper())
            for name, (mode, message) in sides.items()
            if modes & {mode, _BOTH}
        },
        "eventMetadata": metadata,
        "eventVersion": "0",
    }


def _side(message: Message, config: Mapping[str, Any], *, mode: str) -> dict[str, Any]:
    encoding = _encoding(message, config.get("CaptureContentTypeHeader", {}))
    is_text = encoding != "BASE64"
    data = message.body.decode() if is_text else base64.b64encode(message.body).decode()
    side = {"mode": mode, "data": data, "encoding": encoding}
    if message.content_type is None:
        return side
    return {"observedContentType": message.content_type, **side}


def _encoding(message: Message, listed: Mapping[str, Sequence[str]]) -> str:
    """How the body stands in the record: what is not listed, or is no text, as base64."""
    media_type = (message.content_type or "").partition(";")[0].strip().lower()
    for encoding in ("CSV", "JSON"):
        types = listed.get(f"{encoding.capitalize()}ContentTypes", ())
        if media_type in {each.lower() for each in types}:
            break
    else:
        return "BASE64"
    try:
        message.body.decode()
    except UnicodeDecodeError:
        return "BASE64"
    return encoding


def destination(exchange: Exchange, config: Mapping[str, Any]) -> Destination:
    """By the hour of the invocation, in UTC."""
    place = urlsplit(config["DestinationS3Uri"])
    hour = moment(exchange.time_ms).strftime("%Y/%m/%d/%H")
    parts = [place.path.strip("/"), exchange.endpoint, exchange.variant, hour]
    return Destination(bucket=place.netloc, prefix="/".join(part for part in parts if part))


def object_name(time_ms: int) -> str:
    """Minute, second, millisecond, and something that no other object has."""
    return f"{moment(time_ms).strftime('%M-%S')}-{time_ms % 1000:03d}-{uuid.uuid4()}.jsonl"


class DataCapture:
    """Holds exchanges and writes them out; end it with `stop`."""

    def __init__(
        self,
        objects: Objects,
        *,
        clock: Clock,
        spread: Callable[[], float] = random.random,
    ) -> None:
        self._objects = objects
        self._clock = clock
        self._spread = spread
        self._held: list[tuple[Exchange, Mapping[str, Any]]] = []
        self._held_bytes = 0
        self._much = asyncio.Event()
        self._writing: asyncio.Task[None] | None = None

    def samples(self, config: Mapping[str, Any] | None) -> bool:
        """Whether the next exchange is one to capture, by a DataCaptureConfig of AWS's."""
        if config is None or not config.get("EnableCapture", True):  # BC: true by default
            return False
        return 100 * self._spread() < float(config["InitialSamplingPercentage"])

    def hold(self, exchange: Exchange, config: Mapping[str, Any]) -> None:
        """Take an exchange; it is written soon."""
        if self._held_bytes + exchange.size_bytes > MAX_HELD_BYTES:
            _log.warning("endpoint %s: data capture falls behind; one left out", exchange.endpoint)
            return
        self._held.append((exchange, config))
        self._held_bytes += exchange.size_bytes
        if self._held_bytes >= FLUSH_BYTES:
            self._much.set()
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write_later())

    async def stop(self) -> None:
        """Write what is held, if the object store takes it in time."""
        if self._writing is None:
            return
        self._much.set()
        try:
            async with asyncio.timeout(_STOP_S):
                await self._writing
        except TimeoutError:
            _log.error("could not write what was captured last: the object store is not there")

    async def _write_later(self) -> None:
        """Until nothing is held any more."""
        while self._held:
            waiting = asyncio.create_task(self._clock.sleep(FLUSH_S))
            much = asyncio.create_task(self._much.wait())
            await asyncio.wait((waiting, much), return_when=asyncio.FIRST_COMPLETED)
            for each in (waiting, much):
                each.cancel()
            self._much.clear()
            await self._write()

    async def _write(self) -> None:
        held, self._held = self._held, []
        batches: dict[Destination, list[tuple[Exchange, Mapping[str, Any]]]] = {}
        for exchange, config in held:
            batches.setdefault(destination(exchange, config), []).append((exchange, config))
        for place, batch in batches.items():
            key = f"{place.prefix}/{object_name(batch[0][0].time_ms)}"
            try:
                body = await asyncio.to_thread(_lines, batch)
                await self._objects.put(place.bucket, key, body)
            except (ObjectMissingError, ObjectStoreUnavailableError) as error:
                _log.error(
                    "could not capture %d records to s3://%s/%s: %s",
                    len(batch), place.bucket, key, error,
                )  # fmt: skip
            except Exception:  # noqa: BLE001  a bug here must not end the capture of the rest
                _log.exception("could not capture %d records", len(batch))
            self._held_bytes -= sum(exchange.size_bytes for exchange, _ in batch)


def _lines(batch: Sequence[tuple[Exchange, Mapping[str, Any]]]) -> bytes:
    records = (json.dumps(make_record(exchange, config)) for exchange, config in batch)
    return "".join(f"{record}\n" for record in records).encode()
