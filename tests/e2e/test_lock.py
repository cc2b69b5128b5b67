"""The lock on real stores: of those that come at once one wins, and the dead lose theirs.

SeaweedFS behind the gateway, as `--target local` has it, and moto's S3, which others wrote; both
in a bucket without versions and in one with them.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from portside.aws.conditional import ConditionalObject
from portside.aws.session import Address, Session
from portside.deploy.run.journal import history
from portside.deploy.run.lock import Claim, Lock
from portside.deploy.run.run import S3Book, alone
from portside.deploy.run.runner import is_gone, this_runner
from portside.errors import DeployError
from tests.e2e.conftest import new_portside
from tests.unit.deploy.test_lock import held

CONTENDERS = 6
ROUNDS = 3

HOLDER = """
import sys, time
from portside.aws.session import Address, Session
from portside.deploy.run.run import alone

url, key, secret, bucket, project = sys.argv[1:]
session = Session(
    Address(endpoint_url=url, region="us-east-1", access_key_id=key, secret_access_key=secret)
)
with alone(session, project, bucket=bucket, command="portside deploy") as run:
    print("held", flush=True)
    time.sleep(60)
"""


@dataclass(frozen=True, kw_only=True)
class Store:
    """A bucket in somebody's S3."""

    session: Session
    address: Address
    bucket: str

    def keys(self, prefix: str) -> list[str]:
        """All versions, marks of deletions among them."""
        found = self.session.s3.list_object_versions(Bucket=self.bucket, Prefix=prefix)
        return [
            entry["Key"] for entry in (*found.get("Versions", []), *found.get("DeleteMarkers", []))
        ]


@pytest.fixture(scope="module")
def addresses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Address]]:
    """The local AWS, and moto's server."""
    command = new_portside(tmp_path_factory.mktemp("lock") / "local")
    command("local", "start")
    judge = ThreadedMotoServer(port=0, verbose=False)
    judge.start()
    try:
        variables = command.client_environment()
        host, port = judge.get_host_and_port()
        yield {
            "local": Address(
                endpoint_url=variables["AWS_ENDPOINT_URL"],
                region="us-east-1",
                access_key_id=variables["AWS_ACCESS_KEY_ID"],
                secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
            ),
            "moto": Address(
                endpoint_url=f"http://{host}:{port}",
                region="us-east-1",
                access_key_id="any",
                secret_access_key="any",
            ),
        }
    finally:
        judge.stop()
        command("local", "stop")


@pytest.fixture(params=["local", "local versioned", "moto versioned"], scope="module")
def store(request: pytest.FixtureRequest, addresses: dict[str, Address]) -> Store:
    name, _, versioned = request.param.partition(" ")
    session = Session(addresses[name])
    bucket = f"portside-lock-{versioned or 'plain'}"
    session.s3.create_bucket(Bucket=bucket)
    if versioned:
        session.s3.put_bucket_versioning(
            Bucket=bucket, VersioningConfiguration={"Status": "Enabled"}
        )
    return Store(session=session, address=addresses[name], bucket=bucket)


def lock(store: Store, project: str) -> Lock:
    claim = Claim(runner=this_runner(), project=project, command="test", since="now")
    register = ConditionalObject(store.session, store.bucket, f"{project}/lock")
    return Lock(register, claim, clock=time.time, is_gone=is_gone)


def test_of_those_that_come_at_once_one_wins(store: Store) -> None:
    gate = threading.Barrier(CONTENDERS)

    def contend(one: Lock) -> Lock | None:
        gate.wait()
        try:
            one.acquire()
        except DeployError:
            return None
        return one

    with ThreadPoolExecutor(CONTENDERS) as threads:
        for number in range(ROUNDS):
            locks = [lock(store, f"race-{number}") for _ in range(CONTENDERS)]
            winners = [one for one in threads.map(contend, locks) if one]
            assert len(winners) == 1
            winners[0].release()

    assert store.keys("race-") == []


def test_of_those_that_break_it_at_once_one_wins(store: Store) -> None:
    gate = threading.Barrier(CONTENDERS)
    lock(store, "broken").acquire()
    found = ConditionalObject(store.session, store.bucket, "broken/lock").read()
    assert found is not None

    def replace(number: int) -> str | None:
        own = ConditionalObject(store.session, store.bucket, "broken/lock")
        gate.wait()
        return own.replace(str(number).encode(), etag=found.etag)

    with ThreadPoolExecutor(CONTENDERS) as threads:
        written = list(threads.map(replace, range(CONTENDERS)))

    assert sum(etag is not None for etag in written) == 1


def test_heartbeats_leave_nothing_behind(store: Store) -> None:
    with held(lock(store, "beats"), heartbeat_s=0.05) as check:
        time.sleep(0.4)
        check()
    assert store.keys("beats/") == []


def test_the_age_is_told_by_the_clock_of_the_store(store: Store) -> None:
    own = ConditionalObject(store.session, store.bucket, "age/lock")
    own.create(b"1")
    time.sleep(1.1)

    found = own.read()

    assert found is not None
    assert 0 <= found.age_s <= 5


def test_what_a_killed_run_held_is_free_at_once(store: Store) -> None:
    address = store.address
    where = [address.endpoint_url, address.access_key_id, address.secret_access_key]
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, *map(str, where), store.bucket, "killed"],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"

    with pytest.raises(DeployError, match=f"process {holder.pid}"):
        lock(store, "killed").acquire()
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    holder.stdout.close()
    with held(lock(store, "killed")) as check:
        check()

    assert store.keys("killed/lock") == []


def test_a_run_is_on_record(store: Store) -> None:
    with (
        alone(store.session, "kept", bucket=store.bucket, command="portside deploy") as run,
        run.recorded(()),
    ):
        (going_on,) = history(S3Book(store.session, store.bucket, "kept"), count=5)
    (ended,) = history(S3Book(store.session, store.bucket, "kept"), count=5)

    assert (going_on.result, ended.result) == ("interrupted", "done")
    assert len(store.keys("kept/")) == 2
    S3Book(store.session, store.bucket, "kept").remove(ended.run)
    assert store.keys("kept/") == []


def test_a_bucket_that_somebody_removed_is_made_again(addresses: dict[str, Address]) -> None:
    session = Session(addresses["local"])

    with alone(session, "anew", bucket="portside-anew", command="portside destroy") as run:
        run.check()

    assert session.s3.head_bucket(Bucket="portside-anew")
