"""IAM through moto: what is answered is kept, and comes back the same in the next life."""

from __future__ import annotations

import gzip
import json
import re
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from urllib.parse import urlencode

import pytest

from portside.local.delegated.delegated import Delegated
from portside.local.delegated.journal import Journal
from portside.local.delegated.metric_store import Datum, Metric
from portside.local.protocol.fault import Fault
from portside.local.protocol.message import Request, Response
from portside.local.state.database import StateFileError

ACCOUNT, REGION = "111122223333", "us-east-1"
TRUST = (
    '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",'
    ' "Principal": {"Service": "sagemaker.amazonaws.com"}}]}'
)
READS = (
    '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject",'
    ' "Resource": "*"}]}'
)
POST = Request(
    method="POST",
    path="/",
    query="",
    headers=(("content-type", "application/x-www-form-urlencoded; charset=utf-8"),),
)

Ask = Callable[..., Awaitable[str]]


class FixedClock:
    """An hour in 2001, and another one after each call."""

    def __init__(self) -> None:
        self._now_ms = 1_000_000_000_000

    def now_ms(self) -> int:
        self._now_ms += 3_600_000
        return self._now_ms

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError


@asynccontextmanager
async def life(folder: Path) -> AsyncIterator[Ask]:
    """From start to stop; gives a function that asks IAM and gives the answer's text."""
    delegated = Delegated(
        folder / "iam.sqlite3", account=ACCOUNT, region=REGION, clock=FixedClock()
    )

    async def ask(action: str, *, status: int = 200, **arguments: str) -> str:
        body = urlencode({"Action": action, "Version": "2010-05-08", **arguments})
        answer = await delegated.answer("iam", POST, body.encode())
        assert isinstance(answer.body, bytes)
        assert answer.status == status, answer.body
        return re.sub("<RequestId>.*</RequestId>", "", answer.body.decode())

    try:
        yield ask
    finally:
        await delegated.stop()


async def test_a_role_comes_back_with_id_date_and_policies(tmp_path: Path) -> None:
    async with life(tmp_path) as ask:
        await ask("CreateRole", RoleName="runs", AssumeRolePolicyDocument=TRUST)
        await ask("PutRolePolicy", RoleName="runs", PolicyName="reads", PolicyDocument=READS)
        await ask("CreateRole", RoleName="gone", AssumeRolePolicyDocument=TRUST)
        await ask("DeleteRole", RoleName="gone")
        role = await ask("GetRole", RoleName="runs")
        policy = await ask("GetRolePolicy", RoleName="runs", PolicyName="reads")

    assert f"arn:aws:iam::{ACCOUNT}:role/runs" in role
    assert "2001-09-09" in role
    async with life(tmp_path) as ask:
        assert await ask("GetRole", RoleName="runs") == role
        assert await ask("GetRolePolicy", RoleName="runs", PolicyName="reads") == policy
        await ask("GetRole", RoleName="gone", status=404)


async def test_roles_made_after_a_replay_have_new_ids(tmp_path: Path) -> None:
    def role_id(text: str) -> str:
        found = re.search("<RoleId>(.*)</RoleId>", text)
        assert found is not None
        return found[1]

    async with life(tmp_path) as ask:
        old = await ask("CreateRole", RoleName="old", AssumeRolePolicyDocument=TRUST)
    async with life(tmp_path) as ask:
        new = await ask("CreateRole", RoleName="new", AssumeRolePolicyDocument=TRUST)

    assert role_id(old) != role_id(new)


async def test_only_changes_that_were_made_are_kept(tmp_path: Path) -> None:
    async with life(tmp_path) as ask:
        await ask("CreateRole", RoleName="runs", AssumeRolePolicyDocument=TRUST)
        await ask("CreateRole", status=409, RoleName="runs", AssumeRolePolicyDocument=TRUST)
        await ask("GetRole", RoleName="runs")
        await ask("DeleteRole", RoleName="runs")

    journal = Journal(tmp_path / "iam.sqlite3")
    assert [each.action for each in journal.entries("iam").values()] == ["CreateRole", "DeleteRole"]
    journal.close()


