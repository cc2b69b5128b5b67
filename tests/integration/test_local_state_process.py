"""The launcher with small programs in the runtime's place: environment, output, signals."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import psutil
import pytest

from portside.local.clock import SystemClock
from portside.local.instance import leftover
from portside.local.instance.instance import InstanceSpec
from portside.local.instance.process import ProcessLauncher
from portside.local.log.log_store import MAX_EVENT_BYTES, LogStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from portside.local.instance.child_process import ChildProcess

GROUP, STREAM = "/aws/sagemaker/Endpoints/ner", "AllTraffic/i-1"


class Bench:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.logs = LogStore(folder / "logs")

    async def launch(self, program: str, **environment: str) -> ChildProcess:
        launcher = ProcessLauncher(
            folder=self.folder / "instances",
            logs=self.logs,
            clock=SystemClock(),
            command=(sys.executable, "-c", program),
        )
        spec = InstanceSpec(
            instance_id="i-1",
            image="image",
            environment=environment,
            model_dir=self.folder / "model",
            region="eu-west-1",
            log_group=GROUP,
            log_stream=STREAM,
        )
        return await launcher.launch(spec)

    def output(self) -> list[str]:
        if not self.logs.has_stream(GROUP, STREAM):
            return []
        return [event.message for event in self.logs.events(GROUP, STREAM)]

    async def until_printed(self, line: str) -> None:
        await until(lambda: line in self.output())


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while True:
            if condition():
                return
            await asyncio.sleep(0.02)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def test_the_environment_is_a_clean_one(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of the gateway")
    program = "import json, os; print(json.dumps([dict(os.environ), os.getcwd()]))"

    process = await bench.launch(program, TASK="ner", SAGEMAKER_BIND_TO_PORT="1")
    assert await process.wait() == 0

    environment, working_dir = json.loads(bench.output()[0])
    folder = str(bench.folder / "instances" / "i-1")
    path = environment.pop("PATH")
    assert path.split(":")[0] == os.path.dirname(sys.executable)  # noqa: PTH120  as the product has it: a venv's link unresolved
    environment.pop("LC_CTYPE", None)  # Python's own doing
    assert environment == {
        "LANG": "C.UTF-8",
        "HOME": f"{folder}/tmp",
        "TMPDIR": f"{folder}/tmp",
        "PYTHONUNBUFFERED": "1",
        "AWS_REGION": "eu-west-1",
        "TASK": "ner",
        "SM_MODEL_DIR": str(bench.folder / "model"),
        "SAGEMAKER_BIND_TO_PORT": str(process.port),
        "PORTSIDE_BIND_HOST": "127.0.0.1",
        "PORTSIDE_INSTANCE_FOLDER": folder,
    }
    assert working_dir == folder


async def test_both_outputs_are_kept_to_the_last_line(bench: Bench) -> None:
    program = "import sys; print('one'); sys.stderr.write('two\\nthree'); sys.exit(3)"

    process = await bench.launch(program)

    assert await process.wait() == 3
    assert bench.output() == ["one", "two", "three", "The container exited with code 3"]
    assert not (bench.folder / "instances" / "i-1").exists()


async def test_a_line_that_does_not_end_is_kept_in_pieces(bench: Bench) -> None:
    process = await bench.launch("import sys; sys.stdout.write('x' * 3_000_000)")

    await process.wait()

    *pieces, _ = bench.output()
    assert sum(map(len, pieces)) == 3_000_000
    assert max(map(len, pieces)) <= MAX_EVENT_BYTES


@pytest.mark.parametrize(
    ("program", "line"),
    [
        ("import os; os._exit(3)", "The container exited with code 3"),
        ("", "The container exited with code 0"),
        ("import os; os.kill(os.getpid(), 9)", "The container was ended by SIGKILL"),
    ],
)
async def test_an_end_without_a_word_is_told_of(bench: Bench, program: str, line: str) -> None:
    process = await bench.launch(program)

    await process.wait()

    assert bench.output() == [line]


async def test_an_end_that_was_asked_for_is_not(bench: Bench) -> None:
    process = await bench.launch("import time; print('ready'); time.sleep(600)")
    await bench.until_printed("ready")

    process.terminate()
    await process.wait()

    assert bench.output() == ["ready"]


async def test_sigterm_reaches_it_and_sigkill_ends_what_ignores_it(bench: Bench) -> None:
    program = """
