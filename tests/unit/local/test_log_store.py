from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from portside.local.log.log_store import MAX_EVENT_BYTES, LogStore

if TYPE_CHECKING:
    from pathlib import Path

GROUP, STREAM = "/aws/sagemaker/Endpoints/ner", "AllTraffic/i-0123456789abcdef0"


@pytest.fixture
def logs(tmp_path: Path) -> LogStore:
    return LogStore(tmp_path / "logs")


def messages(logs: LogStore) -> list[str]:
    return [event.message for event in logs.events(GROUP, STREAM)]


def test_lines_come_back_with_their_times(logs: LogStore) -> None:
    logs.append(GROUP, STREAM, [b"one", b"two\ttabs"], now_ms=5)
    logs.append(GROUP, STREAM, [b"three"], now_ms=6)

    events = list(logs.events(GROUP, STREAM))

    assert [(each.time_ms, each.message) for each in events] == [
        (5, "one"),
        (5, "two\ttabs"),
        (6, "three"),
    ]


def test_reading_goes_on_where_an_event_ended(logs: LogStore) -> None:
    logs.append(GROUP, STREAM, [b"one", b"two", b"three"], now_ms=5)
    first = next(logs.events(GROUP, STREAM))

    rest = logs.events(GROUP, STREAM, start=first.end)

    assert [event.message for event in rest] == ["two", "three"]


def test_what_is_not_text_is_replaced_and_windows_line_ends_go(logs: LogStore) -> None:
    logs.append(GROUP, STREAM, [b"caf\xe9\r", "naïve".encode()], now_ms=5)

    assert messages(logs) == ["caf�", "naïve"]


def test_a_long_line_becomes_several_events(logs: LogStore) -> None:
    logs.append(GROUP, STREAM, [b"x" * (2 * MAX_EVENT_BYTES + 1)], now_ms=5)

    assert [len(message) for message in messages(logs)] == [MAX_EVENT_BYTES, MAX_EVENT_BYTES, 1]


def test_groups_and_streams_are_listed(logs: LogStore) -> None:
    assert logs.groups() == []
    assert logs.streams(GROUP) == []

    logs.append(GROUP, STREAM, [b"one"], now_ms=5)
    logs.append(GROUP, STREAM, [b"two"], now_ms=9)

    assert logs.groups() == [GROUP]
    (stream,) = logs.streams(GROUP)
    assert (stream.name, stream.first_time_ms, stream.last_time_ms) == (STREAM, 5, 9)


def test_a_torn_last_line_is_passed_over(logs: LogStore, tmp_path: Path) -> None:
    logs.append(GROUP, STREAM, [b"whole"], now_ms=5)
    (file,) = (tmp_path / "logs").rglob("*.log")
    file.write_bytes(file.read_bytes() + b"7\thal")

    assert messages(logs) == ["whole"]


@pytest.mark.parametrize("name", ["..", "../../secret", "/etc/passwd", "a\0b", "x" * 512])
def test_no_name_reaches_outside(logs: LogStore, name: str) -> None:
    logs.append(GROUP, STREAM, [b"one"], now_ms=5)

    assert not logs.has_group(name)
    assert logs.streams(name) == []
    assert not logs.has_stream(GROUP, name)
