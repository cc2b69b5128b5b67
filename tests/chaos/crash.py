"""`python -m tests.chaos.crash`: commands are killed around each of their API calls, in turn.

    prepare ─▶ the command, killed at call N ─▶ a command again ─▶ judge ─▶ N + 1, to its end
                 │                                │
                  └─ it was acted on,              ├─ the same: there is what the plan said, once
                    its answer is lost            └─ `destroy --bucket`: there is nothing

It ends by itself, in about half an hour. The exit code is 1, with the reasons, if anything was
wrong.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any, Final

from tests.chaos.__main__ import free_port
from tests.chaos.crash_account import Account, Things
from tests.chaos.crash_proxy import Aim, Proxy
from tests.chaos.life import Life

PROJECT: Final = "crash"
SETTINGS: Final = """
name = "crash"

[endpoint]
kind = "realtime"
tags = {{ version = "{version}" }}

[endpoint.capture]
destination = "s3://crash-{version}/captured"

[endpoint.scaling]
max_instances = 2
target = 100
"""
"""Each version needs other rights than the one before, and has other tags."""
_AT_ONCE: Final = 2
_UNREACHED: Final = "none was reached"


@dataclass(frozen=True, kw_only=True)
class Done:
    """A command that has ended, or was killed."""

    code: int
    out: str
    err: str
    is_killed: bool
    calls: list[str]


@dataclass(kw_only=True)
class World:
    """A project, an account, and commands that can be killed."""

    folder: Path
    account: Account
    proxy: Proxy
    forks: subprocess.Popen[str]
    version: int = 0
    runs: int = 0

    @property
    def project(self) -> Path:
        return self.folder / "project"

    def write(self, version: int) -> None:
        """The project's code, and what it answers."""
        self.version = version
        self.project.mkdir(exist_ok=True)
        (self.project / "portside.toml").write_text(SETTINGS.format(version=version))
        (self.project / "inference.py").write_text(
            f"def predict(data, model):\n    return 'version {version}'\n"
        )

    def run(self, *arguments: str, aim: Aim | None = None) -> Done:
        """A command on the project to its end, or until it is killed."""
        self.runs += 1
        self.proxy.aim = aim = aim or Aim()
        output = self.folder / "said"
        command = [arguments[0], str(self.project), *arguments[1:]]
        asked = {"arguments": command, "output": str(output)}
        if self.forks.stdin is None or self.forks.stdout is None:
            raise TypeError("the forks have no pipes")
        self.forks.stdin.write(f"{json.dumps(asked)}\n")
        self.forks.stdin.flush()
        aim.at(int(self.forks.stdout.readline()))
        return Done(
            code=int(self.forks.stdout.readline()),
            out=output.with_suffix(".out").read_text(),
            err=output.with_suffix(".err").read_text(),
            is_killed=aim.is_killed,
            calls=aim.calls,
        )

    def do(self, *arguments: str) -> Any:
        """A command that must succeed; what it says as JSON."""
        done = self.run(*arguments, "--json")
        if done.code != 0:
            raise WrongError(f"`{' '.join(arguments)}` ended with {done.code}: {done.err.strip()}")
        return json.loads(done.out)


class WrongError(Exception):
    """What the judge does not accept."""


@dataclass(frozen=True)
class Scenario:
    """A command that is killed. `prepare` comes before, `judge` gets what it returned."""

    name: str
    command: tuple[str, ...]
    _: KW_ONLY
    prepare: Callable[[World], Any]
    judge: Callable[[World, Any], None]


# --- What is there before -------------------------------------------------------


def nothing(world: World) -> Things:
    """An empty account, and a project to deploy; what will be there when it is."""
    if world.account.things():
        world.do("destroy", "--bucket")
    return expected(world)


def one_version(world: World) -> Things:
    """An endpoint, and its next version to deploy; what will be there when it is."""
    if not world.account.things():
        world.write(1)
        world.do("deploy")
    world.write(world.version + 1)
    return expected(world)


def two_versions(world: World) -> tuple[Things, str]:
    """An endpoint that runs the second of two; all that there is, and the first one's config."""
    for version in (1, 2):
        world.write(version)
        if version == 2 or not world.account.things():
            world.do("deploy")
    first, second = sorted(world.do("rollback", "--list"), key=lambda one: one["created_at"])
    if not second["is_live"]:
        raise WrongError("the second of two versions does not run")
    return world.account.things(), first["config"]


def one_endpoint(world: World) -> Things:
    """An endpoint; all that there is."""
    world.write(1)
    world.do("deploy")
    return world.account.things()


def expected(world: World) -> Things:
    """What there is, and what the plan makes of it."""
    things = world.account.things()
    for step in world.do("plan"):
        thing = step["kind"], step["name"]
        if step["verb"] in {"create", "upload"}:
            things[thing] += 1
        elif step["verb"] == "delete":
            del things[thing]
    return things


# --- What has to be there after -------------------------------------------------


