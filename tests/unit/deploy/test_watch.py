"""Waiting for an endpoint: what ends it well, what ends it badly, what is asked for."""

from __future__ import annotations

from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from portside.aws.session import Session
from portside.deploy.apply.watch import Watch
from portside.errors import DeployError


class FakeSageMaker:
    """Shows one state after another; the last one stays."""

    def __init__(self, *states: dict[str, Any] | None) -> None:
        self._states = list(states)
        self.deleted = 0

    def describe_endpoint(self, **_: str) -> dict[str, Any]:
        state = self._states.pop(0) if len(self._states) > 1 else self._states[0]
        if state is None:
            raise ClientError(
                {"Error": {"Code": "ValidationException", "Message": "Could not find endpoint"}},
                "DescribeEndpoint",
            )
        return {"EndpointName": "ner", "EndpointArn": "arn", **state}

    def delete_endpoint(self, **_: str) -> None:
        self.deleted += 1


class FakeSession:
    """A session with SageMaker alone."""

    def __init__(self, *states: dict[str, Any] | None) -> None:
        self.sagemaker = FakeSageMaker(*states)
        self.logs = FakeLogs()


def status(name: str, config: str = "wanted", reason: str = "") -> dict[str, Any]:
    return {"EndpointStatus": name, "EndpointConfigName": config, "FailureReason": reason}


def watching(*states: dict[str, Any] | None) -> tuple[Watch, FakeSession, list[float]]:
    session, slept = FakeSession(*states), list[float]()
    return Watch(cast("Session", session), sleep=slept.append), session, slept


def ignore(_: str) -> None:
    """Nobody listens."""


def test_in_service_on_the_wanted_config_ends_the_wait() -> None:
    said: list[str] = []
    watch, _, slept = watching(status("Creating"), status("Creating"), status("InService"))

    watch.until_in_service("ner", config_name="wanted", note=said.append)

    assert said == ["Creating", "Creating", "InService"]
    assert slept[0] < slept[1]


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (status("Failed", reason="No ping."), "is Failed: No ping"),
        (status("InService", "old", "No ping."), "goes on serving its old version: No ping"),
        (status("OutOfService"), "is OutOfService"),
        (None, "was deleted meanwhile"),
    ],
)
def test_a_bad_end_says_why(state: dict[str, Any] | None, words: str) -> None:
    watch, _, _ = watching(status("Updating", "old"), state)

    with pytest.raises(DeployError, match=words) as caught:
        watch.until_in_service("ner", config_name="wanted", note=ignore)

    assert "portside logs ner" in (caught.value.hint or "")


def test_any_config_will_do_where_none_is_wanted() -> None:
    watch, _, _ = watching(status("Updating"), status("InService", "other"))

    watch.until_in_service("ner", config_name=None, note=ignore)


def test_deletion_is_asked_for_once_and_when_it_is_allowed() -> None:
    watch, session, _ = watching(
        status("Creating"), status("InService"), status("InService"), status("Deleting"), None
    )

    watch.until_gone("ner", note=ignore)

    assert session.sagemaker.deleted == 1


@pytest.mark.parametrize(
    "states",
    [
        [status("InService"), status("Deleting"), status("Failed", reason="In use by X.")],
        [status("InService"), status("Failed", reason="In use by X.")],
        [status("Failed"), status("Deleting"), status("Failed", reason="In use by X.")],
        [status("Failed", reason="In use by X.")],  # and so it stays
    ],
)
def test_a_deletion_that_fails_says_what_sagemaker_said(states: list[dict[str, Any]]) -> None:
    watch, _ = listening(FakeLogs(), *states)

    with pytest.raises(DeployError, match=r"be deleted, and is Failed: In use by X$") as caught:
        watch.until_gone("ner", note=ignore)

    assert "run the same command again" in (caught.value.hint or "")


def test_one_that_failed_before_is_deleted_all_the_same() -> None:
    watch, session, _ = watching(
        status("Failed", reason="No ping."), status("Failed", reason="No ping."), None
    )

    watch.until_gone("ner", note=ignore)

    assert session.sagemaker.deleted == 1


