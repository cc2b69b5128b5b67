"""The open loop against a small server: arrivals that do not wait, and every answer counted."""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SLOW_S = 0.05


pytestmark = pytest.mark.usefixtures("bench_is_importable")


class Server(ThreadingHTTPServer):
    """Takes 50 ms for an answer, and refuses every fourth request at once."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.bodies: list[bytes] = []
        self.connections = 0
        self.lock = threading.Lock()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def setup(self) -> None:
        super().setup()
        with self.server.lock:
            self.server.connections += 1

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with self.server.lock:
            self.server.bodies.append(body)
            is_refused = len(self.server.bodies) % 4 == 0
        if not is_refused:
            threading.Event().wait(SLOW_S)
        status = 429 if is_refused else 200
        answer = b"[]" * 10_000  # more than one packet
        head = f"HTTP/1.1 {status} x\r\nContent-Length: {len(answer)}\r\n\r\n"
        self.wfile.write(head.encode() + answer)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_arrivals_are_a_poisson_process():
    from bench.open_loop import draw_arrivals

    arrivals = draw_arrivals(rate=100, seconds=100)
    gaps = [later - earlier for earlier, later in pairwise(arrivals)]

    assert arrivals == draw_arrivals(rate=100, seconds=100)
    assert statistics.mean(gaps) == pytest.approx(0.01, rel=0.05)
    assert statistics.stdev(gaps) == pytest.approx(0.01, rel=0.05)


async def test_every_request_is_counted_by_its_status(server: Server, tmp_path: Path):
    from bench.overload import summarize

    bodies = [b'{"strings": ["a"]}', b'{"strings": ["b"]}']
    file = tmp_path / "bodies.jsonl"
    file.write_bytes(b"\n".join(bodies))
    options = {"port": server.server_port, "rate": 100, "seconds": 1, "bodies": file}
    flags = [part for key, value in options.items() for part in (f"--{key}", str(value))]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.open_loop", *flags, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    printed, _ = await process.communicate()

    load = summarize(json.loads(printed), rate=100)
    assert 60 < load.requests == len(server.bodies) < 140
    assert set(server.bodies) == set(bodies)
    assert load.refused == load.requests // 4
    assert load.late == 0
    assert load.accepted_p50_ms >= 1000 * SLOW_S
    assert load.refused_p99_ms is not None
    # Five are in flight on average: connections are kept, and there are as many as it takes.
    assert 2 < server.connections < load.requests / 2


def test_what_is_neither_answered_nor_refused_is_late():
    from bench.overload import summarize

    latencies = {"200": [0.1] * 98, "504": [0.4] * 2, "429": [0.001] * 100}
    seen = {"seconds": 2.0, "latencies_s": latencies, "not_sent": 0, "unanswered": 0}
    load = summarize(seen | {"latest_s": 0.0}, rate=100)

    assert (load.answered, load.late, load.refused, load.requests) == (98, 2, 100, 200)
    assert load.accepted_p99_ms == 400
    assert load.refused_p99_ms == 1
    assert load.goodput == 49
    assert load.late_share == 0.02


def test_a_request_without_an_answer_ends_the_measurement():
    from bench.overload import summarize

    seen = {"seconds": 1.0, "latencies_s": {}, "not_sent": 0, "unanswered": 3, "latest_s": 0.0}
    with pytest.raises(SystemExit, match="3 without an answer"):
        summarize(seen, rate=1)