def deployed(world: World, things: Things) -> None:
    """Deployed again, there is what the plan said, and it answers."""
    world.do("deploy")
    compare(world, things)
    if plan := world.do("plan"):
        raise WrongError(f"the plan is not empty: {plan}")
    allowed = world.account.policy_of(PROJECT)
    if f"crash-{world.version}/" not in allowed or f"crash-{world.version - 1}/" in allowed:
        raise WrongError(f"the role allows not just what version {world.version} needs: {allowed}")
    answer = world.account.answer_of(PROJECT)
    if answer != f'"version {world.version}"':
        raise WrongError(f"the answer is {answer}, not that of version {world.version}")


def destroyed(world: World, _: Things) -> None:
    """Destroyed, nothing is left."""
    world.do("destroy", "--bucket")
    compare(world, Counter())


def rolled_back(world: World, before: tuple[Things, str]) -> None:
    """Rolled back again, unless it is on record as done, the first config runs, and nothing came
    or went."""
    things, first = before
    runs = world.do("status", "--history")
    if (runs[0]["command"], runs[0]["result"]) != ("portside rollback", "done"):
        world.do("rollback")
    compare(world, things)
    now = world.account.config_of(PROJECT)
    if now != f"InService {first}":
        raise WrongError(f"the endpoint is `{now}`, and not on `{first}`")


def compare(world: World, things: Things) -> None:
    """Whether there is this, and nothing else."""
    found = world.account.things()
    if found != things:
        over, missing = dict(found - things), dict(things - found)
        raise WrongError(f"left over or twice: {over}; missing: {missing}")


SCENARIOS: Final = (
    Scenario("deploy, deploy", ("deploy",), prepare=nothing, judge=deployed),
    Scenario("deploy, destroy", ("deploy",), prepare=nothing, judge=destroyed),
    Scenario("update, deploy", ("deploy",), prepare=one_version, judge=deployed),
    Scenario("update, destroy", ("deploy",), prepare=one_version, judge=destroyed),
    Scenario("rollback, rollback", ("rollback",), prepare=two_versions, judge=rolled_back),
    Scenario("destroy, destroy", ("destroy", "--bucket"), prepare=one_endpoint, judge=destroyed),
    Scenario("destroy, deploy", ("destroy", "--bucket"), prepare=one_endpoint, judge=deployed),
)
"""What is killed, and what is run then."""


# --- Running them ---------------------------------------------------------------


def crash(world: World, scenario: Scenario, number: int) -> tuple[str, str]:
    """Kill at the Nth call, and judge: the call, empty where there was none, and what is wrong."""
    call = _UNREACHED
    try:
        before = scenario.prepare(world)
        done = world.run(*scenario.command, aim=Aim(number=number))
        call = done.calls[-1] if done.is_killed else ""
        scenario.judge(world, before)
    except WrongError as error:
        clear(world)
        return call, str(error)
    return call, ""


def clear(world: World) -> None:
    """After a fault: what is left must not be the next one's."""
    world.run("destroy", "--bucket")
    if world.account.things():
        raise SystemExit(f"crash: cannot go on, this stays: {world.account.things()}")


@contextmanager
def new_world(folder: Path) -> Iterator[World]:
    """A local SageMaker of its own, behind a proxy, and a process that forks commands."""
    life = Life(folder / "data", free_port())
    life.start()
    try:
        with Proxy(life.port) as proxy:
            known = folder / "known"
            known.mkdir()
            running = json.loads((life.data / "running.json").read_text())
            (known / "running.json").write_text(json.dumps(running | {"url": proxy.url}))
            shutil.copy(life.data / "keys.json", known)
            with forks(known) as process:
                world = World(folder=folder, account=Account(life), proxy=proxy, forks=process)
                world.write(1)
                yield world
    finally:
        life.stop()


@contextmanager
def forks(data: Path) -> Iterator[subprocess.Popen[str]]:
    """What forks commands that take the local SageMaker from a data folder."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.chaos.crash_fork"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=kept | {"PORTSIDE_LOCAL_DATA": str(data), "NO_COLOR": "1"},
    )
    try:
        yield process
    finally:
        process.communicate()


def crash_all(scenario: Scenario) -> list[str]:
    """Every call of a scenario; what was wrong."""
    faults, began = [], time.monotonic()
    with tempfile.TemporaryDirectory(prefix="crash-") as name, new_world(Path(name)) as world:
        for number in itertools.count(1):
            call, fault = crash(world, scenario, number)
            if call == _UNREACHED and number == 1:
                raise SystemExit(f"crash: cannot prepare `{scenario.name}`: {fault}")
            if fault:
                faults.append(f"{scenario.name}, killed at call {number} ({call}): {fault}")
                sys.stderr.write(f"crash: {faults[-1]}\n")
            if not call:
                break
    took_s = time.monotonic() - began
    sys.stdout.write(f"{took_s:5.0f} s  {number - 1:3d} kills  {scenario.name}\n")
    sys.stdout.flush()
    return faults


def main() -> int:
    """Every call of every scenario; tell what was counted and what was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.crash")
    parser.add_argument("--only", default="", help="scenarios with this in their name")
    options = parser.parse_args()
    chosen = [each for each in SCENARIOS if options.only in each.name]
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        faults = [fault for found in threads.map(crash_all, chosen) for fault in found]
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
