"""Callers that mean harm: what they send and do not read must not pile up in the instance."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.contract.conftest import Start
from tests.contract.instance import Instance, write_program
from tests.contract.wire import Wire, request_bytes

ECHO = "def predict(data, model): return data\n"

MEGABYTE = 2**20

MOST_GROWTH_BYTES = 48 * MEGABYTE
"""Far less than what is sent below, and more than the buffers of one connection."""


def resident_bytes(instance: Instance) -> int:
    text = instance.target.ask("GET", "/metrics").text
    prefix = "process_resident_memory_bytes "
    return next(int(line[len(prefix) :]) for line in text.splitlines() if line.startswith(prefix))


def send_until_blocked(wire: Wire, data: bytes, *, for_s: float) -> int:
    """How many bytes the server takes before it reads no further."""
    sent, until = 0, time.monotonic() + for_s
    with suppress(TimeoutError, ConnectionResetError, BrokenPipeError):
        while time.monotonic() < until:
            wire.send(data)
            sent += len(data)
    return sent


@pytest.mark.should
@pytest.mark.parametrize(
    "request_path", ["/ping", "/metrics", "/no/such/path"], ids=["ping", "metrics", "unknown"]
)
def test_a_caller_that_asks_and_never_reads_is_left_waiting(
    tmp_path: Path, start: Start, request_path: str
):
    instance = start(write_program(tmp_path, ECHO))
    target = instance.until_ready()
    before = resident_bytes(instance)
    requests = request_bytes("GET", request_path) * 1000
    with target.connect(receive_bytes=4096) as wire:
        wire.socket.settimeout(0.5)
        sent = send_until_blocked(wire, requests, for_s=8)

        assert sent < 8 * MEGABYTE
        assert target.ping().status == 200
        assert resident_bytes(instance) - before < MOST_GROWTH_BYTES


@pytest.mark.should
@pytest.mark.parametrize(
    "endless",
    [b"X-Trailer: " + b"a" * 1000 + b"\r\n", b"X: a\r\n" * 200, b"X-" + b"a" * 1000],
    ids=["trailers", "short-trailers", "name"],
)
def test_trailers_without_end_are_refused(tmp_path: Path, start: Start, endless: bytes):
    instance = start(write_program(tmp_path, ECHO))
    target = instance.until_ready()
    before = resident_bytes(instance)
    with target.connect() as wire:
        wire.send(target.chunked_head + b"2\r\n{}\r\n0\r\n")
        with suppress(ConnectionResetError, BrokenPipeError):
            for _ in range(64):
                wire.send(endless * 1000)
        assert 400 <= wire.read_head().status < 500

    assert resident_bytes(instance) - before < MOST_GROWTH_BYTES
    assert target.ping().status == 200


@pytest.mark.should
def test_hundreds_of_half_sent_requests_leave_room_for_whole_ones(tmp_path: Path, start: Start):
    target = start(write_program(tmp_path, ECHO)).until_ready()
    half = request_bytes(
        "POST", "/invocations", headers={"Content-Length": "1000000"}, body=b"[" + b"1," * 100
    )
    with ExitStack() as stack:
        for _ in range(500):
            stack.enter_context(target.connect()).send(half)

        assert target.ping().status == 200
        assert json.loads(target.invoke(b"[1, 2]").body) == [1, 2]
