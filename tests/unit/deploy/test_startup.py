"""Crash loops: what is one, what only looks like one, and which reason is told."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from portside.aws.logs import LogLine
from portside.aws.session import Session
from portside.deploy.apply.startup import Starts, Startup, Telling, shortened

STARTING = json.dumps({"level": "INFO", "message": "listening", "time": "1"})
BROKEN = json.dumps(
    {
        "level": "ERROR",
        "message": "the handler was not loaded",
        "traceback": "Traceback (most recent call last):\n  File\nRuntimeError: no such weights",
    }
)
ENDED = "The container exited with code 1"


def starts(*messages: str, stream: str = "AllTraffic/i-1") -> Starts:
    found = Starts()
    for message in messages:
        found.read(LogLine(time=datetime.now(UTC), stream=stream, message=message))
    return found


def test_the_same_end_three_times_is_a_loop_with_the_exception_as_its_reason() -> None:
    once = [STARTING, BROKEN, ENDED]

    assert not starts(*once * 2).is_crash_loop
    assert starts(*once * 3).is_crash_loop
    assert starts(*once * 3).reason == "RuntimeError: no such weights"


def test_an_exception_tells_more_than_the_lines_around_it() -> None:
    said = ["ERROR cannot reach the hub", "ValueError: no such weights", "ERROR shutting down"]

    assert starts("starting", *said, ENDED).reason == "ValueError: no such weights"
    assert starts("starting", ENDED, said[0], ENDED).reason == "cannot reach the hub"


FRAMES = [
    "Traceback (most recent call last):",
    '  File "/lib/importlib.py", line 1, in load',
    "    load()",
    '  File "/code/inference.py", line 7, in <module>',
    "    import torchh",
    "    ^^^^^^^^^^^^^",
    "ModuleNotFoundError: No module named 'torchh'",
]


def test_of_a_traceback_the_last_frame_and_the_end_are_told_once() -> None:
    telling, found, told = Telling(), Starts(), list[str]()
    for message in ["starting 1", *FRAMES, ENDED, "starting 2", *FRAMES, ENDED, "something new"]:
        line = LogLine(time=datetime.now(UTC), stream="a/1", message=message)
        reason = found.reason
        found.read(line)
        told += [each.message for each in telling.choose(line, reason=reason)]

    assert told == ["starting 1", *FRAMES[3:], ENDED, "something new"]
    assert found.failed == 2


def test_the_ids_of_containers_do_not_make_two_reasons() -> None:
    telling, found, told = Telling(), Starts(), list[str]()
    for identity in ("350a42cc5e60be94", "1ed341d3d92993f8"):
        for message in (f"Error: cannot start {identity}: no rights", "It was not started"):
            line = LogLine(time=datetime.now(UTC), stream="a/1", message=message)
            reason = found.reason
            found.read(line)
            told += [each.message for each in telling.choose(line, reason=reason)]

    assert told == ["Error: cannot start 350a42cc5e60be94: no rights", "It was not started"]
    assert found.failed == 2


def test_progress_is_told_as_long_as_nothing_failed() -> None:
    telling = Telling()
    lines = [f"Loading shards: {percent} %" for percent in (0, 50, 100)]

    told = [
        telling.choose(LogLine(time=datetime.now(UTC), stream="a/1", message=line), reason="")
        for line in lines
    ]

    assert all(told)


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("one line", "one line"),
        ("\n".join(["ERROR not loaded", *FRAMES]), "\n".join(["ERROR not loaded", *FRAMES[3:]])),
        ("\n".join([*FRAMES, "", "During this, another:", "", *FRAMES]), "\n".join(FRAMES[3:])),
        ("Traceback (most recent call last):\nKilled", "Killed"),
    ],
)
def test_a_line_with_a_traceback_is_shortened(text: str, short: str) -> None:
    assert shortened(text) == short


@pytest.mark.parametrize(
    "said",
    [
        ["gunicorn 2026-11-23 10:31:0{n}", "ModuleNotFoundError: No module named 'x'"],
        ["Traceback (most recent call last):", "  File 1", "x.y.BadError: no"],
        ["exec /usr/bin/serve: exec format error"],
        ["serving {n}", "Killed"],
    ],
)
def test_loops_of_any_image_are_seen(said: list[str]) -> None:
    messages = [line.format(n=number) for number in range(3) for line in said]

    assert starts(*messages).is_crash_loop
    assert not starts(*messages[: -len(said)]).is_crash_loop


@pytest.mark.parametrize(
    "messages",
    [
        [f"Loading shards: {percent} %" for percent in range(100)],
        ["starting", *["ERROR cannot reach the hub, trying again"] * 9],
        [STARTING, BROKEN],
        [],
    ],
)
def test_one_long_start_is_none(messages: list[str]) -> None:
    assert not starts(*messages).is_crash_loop


def test_instances_are_counted_apart() -> None:
    found = Starts()
    for stream in ("a/1", "a/2", "a/3"):
        for message in (STARTING, BROKEN):
            found.read(LogLine(time=datetime.now(UTC), stream=stream, message=message))

    assert not found.is_crash_loop


class FakeLogs:
    """A log group that comes into being when it is told to."""

    def __init__(self) -> None:
        self.streams: list[str] = []
        self.events: list[dict[str, Any]] | None = None
        self.asked: list[int] = []

    def describe_log_streams(self, **_: object) -> dict[str, Any]:
        return {"logStreams": [{"logStreamName": name} for name in self.streams]}

    def get_paginator(self, _: str) -> FakeLogs:
        return self

    def paginate(self, **asked: Any) -> list[dict[str, Any]]:
        self.asked.append(asked["startTime"])
        if self.events is None:
            details = {"Code": "ResourceNotFoundException", "Message": "no group"}
            raise ClientError({"Error": details}, "FilterLogEvents")
        return [{"events": self.events}]


class FakeSession:
    """A session with logs alone."""

    def __init__(self) -> None:
        self.logs = FakeLogs()


def event(number: int, message: str, stream: str = "a/new") -> dict[str, Any]:
    return {
        "timestamp": number,
        "logStreamName": stream,
        "message": message,
        "eventId": str(number),
    }


def test_each_line_of_a_new_instance_is_heard_once() -> None:
    session, heard = FakeSession(), list[str]()
    session.logs.streams = ["a/old"]
    startup = Startup(
        cast("Session", session),
        "ner",
        since_ms=5,
        heard=lambda line: heard.append(line.message),
    )

    startup.look()
    session.logs.events = [event(1, "one"), event(2, "a request", "a/old")]
    startup.look()
    session.logs.events.append(event(3, "two"))
    startup.look()

    assert heard == ["one", "two"]
    assert set(session.logs.asked) == {5}


def test_what_was_read_long_ago_is_not_read_again() -> None:
    session = FakeSession()
    startup = Startup(cast("Session", session), "ner", since_ms=5, heard=lambda _: None)

    session.logs.events = [event(100_000, "one"), event(99_000, "late")]
    startup.look()
    startup.look()

    assert session.logs.asked == [5, 40_000], "but what may come a minute late"
