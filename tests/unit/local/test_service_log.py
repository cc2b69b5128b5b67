from __future__ import annotations

import os
import resource
from typing import TYPE_CHECKING

import pytest

from portside.local.log.log_filter import parse_pattern
from portside.local.log.log_store import LogStore
from portside.local.protocol.fault import Fault
from portside.local.services.log import LogService
from tests.unit.local.state_fakes import call

if TYPE_CHECKING:
    from pathlib import Path

    from portside.local.protocol.call import Value

GROUP, OTHER = "/aws/sagemaker/Endpoints/ner", "/aws/sagemaker/Endpoints/other"
ONE, TWO = "AllTraffic/i-1", "AllTraffic/i-2"
ARN = "arn:aws:logs:us-east-1:000000000000:log-group:"


@pytest.fixture
def logs(tmp_path: Path) -> LogStore:
    logs = LogStore(tmp_path / "logs")
    for number in range(1, 6):
        logs.append(GROUP, ONE, [f"line {number}".encode()], now_ms=number * 10)
    logs.append(GROUP, TWO, [b"error: second"], now_ms=25)
    logs.append(OTHER, ONE, [b"other"], now_ms=1)
    return logs


@pytest.fixture
def service(logs: LogStore) -> LogService:
    return LogService(logs)


async def get(service: LogService, **params: Value) -> tuple[list[str], dict[str, Value]]:
    wanted = {"logGroupName": GROUP, "logStreamName": ONE} | params
    page = await service.get_events(call("GetLogEvents", service="logs", **wanted))
    return [event["message"] for event in page["events"]], page


async def test_groups_are_described(service: LogService) -> None:
    page = await service.describe_groups(
        call("DescribeLogGroups", service="logs", logGroupNamePrefix=GROUP)
    )

    (group,) = page["logGroups"]
    assert (group["logGroupName"], group["creationTime"]) == (GROUP, 10)
    assert (group["arn"], group["logGroupArn"]) == (f"{ARN}{GROUP}:*", f"{ARN}{GROUP}")
    assert group["storedBytes"] > 0


async def test_groups_are_paged(service: LogService) -> None:
    first = await service.describe_groups(call("DescribeLogGroups", service="logs", limit=1))
    second = await service.describe_groups(
        call("DescribeLogGroups", service="logs", limit=1, nextToken=first["nextToken"])
    )

    names = [group["logGroupName"] for page in (first, second) for group in page["logGroups"]]
    assert names == [GROUP, OTHER]
    assert "nextToken" not in second


async def test_streams_are_described_by_name_or_last_event(service: LogService) -> None:
    by_name = await service.describe_streams(
        call("DescribeLogStreams", service="logs", logGroupName=GROUP)
    )
    by_time = await service.describe_streams(
        call(
            "DescribeLogStreams",
            service="logs",
            logGroupIdentifier=f"{ARN}{GROUP}",
            orderBy="LastEventTime",
        )
    )

    assert [stream["logStreamName"] for stream in by_name["logStreams"]] == [ONE, TWO]
    assert [stream["logStreamName"] for stream in by_time["logStreams"]] == [TWO, ONE]
    first = by_name["logStreams"][0]
    assert (first["firstEventTimestamp"], first["lastEventTimestamp"]) == (10, 50)
    assert first["arn"] == f"{ARN}{GROUP}:log-stream:{ONE}"


async def test_reading_from_the_head_page_by_page(service: LogService) -> None:
    first, page = await get(service, limit=3, startFromHead=True)
    second, page = await get(service, limit=3, nextToken=page["nextForwardToken"])
    token = page["nextForwardToken"]
    third, page = await get(service, limit=3, nextToken=token)

    assert [first, second, third] == [
        ["line 1", "line 2", "line 3"],
        ["line 4", "line 5"],
        [],
    ]
    assert page["nextForwardToken"] == token  # the sign of the end


async def test_a_follower_sees_what_is_added(service: LogService, logs: LogStore) -> None:
    _, page = await get(service, startFromHead=True)
    logs.append(GROUP, ONE, [b"line 6"], now_ms=60)

    added, _ = await get(service, nextToken=page["nextForwardToken"])

    assert added == ["line 6"]


async def test_the_newest_come_first_and_b_reads_back(service: LogService) -> None:
    last, page = await get(service, limit=2)
    before, page = await get(service, limit=2, nextToken=page["nextBackwardToken"])
    first, page = await get(service, limit=2, nextToken=page["nextBackwardToken"])
    token = page["nextBackwardToken"]
    nothing, page = await get(service, limit=2, nextToken=token)

    assert [last, before, first, nothing] == [
        ["line 4", "line 5"],
        ["line 2", "line 3"],
        ["line 1"],
        [],
    ]
    assert page["nextBackwardToken"] == token


async def test_the_end_time_is_exclusive(service: LogService) -> None:
    found, _ = await get(service, startTime=20, endTime=40)

    assert found == ["line 2", "line 3"]


async def test_a_page_holds_a_mebibyte(service: LogService, logs: LogStore) -> None:
    logs.append(GROUP, "big", [b"x" * 200_000] * 8, now_ms=1)

    from_head, _ = await get(service, logStreamName="big", startFromHead=True)
    from_tail, _ = await get(service, logStreamName="big")

    assert len(from_head) == len(from_tail) == 5


