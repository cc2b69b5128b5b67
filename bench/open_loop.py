"""An open loop: requests arrive when they arrive, whether or not the server keeps up.

    python -m bench.open_loop --port P --rate R --seconds S --bodies FILE

A process of its own. Arrivals are a Poisson process, drawn before the start; a
latency counts from the moment at which the request was due, so that a generator
that falls behind would show it. Connections are kept and used again; an arrival
that finds too many requests in flight is not sent, and counted. Ends by itself;
prints one line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

HOST: Final = "127.0.0.1"
SEED: Final = 23
MOST_IN_FLIGHT: Final = 1000
LAST_ANSWER_S: Final = 30.0
"""How long the last answers are waited for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What became of the requests; latencies in seconds."""

    seconds: float
    """From the first arrival to the last."""
    latencies_s: dict[str, list[float]]
    """By the status of the answer."""
    not_sent: int
    unanswered: int
    latest_s: float
    """How far the generator was behind at worst."""


class Connection(asyncio.Protocol):
    """One kept connection: a request, its answer, the next request."""

    def __init__(self, load: OpenLoop) -> None:
        self._load = load
        self._received = b""
        self._due = 0.0
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ready to send."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def send(self, request: bytes, *, due: float) -> None:
        """Send a request that was due at `due`."""
        self._due = due
        self._received = b""
        if self.transport is not None:
            self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Note the answer once it is whole."""
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found:
            return
        lower = head.lower()
        at = lower.index(b"content-length:") + len(b"content-length:")
        length = int(lower[at:].split(b"\r\n", 1)[0])
        if len(body) >= length:
            is_kept = b"connection: close" not in lower
            self._load.note(self, status=head[9:12].decode(), due=self._due, is_kept=is_kept)

    def connection_lost(self, exc: Exception | None) -> None:
        """It cannot be used again."""
        del exc  # the request on it, if any, stays unanswered, and is counted
        self.transport = None


class OpenLoop:
    """One run of the generator."""

    def __init__(self, requests: Sequence[bytes], *, port: int) -> None:
        self._requests = requests
        self._port = port
        self._idle: list[Connection] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._latencies: dict[str, list[float]] = {}
        self._in_flight = 0
        self._all_answered = asyncio.Event()

    async def run(self, *, rate: float, seconds: float) -> Seen:
        """Arrivals at a mean of `rate` a second for `seconds`."""
        arrivals = draw_arrivals(rate=rate, seconds=seconds)
        started = time.perf_counter() + 0.1
        not_sent, latest_s = 0, 0.0
        for number, offset in enumerate(arrivals):
            due = started + offset
            await _sleep_until(due)
            latest_s = max(latest_s, time.perf_counter() - due)
            if self._in_flight >= MOST_IN_FLIGHT:
                not_sent += 1
                continue
            self._send(self._requests[number % len(self._requests)], due=due)
        self._all_answered.clear()
        if self._in_flight:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._all_answered.wait(), LAST_ANSWER_S)
        return Seen(
            seconds=arrivals[-1],
            latencies_s=self._latencies,
            not_sent=not_sent,
            unanswered=self._in_flight,
            latest_s=latest_s,
        )

    def _send(self, request: bytes, *, due: float) -> None:
        self._in_flight += 1
        while self._idle:
            connection = self._idle.pop()
            if connection.transport is not None:
                connection.send(request, due=due)
                return
        task = asyncio.get_running_loop().create_task(self._connect_and_send(request, due=due))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect_and_send(self, request: bytes, *, due: float) -> None:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(lambda: Connection(self), HOST, self._port)
        connection.send(request, due=due)

    def note(self, connection: Connection, *, status: str, due: float, is_kept: bool) -> None:
        """An answer is there, and its connection free."""
        self._in_flight -= 1
        if not self._in_flight:
            self._all_answered.set()
        self._latencies.setdefault(status, []).append(time.perf_counter() - due)
        if is_kept:
            self._idle.append(connection)


async def _sleep_until(due: float) -> None:
    # Behind already, it still lets the answers in that are there.
    await asyncio.sleep(max(0.0, due - time.perf_counter()))


def draw_arrivals(*, rate: float, seconds: float) -> list[float]:
    """When requests arrive, in seconds from the start; the same ones in every run."""
    draw = random.Random(SEED)  # noqa: S311 - reproducible load, not secrets
    arrivals = [draw.expovariate(rate)]
    while arrivals[-1] < seconds:
        arrivals.append(arrivals[-1] + draw.expovariate(rate))
    return arrivals


def _request(body: bytes) -> bytes:
    head = (
        f"POST /invocations HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def main() -> None:
    """Run once, and print what was seen."""
    parser = argparse.ArgumentParser(prog="python -m bench.open_loop")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True, help="arrivals a second")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--bodies", type=Path, required=True, help="one JSON body a line")
    arguments = parser.parse_args()
    requests = [_request(body) for body in arguments.bodies.read_bytes().splitlines()]
    loop = OpenLoop(requests, port=arguments.port)
    seen = asyncio.run(loop.run(rate=arguments.rate, seconds=arguments.seconds))
    json.dump(asdict(seen), sys.stdout)


if __name__ == "__main__":
    main()
