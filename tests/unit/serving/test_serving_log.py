"""One line a record, whatever it carries."""

from __future__ import annotations

import io
import json
import logging
from typing import TYPE_CHECKING

import pytest

from portside.serving import log

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_record_is_one_json_line_with_its_fields_and_request_id():
    stream = io.StringIO()
    log.configure(stream)
    token = log.request_id.set("request-1")

    logging.getLogger("user.code").info("two\nlines %s", "é", extra={"fields": {"status": 200}})
    log.request_id.reset(token)

    assert stream.getvalue().count("\n") == 1
    line = json.loads(stream.getvalue())
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "INFO",
        "logger": "user.code",
        "message": "two\nlines é",
        "request_id": "request-1",
        "status": 200,
    }


def test_a_traceback_stays_in_its_line():
    stream = io.StringIO()
    log.configure(stream)

    logging.getLogger("user.code").error("failed", exc_info=ValueError("boom"))

    assert stream.getvalue().count("\n") == 1
    assert "ValueError: boom" in json.loads(stream.getvalue())["traceback"]


def test_what_json_cannot_hold_is_written_as_text():
    stream = io.StringIO()
    log.configure(stream)

    logging.getLogger("user.code").info("odd", extra={"fields": {"value": {1, 2}}})

    assert json.loads(stream.getvalue())["value"] == "{1, 2}"


def test_a_terminal_gets_plain_lines():
    stream = Terminal()
    log.configure(stream)

    logging.getLogger("user.code").warning("hot", extra={"fields": {"degrees": 90}})

    assert stream.getvalue()[8:] == " WARNING hot degrees=90\n"


def test_debug_records_and_uvicorns_chatter_are_left_out():
    stream = io.StringIO()
    log.configure(stream)

    logging.getLogger("user.code").debug("detail")
    logging.getLogger("uvicorn.error").info("Started server process")

    assert stream.getvalue() == ""
