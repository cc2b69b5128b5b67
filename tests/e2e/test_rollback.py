"""Back to what ran before, alone and on record; and what has outlived its use goes."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from portside.aws.session import Address, Session
from portside.cli import reap
from portside.cli.change import shown
from portside.deploy.apply.apply import Applier
from portside.deploy.apply.startup import FAILED_STARTS, Startup
from portside.deploy.current.owned import observe_owned
from portside.deploy.desired.name import bucket_name
from portside.deploy.desired.resources import Kind
from portside.deploy.inventory import REAP, overdue, take_inventory
from portside.deploy.plan.plan import plan_removal
from portside.deploy.removal import check_gone, check_unused, remove_bucket
from portside.deploy.run.journal import history
from portside.deploy.run.run import S3Book, alone
from portside.errors import DeployError
from tests.e2e.conftest import Portside, new_portside

HOUR_S = 3600


@pytest.fixture(scope="module")
def portside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portside]:
    command = new_portside(tmp_path_factory.mktemp("rollback") / "local")
    command("local", "start")
    yield command
    command("local", "stop")


@pytest.fixture(scope="module")
def session(portside: Portside) -> Session:
    variables = portside.client_environment()
    return Session(
        Address(
            endpoint_url=variables["AWS_ENDPOINT_URL"],
            region=variables["AWS_REGION"],
            access_key_id=variables["AWS_ACCESS_KEY_ID"],
            secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        )
    )


@pytest.fixture(scope="module")
def bucket(session: Session) -> str:
    return bucket_name(account=session.account, region=session.region)


@pytest.fixture(scope="module")
def project(portside: Portside, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that was deployed twice."""
    folder = tmp_path_factory.mktemp("project") / "shout"
    portside("init", folder)
    portside("deploy", folder)
    handler = folder / "inference.py"
    handler.write_text(handler.read_text().replace("str.upper", "str.lower"))
    portside("deploy", folder)
    return folder


def asked(portside: Portside, project: Path) -> str:
    answer = portside("invoke", "shout", "--file", project / "request.json", "--json")
    return str(json.loads(answer.out)[0])


def test_the_endpoint_goes_back_and_it_is_on_record(
    portside: Portside, project: Path, session: Session, bucket: str
) -> None:
    assert asked(portside, project) == "ada lovelace lives in london"
    newest, first = portside("rollback", "--list", project, "--json").json

    steps = portside("rollback", project, "--json").json

    assert [(step["verb"], step["kind"]) for step in steps] == [
        ("update", "Endpoint"),
        ("wait", "Endpoint"),
    ]
    assert asked(portside, project) == "ADA LOVELACE LIVES IN LONDON"
    live = portside("status", project, "--json").json[0]["config"]
    assert (newest["is_live"], live) == (True, first["config"])
    entry = history(S3Book(session, bucket, "shout"), count=1)[0]
    assert (entry.command, entry.result) == ("portside rollback", "done")
    assert entry.steps[0] == f"update Endpoint shout to {first['config']}"


def test_there_is_no_way_back_beyond_the_first(portside: Portside, project: Path) -> None:
    done = portside.run("rollback", "7", project)

    assert done.code == 1
    assert "cannot roll back the endpoint `shout`: there is one earlier config" in done.err


def test_another_run_is_not_disturbed_until_its_lock_is_broken(
    portside: Portside, project: Path, session: Session, bucket: str
) -> None:
    with alone(session, "shout", bucket=bucket, command="portside deploy"):
        refused = portside.run("rollback", project)
        broken = portside("rollback", project, "--break-lock")

    assert refused.code == 1
    assert "another run has its lock: `portside deploy` by" in refused.err
    assert "--break-lock" in refused.err
    assert "shout runs shout-" in broken.out


