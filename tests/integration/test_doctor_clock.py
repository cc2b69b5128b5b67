"""The time by AWS's clock: any answer tells it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from portside.doctor.account.gather import time_at


@pytest.fixture
def old_server() -> Iterator[str]:
    class Refusing(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response_only(403)
            self.send_header("Date", "Thu, 01 Jan 2026 00:00:00 GMT")
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Refusing)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def test_a_refusal_tells_the_time_too(old_server: str) -> None:
    assert time_at(old_server) == datetime(2026, 1, 1, tzinfo=UTC)


def test_nobody_there_tells_no_time() -> None:
    assert time_at("http://127.0.0.1:9/") is None