import signal, time
signal.signal(signal.SIGTERM, lambda *_: print("asked"))
print("ready")
while True:
    time.sleep(0.1)
"""
    process = await bench.launch(program)
    await bench.until_printed("ready")

    process.terminate()
    await bench.until_printed("asked")
    assert process.is_alive
    process.kill()

    assert await process.wait() == -signal.SIGKILL


DAEMON = """
import subprocess
child = subprocess.Popen(["sleep", "600"], start_new_session=True{})
print(child.pid, flush=True)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="environments are shown by Linux alone")
async def test_a_process_that_left_the_group_ends_with_the_instance(bench: Bench) -> None:
    process = await bench.launch(DAEMON.format(""))

    await process.wait()

    await until(lambda: not psutil.pid_exists(int(bench.output()[0])))


@pytest.mark.skipif(sys.platform != "linux", reason="environments are shown by Linux alone")
async def test_what_an_earlier_life_left_ends_though_it_left_the_group(bench: Bench) -> None:
    process = await bench.launch(DAEMON.format("") + "import time; time.sleep(600)")
    await until(lambda: bool(bench.output()))

    ProcessLauncher(
        folder=bench.folder / "instances", logs=bench.logs, clock=SystemClock()
    ).kill_leftovers()

    await until(lambda: not psutil.pid_exists(int(bench.output()[0])))
    await process.wait()


async def test_output_held_open_by_who_got_away_does_not_hold_the_end(bench: Bench) -> None:
    process = await bench.launch(DAEMON.format(", env={}"))

    async with asyncio.timeout(10):
        await process.wait()

    psutil.Process(int(bench.output()[0])).kill()


async def test_a_command_that_is_not_there_is_an_error_in_its_log(bench: Bench) -> None:
    launcher = ProcessLauncher(
        folder=bench.folder / "instances",
        logs=bench.logs,
        clock=SystemClock(),
        command=("/nowhere/serve",),
    )
    spec = InstanceSpec(
        instance_id="i-1",
        image="image",
        environment={},
        model_dir=bench.folder,
        region="us-east-1",
        log_group=GROUP,
        log_stream=STREAM,
    )
    if sys.platform == "linux":  # the leash starts, and fails to turn into it
        process = await launcher.launch(spec)
        assert await process.wait() != 0
        assert "FileNotFoundError" in bench.output()[-2]
    else:
        with pytest.raises(FileNotFoundError):
            await launcher.launch(spec)


def test_leftovers_are_ended_and_others_are_not(tmp_path: Path) -> None:
    for name in ("ours", "stranger"):
        (tmp_path / name).mkdir()
    sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
    with (
        subprocess.Popen(sleep, start_new_session=True) as ours,
        subprocess.Popen(sleep, start_new_session=True) as stranger,
    ):
        leftover.write_down(tmp_path / "ours" / "process.json", pid=ours.pid)
        leftover.write_down(tmp_path / "stranger" / "process.json", pid=stranger.pid)
        file = tmp_path / "stranger" / "process.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"start_time": "1"}))

        launcher = ProcessLauncher(
            folder=tmp_path, logs=LogStore(tmp_path / "logs"), clock=SystemClock()
        )
        launcher.kill_leftovers()

        assert ours.wait(timeout=10) == -signal.SIGKILL
        assert stranger.poll() is None
        assert list(tmp_path.iterdir()) == []
        stranger.kill()


@pytest.mark.parametrize("content", ["", "{", '{"pid": 99999999, "start_time": "1"}'])
def test_what_was_written_half_ends_nobody(tmp_path: Path, content: str) -> None:
    file = tmp_path / "process.json"
    file.write_text(content)

    leftover.end(file)
    leftover.end(tmp_path / "none.json")
