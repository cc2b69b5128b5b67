"""The lock: who gets it, who keeps it, who is told what. Two registers' worth of races apart."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from portside.aws.conditional import Found
from portside.deploy.run.lock import STALE_S, Claim, Lock, read_claim
from portside.deploy.run.runner import Runner, is_gone, this_runner
from portside.errors import DeployError, RemoteError


class FakeRegister:
    """Compare and swap in memory; its clock is its own."""

    def __init__(self) -> None:
        self.body: bytes | None = None
        self.etag = 0
        self.written_at = 0.0
        self.now_s = 0.0
        self.calls: list[str] = []
        self.is_down = False
        self.loses_answers = False

    def read(self) -> Found | None:
        self._call("read")
        if self.body is None:
            return None
        return Found(body=self.body, etag=str(self.etag), age_s=self.now_s - self.written_at)

    def create(self, body: bytes) -> str | None:
        self._call("create")
        return self._put(body) if self.body is None else None

    def replace(self, body: bytes, *, etag: str) -> str | None:
        self._call("replace")
        return self._put(body) if self.body is not None and etag == str(self.etag) else None

    def delete(self, *, etag: str) -> bool:
        self._call("delete")
        if self.body is None or etag != str(self.etag):
            return False
        self.body = None
        return True

    def _put(self, body: bytes) -> str | None:
        self.body, self.written_at = body, self.now_s
        self.etag += 1
        return None if self.loses_answers else str(self.etag)

    def _call(self, name: str) -> None:
        self.calls.append(name)
        if self.is_down:
            raise RemoteError("cannot reach `s3`", service="s3", operation=name, code="Unreachable")


def runner(name: str) -> Runner:
    return Runner(run=name, user=name, host="box", pid=1, place="here", started="1")


def lock(
    register: FakeRegister,
    name: str,
    *,
    clock: Callable[[], float] = lambda: 0.0,
    gone: frozenset[str] = frozenset(),
) -> Lock:
    claim = Claim(runner=runner(name), project="ner", command="portside deploy", since="today")
    return Lock(register, claim, clock=clock, is_gone=lambda found: found.run in gone)


@contextmanager
def held(own: Lock, *, heartbeat_s: float = 10.0) -> Iterator[Callable[[], None]]:
    """As a run holds it."""
    own.acquire()
    with own.kept(heartbeat_s=heartbeat_s) as check:
        yield check


def test_one_holds_it_and_the_other_is_told_who() -> None:
    register = FakeRegister()
    lock(register, "ann").acquire()
    register.now_s = 4.0

    with pytest.raises(DeployError) as caught:
        lock(register, "bob").acquire()

    assert "`ner`: another run has its lock: `portside deploy` by ann@box (process 1)" in str(
        caught.value
    )
    assert "since today, heard of 4 s ago" in str(caught.value)
    assert "--break-lock" in (caught.value.hint or "")


def test_what_is_given_back_is_free() -> None:
    register = FakeRegister()

    with held(lock(register, "ann")):
        pass
    with held(lock(register, "bob")) as check:
        check()

    assert register.body is None


@pytest.mark.parametrize(("age_s", "gone"), [(STALE_S + 1, frozenset()), (0.0, frozenset({"ann"}))])
def test_the_lock_of_the_dead_is_taken_over(age_s: float, gone: frozenset[str]) -> None:
    register = FakeRegister()
    first = lock(register, "ann")
    first.acquire()
    register.now_s = age_s

    lock(register, "bob", gone=gone).acquire()

    first.release()
    assert register.body is not None, "what another holds is not given back"


def test_a_lock_is_broken_by_hand_and_its_holder_stops() -> None:
    register, now = FakeRegister(), [0.0]
    first = lock(register, "ann", clock=lambda: now[0])
    first.acquire()
    lock(register, "bob").acquire(break_it=True)

    first.check()  # nobody has told it yet
    now[0] = 25.0  # two heartbeats are missing, so it asks
    with pytest.raises(DeployError, match=r"was taken by another run: .* by bob@box"):
        first.check()


def test_a_heartbeat_notices_the_loss() -> None:
    register = FakeRegister()
    first = lock(register, "ann")
    beaten = threading.Event()

    with held(first, heartbeat_s=0.005) as check:
        lock(register, "bob").acquire(break_it=True)
        seen = len(register.calls)
        while len(register.calls) < seen + 2:  # a heartbeat: replace, then read
            beaten.wait(0.005)
        beaten.wait(0.02)
        with pytest.raises(DeployError, match="was taken by another run"):
            check()


def test_heartbeats_keep_it_fresh() -> None:
    register = FakeRegister()
    beaten = threading.Event()

    with held(lock(register, "ann"), heartbeat_s=0.005) as check:
        while register.calls.count("replace") < 3:
            beaten.wait(0.005)
        check()
        claim = read_claim(register.body or b"")

    assert claim is not None
    assert claim.beats >= 2


def test_a_run_that_slept_asks_before_it_goes_on() -> None:
    register, now = FakeRegister(), [0.0]
    first = lock(register, "ann", clock=lambda: now[0])
    first.acquire()
    now[0] = 3600.0

    first.check()

    assert register.calls == ["read", "create", "replace"]


def test_without_the_store_nothing_is_changed() -> None:
    register, now = FakeRegister(), [0.0]
    first = lock(register, "ann", clock=lambda: now[0])
    first.acquire()
    register.is_down, now[0] = True, 30.0

    with pytest.raises(RemoteError):
        first.check()
    first.release()  # what the run did matters more than a lock that goes stale


def test_a_write_whose_answer_was_lost_is_recognized() -> None:
    register, now = FakeRegister(), [0.0]
    register.loses_answers = True
    first = lock(register, "ann", clock=lambda: now[0])

    first.acquire()
    now[0] = 30.0
    first.check()

    assert register.calls == ["read", "create", "read", "replace", "read"]


def test_a_lock_in_other_words_is_not_taken_until_it_is_old() -> None:
    register = FakeRegister()
    register.create(b'{"version": 9}')

    with pytest.raises(DeployError, match=r"another run has its lock$"):
        lock(register, "ann").acquire()
    register.now_s = STALE_S + 1
    lock(register, "ann").acquire()


def test_a_claim_comes_back_as_it_was_written() -> None:
    claim = Claim(runner=this_runner(), project="ner", command="portside deploy", since="now")

    assert read_claim(claim.to_bytes()) == claim
    assert "secret" not in json.loads(claim.to_bytes())


def test_only_a_process_of_this_boot_and_namespace_is_known_to_be_gone(tmp_path: Path) -> None:
    proc = tmp_path / "proc"
    (proc / "sys/kernel/random").mkdir(parents=True)
    (proc / "sys/kernel/random/boot_id").write_text("boot-1\n")
    (proc / "self/ns").mkdir(parents=True)
    (proc / "self/ns/pid").symlink_to("pid:[1]")
    (proc / str(os.getpid())).mkdir()
    stat = proc / str(os.getpid()) / "stat"
    stat.write_text(f"{os.getpid()} (a b) c) S " + " ".join(map(str, range(4, 30))))
    running = this_runner(proc)

    assert running.started == "22"
    assert not is_gone(running, proc)
    stat.write_text(stat.read_text().replace(" 22 ", " 99 "))
    assert is_gone(running, proc), "its number is another's now"
    stat.write_text(stat.read_text().replace(" 99 ", " 22 ").replace(") S ", ") Z "))
    assert is_gone(running, proc), "it was killed, and its parent has not asked yet"
    stat.unlink()
    assert is_gone(running, proc)
    (proc / "sys/kernel/random/boot_id").write_text("boot-2\n")
    assert not is_gone(running, proc)
    assert not is_gone(this_runner(tmp_path / "none"), tmp_path / "none")


def test_this_process_is_not_gone() -> None:
    assert not is_gone(this_runner())
