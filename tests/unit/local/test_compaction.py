"""Which changes are still told of a journal, and that an older journal is read."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from urllib.parse import urlencode

import pytest

from portside.local.delegated.compaction import superfluous
from portside.local.delegated.journal import Entry, Journal

TOPIC = "arn:aws:sns:us-east-1:000000000000:alerts"
TARGET = {"ResourceId": "endpoint/ner/variant/v", "ScalableDimension": "d"}
POLICY = {**TARGET, "PolicyName": "p"}


def asked(service: str, action: str, **params: object) -> Entry:
    """A request as its service's SDK makes it: JSON with a target, or a form."""
    by_form = service in {"iam", "sns"}
    body = urlencode({"Action": action, **params}) if by_form else json.dumps(params)
    return Entry(
        time_ms=1,
        seed=2,
        service=service,
        method="POST",
        path="/",
        query="",
        content_type="",
        target="" if by_form else f"Service.{action}",
        body=body.encode(),
    )


def iam(action: str, role: str = "a", **params: object) -> Entry:
    return asked("iam", action, RoleName=role, **params)


def alarms(action: str, **params: object) -> Entry:
    return asked("cloudwatch", action, **params)


def scaling(action: str, params: dict[str, str]) -> Entry:
    return asked("application-autoscaling", action, **params)


@pytest.mark.parametrize(
    ("entries", "dropped"),
    [
        ([iam("CreateRole"), iam("AttachRolePolicy", PolicyArn="x")], set()),
        ([iam("CreateRole"), iam("DeleteRole")], {0, 1}),
        ([iam("CreateRole"), iam("DeleteRole"), iam("CreateRole")], {0, 1}),
        ([iam("CreateRole"), iam("DeleteRole", role="b")], {1}),
        ([iam("CreateRole"), asked("iam", "DeletePolicy", PolicyArn="x")], set()),
        ([iam("PutRolePolicy", PolicyName="p"), iam("PutRolePolicy", PolicyName="p")], {0}),
        ([iam("PutRolePolicy", PolicyName="p"), iam("PutRolePolicy", PolicyName="q")], set()),
        (
            [
                asked("sns", "CreateTopic", Name="alerts"),
                asked("sns", "Subscribe", TopicArn=TOPIC),
                asked("sns", "Unsubscribe", SubscriptionArn=f"{TOPIC}:id"),
                asked("sns", "CreateTopic", Name="other"),
                asked("sns", "DeleteTopic", TopicArn=TOPIC),
            ],
            {0, 1, 2, 4},
        ),
        (
            [
                alarms("PutMetricAlarm", AlarmName="a"),
                alarms("PutMetricAlarm", AlarmName="b"),
                alarms("DisableAlarmActions", AlarmNames=["a", "c"]),
                alarms("DeleteAlarms", AlarmNames=["a", "b"]),
            ],
            {0, 1, 3},
        ),
        ([alarms("SetAlarmState", AlarmName="a")] * 3, {0, 1}),
        (
            [
                scaling("RegisterScalableTarget", TARGET),
                scaling("PutScalingPolicy", POLICY),
                scaling("PutScalingPolicy", POLICY),
                scaling("DeleteScalingPolicy", POLICY),
            ],
            {1, 2, 3},
        ),
        (
            [
                scaling("RegisterScalableTarget", TARGET),
                scaling("PutScalingPolicy", POLICY),
                scaling("DeregisterScalableTarget", TARGET),
            ],
            {0, 2},
        ),
    ],
)
def test_what_is_dropped(entries: list[Entry], dropped: set[int]) -> None:
    assert superfluous(dict(enumerate(entries))) == dropped


def test_the_query_protocol_names_alarms_in_its_own_way() -> None:
    form = b"Action=DeleteAlarms&AlarmNames.member.1=a&AlarmNames.member.2=b"
    deletion = asked("iam", "")
    entries = {
        7: alarms("PutMetricAlarm", AlarmName="a"),
        9: Entry(
            time_ms=1,
            seed=2,
            service="cloudwatch",
            method="POST",
            path="/",
            query="",
            content_type=deletion.content_type,
            body=form,
        ),
    }

    assert superfluous(entries) == {7, 9}


@pytest.mark.parametrize(
    ("entry", "changes"),
    [
        (asked("iam", "CreateRole"), True),
        (asked("iam", "GetRole"), False),
        (asked("sts", "AssumeRole"), False),
        (asked("sns", "Subscribe"), True),
        (asked("sns", "Publish"), False),
        (asked("cloudwatch", "PutMetricAlarm"), True),
        (asked("cloudwatch", "PutMetricData"), False),
        (asked("application-autoscaling", "DescribeScalableTargets"), False),
        (asked("application-autoscaling", "PutScalingPolicy"), True),
    ],
)
def test_what_is_a_change(entry: Entry, changes: bool) -> None:
    assert entry.changes is changes


def test_a_journal_of_the_first_form_is_read_and_written_on(tmp_path: Path) -> None:
    file = tmp_path / "iam.sqlite3"
    old = sqlite3.connect(file)
    old.execute(
        "CREATE TABLE journal (number INTEGER PRIMARY KEY, time_ms INTEGER, seed INTEGER,"
        " service TEXT, method TEXT, path TEXT, query TEXT, content_type TEXT, body BLOB)"
    )
    old.execute(
        "INSERT INTO journal VALUES (5, 1, 2, 'iam', 'POST', '/', '', '', ?)",
        (iam("CreateRole").body,),
    )
    old.commit()
    old.close()

    journal = Journal(file)
    journal.append(alarms("PutMetricAlarm", AlarmName="a"))
    journal.close()
    again = Journal(file)

    assert again.entries("iam") == {5: iam("CreateRole")}
    assert list(again.entries("cloudwatch").values()) == [alarms("PutMetricAlarm", AlarmName="a")]
    assert (again.has("iam"), again.has("sns")) == (True, False)
    again.drop([5])
    assert not again.has("iam")
    again.close()