def test_an_endpoint_that_the_file_no_longer_names_is_told_of_and_goes_alone(
    portside: Portside, project: Path
) -> None:
    file = project / "portside.toml"
    whole = file.read_text()
    file.write_text('name = "shout"\n[endpoints.more]\n')
    try:
        assert "shout is there, and no longer in" in portside("deploy", project).err
    finally:
        file.write_text(whole)
    remove = f"`portside destroy --endpoint shout-more {project}` removes it"
    assert remove in portside("plan", project).err

    refused = portside.run("destroy", "--endpoint", "shout-more", "--bucket", project)
    gone = portside("destroy", "--endpoint", "shout-more", "--json", project).json

    assert refused.code == 2
    assert {step["kind"] for step in gone} == {"Endpoint", "EndpointConfig", "Model", "role"}
    assert [one["endpoint"] for one in portside("ls", "--json").json] == ["shout"]
    assert "no longer" not in portside("plan", project).err


def test_what_nobody_calls_is_listed_and_removed(
    portside: Portside, project: Path, session: Session, bucket: str
) -> None:
    (listed,) = portside("ls", "--json").json
    assert (listed["project"], listed["endpoint"], listed["kind"]) == (
        "shout",
        "shout",
        "serverless",
    )
    assert listed["idle_month"] == 0
    assert "shout" in portside("ls").out
    assert "nothing to remove" in portside("reap", "--older-than", "1h").out

    now = time.time() + 2 * HOUR_S
    holdings = take_inventory(session, now=now)
    (late,) = overdue(holdings, now=now, idle_h=1)
    check_unused(session, observe_owned(session, "shout"))
    reap.remove(session, "shout", [late.holding.endpoint], idle_h=1)
    assert portside("ls", "--json").json, "by now, it was called a moment ago"
    with suppress(KeyboardInterrupt):
        reap_and_be_cut(session, bucket)

    kinds = {str(one.kind) for one in reap.find_left(session, ())["shout"]}
    assert kinds == {"EndpointConfig", "Model", "model artifact", "role"}
    assert "by a removal that was cut" in portside("reap").out
    check_gone(lambda: observe_owned(session, "shout"))
    assert portside("ls", "--json").json == []
    assert history(S3Book(session, bucket, "shout"), count=1)[0].command == "portside reap"


def reap_and_be_cut(session: Session, bucket: str) -> None:
    """As far as the endpoint, which is the first to go."""
    steps = plan_removal(observe_owned(session, "shout"))
    (first,) = (step for step in steps if step.kind is Kind.ENDPOINT)
    applier = Applier(session, shown)
    with alone(session, "shout", bucket=bucket, command=REAP) as run, run.recorded(steps):
        applier.apply((first,))
        raise KeyboardInterrupt


def test_the_bucket_goes_when_nobody_else_needs_it(session: Session, bucket: str) -> None:
    session.s3.put_object(Bucket=bucket, Key="other/artifacts/1", Body=b"theirs")
    with pytest.raises(DeployError, match="other projects have something in it: `other`"):
        remove_bucket(session, bucket, project="shout")

    session.s3.delete_object(Bucket=bucket, Key="other/artifacts/1")
    remove_bucket(session, bucket, project="shout")

    names = [one["Name"] for one in session.s3.list_buckets()["Buckets"]]
    assert bucket not in names


def test_the_reason_of_a_crash_loop_is_in_the_log_of_its_instance(
    portside: Portside, session: Session, tmp_path: Path
) -> None:
    folder = tmp_path / "broken"
    portside("init", folder)
    handler = folder / "inference.py"
    handler.write_text(handler.read_text().replace("return str.upper", "raise ValueError('none')"))
    heard: list[str] = []
    startup = Startup(session, "broken", since_ms=0, heard=lambda line: heard.append(line.message))

    assert portside.run("deploy", folder).code == 1
    startup.look()

    assert startup.starts.is_crash_loop, heard
    assert startup.starts.reason.endswith("ValueError: none")
    assert startup.starts.failed >= FAILED_STARTS
    assert sum("exited with code" in line for line in heard) == 1, "and told once"
