"""Instances as processes of this machine: the launcher for where there are no containers.

    spec ─▶ own folder, free port, clean environment ─▶ leash ─▶ runtime
                                                   output ─▶ log store, line by line
         exit ─▶ its group killed ─▶ output read to the end ─▶ how it ended ─▶ folder removed

A process leads its own session, so that a signal reaches all that it started
and Ctrl-C in the terminal of the local SageMaker does not reach it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from portside.contract import ENV_BIND_HOST, ENV_BIND_TO_PORT, ENV_MODEL_DIR
from portside.local import leash, leftover, runtime_image
from portside.local.removal import remove

if TYPE_CHECKING:
    from collections.abc import Callable

    from portside.local.clock import Clock
    from portside.local.instance import InstanceSpec
    from portside.local.log_store import LogStore

LOOPBACK: Final = "127.0.0.1"

_SYSTEM_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_CHUNK_BYTES: Final = 64 * 1024
_OUTPUT_GRACE_S: Final = 2.0
"""How long output may still come after the end: somebody who left the group may hold the pipe."""

_log = logging.getLogger(__name__)


class ProcessLauncher:
    """Starts instances as processes. `folder` holds one folder for each while it runs."""

    def __init__(
        self,
        *,
        folder: Path,
        logs: LogStore,
        clock: Clock,
        command: tuple[str, ...] = runtime_image.COMMAND,
    ) -> None:
        self._folder = folder
        self._logs = logs
        self._clock = clock
        self._command = command
        self._running: dict[int, ChildProcess] = {}

    def resolve(self, image: str) -> str:
        """The image with its digest; raises `ImageMissingError` for all but the runtime's."""
        return runtime_image.resolve(image)

    async def launch(self, spec: InstanceSpec) -> ChildProcess:
        """Start the runtime on a free port; raises OSError when the machine cannot."""
        folder = self._folder / spec.instance_id
        remove(folder)
        temp = folder / "tmp"
        temp.mkdir(parents=True, exist_ok=True)
        port = self._free_port()
        process, output = await _spawn(
            self._command, folder=folder, environment=_environment(spec, temp=temp, port=port)
        )
        child = ChildProcess(
            process, port=port, folder=folder, output=output, keep=self._keeper(spec)
        )
        self._running[port] = child
        try:
            leftover.write_down(folder / "process.json", pid=process.pid)
        except OSError:
            child.kill()
            raise
        return child

    def kill_leftovers(self) -> None:
        """End what an earlier life left running, and remove its folders."""
        if self._folder.is_dir():
            for folder in self._folder.iterdir():
                leftover.end(folder / "process.json")
                remove(folder)

    def _free_port(self) -> int:
        """A port that nobody listens on and that no running instance was given.

        It is free when looked at; should somebody take it first, the instance
        ends and is started again with another.
        """
        self._running = {port: child for port, child in self._running.items() if child.is_alive}
        while True:
            with socket.socket() as probe:
                probe.bind((LOOPBACK, 0))
                port: int = probe.getsockname()[1]
            if port not in self._running:
                return port

    def _keeper(self, spec: InstanceSpec) -> Callable[[list[bytes]], None]:
        def keep(lines: list[bytes]) -> None:
            try:
                self._logs.append(
                    spec.log_group, spec.log_stream, lines, now_ms=self._clock.now_ms()
                )
            except OSError:  # a full disk must not block the instance: its pipe is read on
                _log.exception("could not keep %d lines of %s", len(lines), spec.log_stream)

        return keep


class ChildProcess:
    """A started process, watched until its end."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        *,
        port: int,
        folder: Path,
        output: _Output,
        keep: Callable[[list[bytes]], None],
    ) -> None:
        self.port = port
        self._process = process
        self._folder = folder
        self._output = output
        self._keep = keep
        self._was_told_to_end = False
        self._watching = asyncio.create_task(self._watch())

    @property
    def is_alive(self) -> bool:
        """Whether it still runs."""
        return self._process.returncode is None

    async def wait(self) -> int:
        """Until it is gone, its output stored and its folder removed; its exit code."""
        return await asyncio.shield(self._watching)

    def terminate(self) -> None:
        """SIGTERM to its group."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to its group."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        if self.is_alive:
            self._was_told_to_end = True
            _signal_group(self._process.pid, number)

    async def _watch(self) -> int:
        reading = asyncio.create_task(_copy(self._output.reader, self._keep))
        code = await self._process.wait()
        _signal_group(self._process.pid, signal.SIGKILL)  # what it started and did not end
        await asyncio.wait([reading], timeout=_OUTPUT_GRACE_S)
        reading.cancel()
        self._output.pipe.close()
        if not self._was_told_to_end:
            self._keep([_last_words(code).encode()])
        remove(self._folder)
        return code


@dataclass(frozen=True, slots=True)
class _Output:
    reader: asyncio.StreamReader
    pipe: asyncio.BaseTransport


async def _spawn(
    command: tuple[str, ...], *, folder: Path, environment: dict[str, str]
) -> tuple[asyncio.subprocess.Process, _Output]:
    """Start the command with stdout and stderr in one pipe.

    The pipe is ours and not asyncio's, whose `wait` returns only when the pipe
    is closed, and a process that the instance left behind can keep it open.
    """
    read_end, write_end = os.pipe()
    reader = asyncio.StreamReader()
    pipe, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read_end, "rb")
    )
    try:
        process = await asyncio.create_subprocess_exec(
            *leash.leashed(*command),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=write_end,
            stderr=write_end,
            cwd=folder,
            env=environment,
            start_new_session=True,
        )
    except BaseException:
        pipe.close()
        raise
    finally:
        os.close(write_end)
    return process, _Output(reader, pipe)


async def _copy(reader: asyncio.StreamReader, keep: Callable[[list[bytes]], None]) -> None:
    rest = b""
    while chunk := await reader.read(_CHUNK_BYTES):
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > _CHUNK_BYTES * 16:  # a line without an end must not fill the memory
            lines, rest = [*lines, rest], b""
        if lines:
            keep(lines)
    if rest:
        keep([rest])


def _last_words(code: int) -> str:
    """The last line of a log whose instance ended by itself, perhaps without one. Ours."""
    if code >= 0:
        return f"The container exited with code {code}"
    names = {number.value: number.name for number in signal.Signals}
    return f"The container was ended by {names.get(-code, f'signal {-code}')}"


def _signal_group(pid: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):  # gone; macOS says EPERM of a zombie
        os.killpg(pid, number)


def _environment(spec: InstanceSpec, *, temp: Path, port: int) -> dict[str, str]:
    """Clean, not that of the local SageMaker: what a container would see.

    The last three tell the runtime of its model and port where there is no container.
    """
    return {
        "PATH": f"{Path(sys.executable).parent}:{_SYSTEM_PATH}",
        "LANG": "C.UTF-8",
        "HOME": str(temp),
        "TMPDIR": str(temp),
        "PYTHONUNBUFFERED": "1",
        "AWS_REGION": spec.region,
        **spec.environment,
        ENV_MODEL_DIR: str(spec.model_dir),
        ENV_BIND_TO_PORT: str(port),
        ENV_BIND_HOST: LOOPBACK,
    }