@pytest.mark.parametrize(
    "token", ["x", "f/x", "g/1", "f/", "f/²", f"f/{'9' * 30}", f"f/{'9' * 5000}"]
)
async def test_a_token_of_somebody_s_own_making(service: LogService, token: str) -> None:
    with pytest.raises(Fault) as caught:
        await get(service, nextToken=token)

    assert caught.value.code == "InvalidParameterException"


@pytest.mark.parametrize(
    ("changes", "what"), [({"logGroupName": "none"}, "group"), ({"logStreamName": "x"}, "stream")]
)
async def test_what_is_not_there(service: LogService, changes: dict[str, str], what: str) -> None:
    with pytest.raises(Fault) as caught:
        await get(service, **changes)

    assert caught.value.code == "ResourceNotFoundException"
    assert caught.value.message == f"The specified log {what} does not exist."


async def filtered(service: LogService, **params: Value) -> tuple[list[str], dict[str, Value]]:
    page = await service.filter_events(
        call("FilterLogEvents", service="logs", **{"logGroupName": GROUP} | params)
    )
    return [event["message"] for event in page["events"]], page


async def test_streams_are_read_together_in_order_of_time(service: LogService) -> None:
    found, page = await filtered(service)

    assert found == ["line 1", "line 2", "error: second", "line 3", "line 4", "line 5"]
    assert page["events"][2]["logStreamName"] == TWO
    assert len({event["eventId"] for event in page["events"]}) == 6
    assert "nextToken" not in page


async def test_filtering_by_pattern_stream_and_page(service: LogService) -> None:
    assert (await filtered(service, filterPattern="error"))[0] == ["error: second"]
    assert (await filtered(service, logStreamNames=[TWO]))[0] == ["error: second"]
    assert (await filtered(service, logStreamNamePrefix="All", endTime=11))[0] == ["line 1"]

    first, page = await filtered(service, filterPattern="line", limit=3)
    second, page = await filtered(
        service, filterPattern="line", limit=3, nextToken=page["nextToken"]
    )
    assert [*first, *second] == [f"line {number}" for number in range(1, 6)]
    assert "nextToken" not in page


async def every_page(service: LogService, **params: Value) -> list[list[str]]:
    pages: list[list[str]] = []
    more: dict[str, Value] = {}
    while len(pages) < 50:
        found, page = await filtered(service, **params | more)
        pages.append(found)
        if "nextToken" not in page:
            break
        more = {"nextToken": page["nextToken"]}
    return pages


async def test_a_filtered_page_holds_a_mebibyte(service: LogService, logs: LogStore) -> None:
    for number in range(4):
        text = f"{number}" * 200_000
        logs.append(GROUP, f"big/{number}", [text.encode()] * 3, now_ms=100 - number)

    pages = await every_page(service, logStreamNamePrefix="big/")

    assert [len(page) for page in pages] == [5, 5, 2]
    assert [text[0] for page in pages for text in page] == [*"333222111000"]


async def test_pages_of_many_streams_join_without_gap_or_overlap(
    service: LogService, logs: LogStore
) -> None:
    for number in range(30):
        time_ms = 7 * number % 10 + 1  # one stream's times go back and forth: a clock was set
        logs.append(GROUP, f"many/{number % 4}", [f"{number}".encode()], now_ms=time_ms)

    pages = await every_page(service, logStreamNamePrefix="many/", limit=4)

    found = [text for page in pages for text in page]
    assert sorted(found, key=int) == [str(number) for number in range(30)]
    assert {len(page) for page in pages[:-1]} == {4}


async def test_one_file_is_open_at_a_time(service: LogService, logs: LogStore) -> None:
    for number in range(60):
        logs.append(GROUP, f"many/{number:02}", [f"{number}".encode()], now_ms=1)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    in_use = len(os.listdir("/dev/fd"))  # noqa: PTH208  names are enough
    resource.setrlimit(resource.RLIMIT_NOFILE, (in_use + 20, hard))
    try:
        found, _ = await filtered(service, logStreamNamePrefix="many/")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert len(found) == 60


@pytest.mark.parametrize("token", ["", "x", "1", "1/", "1/x/stream", f"{'9' * 30}/1/stream"])
async def test_a_filter_token_of_somebody_s_own_making(service: LogService, token: str) -> None:
    with pytest.raises(Fault) as caught:
        await filtered(service, nextToken=token)

    assert caught.value.code == "InvalidParameterException"


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("", True),
        ("model", True),
        ("Model", False),
        ("model loaded", True),
        ("model missing", False),
        ('"the model"', True),
        ('"model the"', False),
        ("-missing", True),
        ("model -loaded", False),
        ("?missing ?loaded", True),
        ("?missing ?lost", False),
        (r'"say \"hi\""', True),
    ],
)
def test_patterns(pattern: str, *, expected: bool) -> None:
    assert parse_pattern(pattern)('the model loaded: say "hi"') is expected


@pytest.mark.parametrize(
    ("pattern", "code"),
    [
        ("{ $.level = 1 }", "NotImplementedException"),
        ("[a, b]", "NotImplementedException"),
        ("%x%", "NotImplementedException"),
        ('"open', "InvalidParameterException"),
    ],
)
def test_patterns_that_are_refused(pattern: str, code: str) -> None:
    with pytest.raises(Fault) as caught:
        parse_pattern(pattern)

    assert caught.value.code == code
