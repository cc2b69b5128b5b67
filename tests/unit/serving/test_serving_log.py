"""One line a record and one a request, whatever they carry."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from portside.serving import log
from portside.serving.invocation import Invocation
from portside.serving.ticket import Ticket
from tests.unit.serving.server_fakes import Caller


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    log.current.set(())


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def work_on(*request_ids: str) -> None:
    """From now on the thread works on these requests."""
    headers = {"x-amzn-sagemaker-inference-id": "inference-7", "x-other": "1"}
    log.current.set(
        [
            Ticket(Invocation(b"", headers=headers, request_id=request_id), Caller(), 0.0, 60.0)
            for request_id in request_ids
        ]
    )


def only_line(stream: io.StringIO) -> dict[str, Any]:
    [line] = stream.getvalue().splitlines()
    return json.loads(line)


# --- Records --------------------------------------------------------------------


def test_a_record_is_one_json_line_with_its_fields_and_request():
    stream = io.StringIO()
    log.configure(stream)
    work_on("request-1")

    logging.getLogger("user.code").info("two\nlines %s", "é", extra={"fields": {"status": 200}})

    line = only_line(stream)
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "INFO",
        "logger": "user.code",
        "message": "two\nlines é",
        "request_id": "request-1",
        "inference_id": "inference-7",
        "status": 200,
    }


def test_a_record_about_a_batch_names_all_its_requests():
    stream = io.StringIO()
    log.configure(stream)
    work_on("request-1", "request-2")

    logging.getLogger("user.code").info("slow")

    assert only_line(stream)["request_ids"] == ["request-1", "request-2"]


def test_a_record_about_no_request_names_none():
    stream = io.StringIO()
    log.configure(stream)

    logging.getLogger("user.code").info("loading")

    assert set(only_line(stream)) == {"time", "level", "logger", "message"}


def test_a_traceback_stays_in_its_line():
    stream = io.StringIO()
    log.configure(stream)

    logging.getLogger("user.code").error("failed", exc_info=ValueError("boom"))

    assert "ValueError: boom" in only_line(stream)["traceback"]


def test_what_json_cannot_hold_is_written_as_text():
    stream = io.StringIO()
    log.configure(stream)

    logging.getLogger("user.code").info("odd", extra={"fields": {"value": {1, 2}}})

    assert only_line(stream)["value"] == "{1, 2}"


def test_a_terminal_gets_plain_lines():
    stream = Terminal()
    log.configure(stream)

    logging.getLogger("user.code").warning("hot", extra={"fields": {"degrees": 90}})
    logging.getLogger("user.code").error("failed", exc_info=ValueError("boom"))

    first, second, *_, last = stream.getvalue().splitlines()
    assert first[8:] == " WARNING hot degrees=90"
    assert second[8:] == " ERROR   failed"
    assert last == "ValueError: boom"


def test_debug_records_are_left_out():
    stream = io.StringIO()
    log.configure(stream)

    logging.getLogger("user.code").debug("detail")

    assert stream.getvalue() == ""


def test_a_locale_without_the_letter_is_no_reason_to_fail():
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    log.configure(stream)

    print("é \ud800", file=stream)
    logging.getLogger("user.code").info("é")

    printed, logged = raw.getvalue().decode("ascii").splitlines()
    assert printed == "\\xe9 \\ud800"
    assert "\\xe9" in logged


def test_what_is_printed_is_written_at_once():
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="utf-8")
    log.configure(stream)

    print("here", file=stream)

    assert raw.getvalue() == b"here\n"


# --- Requests -------------------------------------------------------------------


def test_lines_of_requests_are_written_together():
    stream = io.StringIO()
    requests = log.RequestLog(stream)
    requests.add({"request_id": "a", "status": 200})
    requests.add({"request_id": "b", "status": 400, "error": "no\nlist"})
    assert stream.getvalue() == ""

    requests.flush()
    requests.flush()

    first, second = map(json.loads, stream.getvalue().splitlines())
    assert first.pop("time").endswith("Z")
    assert first == {
        "level": "INFO",
        "logger": "portside.serving.request",
        "message": "request",
        "request_id": "a",
        "status": 200,
    }
    assert second["error"] == "no\nlist"


def test_a_line_with_an_odd_value_is_written_all_the_same():
    stream = io.StringIO()
    requests = log.RequestLog(stream)
    requests.add({"tokens": 3 + 4j})
    requests.flush()

    assert json.loads(stream.getvalue())["tokens"] == "(3+4j)"


def test_a_terminal_gets_plain_lines_of_requests():
    stream = Terminal()
    requests = log.RequestLog(stream)
    requests.add({"path": "/invocations", "status": 200, "ms": 1.5})
    requests.flush()

    assert stream.getvalue()[8:] == " INFO    request path=/invocations status=200 ms=1.5\n"


def test_the_time_has_milliseconds():
    assert log._timestamp(1_795_341_600.125) == "2026-11-22T10:00:00.125Z"
    assert log._timestamp(1_795_341_600.0) == "2026-11-22T10:00:00.000Z"
