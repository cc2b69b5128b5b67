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
from portside.serving.outcome import Outcome, Stages
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


def ended(**others: Any) -> Outcome:
    """A request that was answered."""
    known = Outcome(
        at=1_795_341_600.125,
        request_id="a",
        headers={},
        path="/invocations",
        status=200,
        total_s=0.0015,
        bytes_in=20,
        bytes_out=3,
    )
    return known._replace(**others)


def test_a_request_that_was_answered_is_one_json_line():
    stream = io.StringIO()
    stages = Stages(
        decode_s=0.0001, queue_s=0.2, predict_s=3.0, encode_s=0.00004, batch_size=6, tokens=300
    )

    log.RequestLog(stream).write([ended(stages=stages)])

    assert only_line(stream) == {
        "time": "2026-11-22T10:00:00.125Z",
        "level": "INFO",
        "logger": "portside.serving.request",
        "message": "request",
        "request_id": "a",
        "path": "/invocations",
        "status": 200,
        "ms": 1.5,
        "bytes_in": 20,
        "bytes_out": 3,
        "decode_ms": 0.1,
        "queue_ms": 200.0,
        "predict_ms": 3000.0,
        "encode_ms": 0.04,
        "batch_size": 6,
        "tokens": 300,
    }


def test_lines_of_requests_are_written_in_their_order():
    stream = io.StringIO()
    sent = {"x-amzn-trace-id": "Root=1", "x-other": "1"}

    log.RequestLog(stream).write(
        [ended(headers=sent), ended(request_id="b", status=400, error="no\nlist")]
    )

    first, second = map(json.loads, stream.getvalue().splitlines())
    assert (first["request_id"], first["trace_id"]) == ("a", "Root=1")
    assert (second["request_id"], second["status"], second["error"]) == ("b", 400, "no\nlist")
    assert "decode_ms" not in second
    assert "error" not in first


def test_a_terminal_gets_plain_lines_of_requests():
    stream = Terminal()

    log.RequestLog(stream).write([ended()])

    line = stream.getvalue()
    assert line[8:].startswith(" INFO    request request_id=a path=/invocations status=200 ms=1.5 ")
    assert line.endswith(" bytes_out=3\n")


def test_the_time_has_milliseconds():
    assert log._timestamp(1_795_341_600.125) == "2026-11-22T10:00:00.125Z"
    assert log._timestamp(1_795_341_600.0) == "2026-11-22T10:00:00.000Z"