async def test_what_cannot_be_written_down_is_not_done(tmp_path: Path) -> None:
    async with life(tmp_path) as ask:
        await ask("GetRole", status=404, RoleName="runs")
        with closing(sqlite3.connect(tmp_path / "iam.sqlite3", isolation_level=None)) as other:
            # SQLite raises for it what it raises for a full disk.
            other.execute(
                "CREATE TRIGGER full BEFORE INSERT ON journal BEGIN SELECT no_room(); END"
            )
            with pytest.raises(StateFileError):
                await ask("CreateRole", RoleName="runs", AssumeRolePolicyDocument=TRUST)
            other.execute("DROP TRIGGER full")
        await ask("GetRole", status=404, RoleName="runs")
    async with life(tmp_path) as ask:
        await ask("CreateRole", RoleName="runs", AssumeRolePolicyDocument=TRUST)


async def test_each_folder_has_its_own(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    async with life(tmp_path) as ask:
        await ask("CreateRole", RoleName="runs", AssumeRolePolicyDocument=TRUST)

    async with life(tmp_path / "other") as ask:
        await ask("GetRole", RoleName="runs", status=404)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_the_caller_is_the_account_itself(tmp_path: Path, method: str) -> None:
    delegated = Delegated(
        tmp_path / "iam.sqlite3", account=ACCOUNT, region=REGION, clock=FixedClock()
    )
    action = "Action=GetCallerIdentity&Version=2011-06-15"
    request = Request(method=method, path="/", query=action if method == "GET" else "", headers=())

    answer = await delegated.answer("sts", request, action.encode() if method == "POST" else b"")
    await delegated.stop()

    assert answer == Response(status=200, headers=answer.headers, body=answer.body)
    assert f"<Arn>arn:aws:iam::{ACCOUNT}:root</Arn>".encode() in answer.body  # type: ignore[operator]
    assert not delegated.is_loaded


async def test_the_local_parts_ask_without_moto(tmp_path: Path) -> None:
    delegated = Delegated(
        tmp_path / "iam.sqlite3", account=ACCOUNT, region=REGION, clock=FixedClock()
    )
    metric = Metric(namespace="AWS/SageMaker", name="Invocations", dimensions={"VariantName": "v"})

    await delegated.put_metrics([Datum.of(metric, 3.0, time_s=1_000_000_000)])
    periods = await delegated.metric_periods(
        metric, start_s=999_999_960, end_s=1_000_000_020, period_s=60
    )

    assert [period.statistic("Sum") for period in periods] == [3.0]
    assert await delegated.alarm_states(["errors"]) == {}
    assert await delegated.scalable_targets() == []
    assert await delegated.scaling_policies() == []
    assert await delegated.role(f"arn:aws:iam::{ACCOUNT}:role/runs") is None
    assert not delegated.is_loaded
    await delegated.stop()


async def test_a_role_is_handed_out_with_all_its_policies(tmp_path: Path) -> None:
    delegated = Delegated(
        tmp_path / "iam.sqlite3", account=ACCOUNT, region=REGION, clock=FixedClock()
    )
    reader = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"

    for action, arguments in (
        ("CreateRole", {"AssumeRolePolicyDocument": TRUST, "PermissionsBoundary": reader}),
        ("PutRolePolicy", {"PolicyName": "reads", "PolicyDocument": READS}),
        ("AttachRolePolicy", {"PolicyArn": reader}),
    ):
        body = urlencode(
            {"Action": action, "Version": "2010-05-08", "RoleName": "runs"} | arguments
        )
        assert (await delegated.answer("iam", POST, body.encode())).status == 200
    role = await delegated.role(f"arn:aws:iam::{ACCOUNT}:role/runs")
    await delegated.stop()

    assert role is not None
    assert role.trust == json.loads(TRUST)
    inline, attached = role.policies
    assert inline == json.loads(READS)
    assert "s3:Get*" in attached["Statement"][0]["Action"]
    assert role.boundary == attached


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"not gzip", "SerializationException"),
        (gzip.compress(b"{}", mtime=0)[:-4], "SerializationException"),
        (gzip.compress(bytes(5 * 1024 * 1024), mtime=0), "RequestEntityTooLargeException"),
    ],
)
async def test_a_body_that_cannot_be_unzipped(tmp_path: Path, body: bytes, code: str) -> None:
    delegated = Delegated(
        tmp_path / "iam.sqlite3", account=ACCOUNT, region=REGION, clock=FixedClock()
    )
    request = Request(method="POST", path="/", query="", headers=(("content-encoding", "gzip"),))

    with pytest.raises(Fault) as caught:
        await delegated.answer("cloudwatch", request, body)
    await delegated.stop()

    assert caught.value.code == code