def test_the_waits_grow_to_ten_seconds() -> None:
    watch, _, slept = watching(*[status("Creating")] * 30, status("InService"))

    watch.until_in_service("ner", config_name="wanted", note=ignore)

    assert slept == sorted(slept)
    assert max(slept) == 10.0


class FakeLogs:
    """The log of an instance that ends as soon as it has started."""

    def __init__(self, *messages: str) -> None:
        self._events = [
            {
                "timestamp": number,
                "logStreamName": "a/1",
                "message": message,
                "eventId": str(number),
            }
            for number, message in enumerate(messages)
        ]
        self.looks = 0

    def describe_log_streams(self, **_: object) -> dict[str, Any]:
        return {"logStreams": []}

    def get_paginator(self, _: str) -> FakeLogs:
        return self

    def paginate(self, **_: object) -> list[dict[str, Any]]:
        self.looks += 1
        return [{"events": self._events}]


class DeniedLogs(FakeLogs):
    """The log of an account that does not let us read it."""

    def paginate(self, **_: object) -> list[dict[str, Any]]:
        details = {"Code": "AccessDeniedException", "Message": "not authorized"}
        raise ClientError({"Error": details}, "FilterLogEvents")


def listening(logs: FakeLogs, *states: dict[str, Any] | None) -> tuple[Watch, list[str]]:
    """A watch whose time passes while it sleeps, and what it heard."""
    heard, now = list[str](), [0.0]

    def sleep(pause_s: float) -> None:
        now[0] += pause_s

    session = FakeSession(*states)
    session.logs = logs
    watch = Watch(
        cast("Session", session),
        sleep=sleep,
        clock=lambda: now[0],
        heard=lambda line: heard.append(line.message),
    )
    return watch, heard


def test_instances_that_end_again_and_again_are_not_waited_for() -> None:
    logs = FakeLogs(*["starting", "ValueError: no such weights"] * 3)
    watch, heard = listening(logs, status("Creating"))

    with pytest.raises(DeployError) as caught:
        watch.until_in_service("ner", config_name="wanted", note=ignore)

    assert caught.value.message == (
        "the endpoint `ner` does not start: an instance of it ended 3 times: "
        "ValueError: no such weights"
    )
    assert heard == ["starting", "ValueError: no such weights"], "the same is not told again"


NO_PING = "The primary container did not pass the ping health check. Please check CloudWatch."


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (NO_PING, "an instance of it ended 2 times: ValueError: no such weights"),
        ("", "an instance of it ended 2 times: ValueError: no such weights"),
        ("Image size 13 is greater than supported.", "Image size 13 is greater than supported"),
    ],
)
def test_what_the_instances_said_takes_the_place_of_a_ping_that_failed(
    said: str, told: str
) -> None:
    logs = FakeLogs(*["starting", "ValueError: no such weights"] * 2)
    watch, _ = listening(logs, status("Failed", reason=said))

    with pytest.raises(DeployError) as caught:
        watch.until_in_service("ner", config_name="wanted", note=ignore)

    assert caught.value.message == f"the endpoint `ner` is Failed: {told}"


def test_a_log_that_may_not_be_read_hides_no_failure() -> None:
    watch, _ = listening(DeniedLogs(), status("Failed", reason=NO_PING))

    with pytest.raises(DeployError, match="did not pass the ping"):
        watch.until_in_service("ner", config_name="wanted", note=ignore)


def test_an_update_in_a_crash_loop_goes_on_serving_the_old_version() -> None:
    logs = FakeLogs(*["starting", "ValueError: no such weights"] * 3)
    watch, _ = listening(logs, status("Updating", "old"))

    with pytest.raises(DeployError, match="goes on serving its old version"):
        watch.until_in_service("ner", config_name="wanted", note=ignore)


def test_a_quick_start_reads_no_log() -> None:
    logs = FakeLogs("starting")
    watch, heard = listening(logs, *[status("Creating")] * 3, status("InService"))

    watch.until_in_service("ner", config_name="wanted", note=ignore)

    assert (heard, logs.looks) == ([], 0)
