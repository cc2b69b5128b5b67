"""A process that was started as an instance: its output, its signals, its end.

    output ─▶ log store, line by line
    exit   ─▶ its group killed, and who left it ─▶ output read to the end
           ─▶ how it ended ─▶ folder removed

A process leads its own session, so that a signal reaches all that it started
and Ctrl-C in the terminal of the local SageMaker does not reach it.
"""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from portside.local.instance import output, straggler
from portside.local.instance.removal import remove

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_MIB: Final = 1024 * 1024
_KILLED: Final = 128 + signal.SIGKILL
"""How a container's exit code tells of SIGKILL."""
_OUTPUT_GRACE_S: Final = 2.0
"""How long output may still come after the end: somebody who left the group may hold the pipe."""


class MemoryLimit(Protocol):
    """What ends an instance that takes more memory than it may."""

    @property
    def limit_bytes(self) -> int:
        """How much it may take."""
        ...

    @property
    def was_exceeded(self) -> bool:
        """Whether that was the instance's end."""
        ...

    def remove(self) -> None:
        """The instance has ended: let go of it."""
        ...


class ChildProcess:
    """A started process, watched until its end."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        *,
        port: int,
        folder: Path,
        printed: Printed,
        keep: output.Keep,
        memory_limit: MemoryLimit | None,
        on_gone: Callable[[], None] = lambda: None,
    ) -> None:
        self.port = port
        self._process = process
        self._folder = folder
        self._printed = printed
        self._keep = keep
        self._memory_limit = memory_limit
        self._on_gone = on_gone
        self._was_told_to_end = False
        self._watching = asyncio.create_task(self._watch())

    @property
    def is_alive(self) -> bool:
        """Whether it still runs."""
        return self._process.returncode is None

    @property
    def group(self) -> int | None:
        """Its process group: it leads a session of its own."""
        return self._process.pid

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
        reading = asyncio.create_task(output.copy(self._printed.reader, self._keep))
        code = await self._process.wait()
        _signal_group(self._process.pid, signal.SIGKILL)  # what it started and did not end
        await asyncio.to_thread(straggler.end, (self._folder,))
        await asyncio.wait([reading], timeout=_OUTPUT_GRACE_S)
        reading.cancel()
        self._printed.pipe.close()
        if not self._was_told_to_end:
            self._keep([_last_words(code, self._memory_limit).encode()])
        if self._memory_limit is not None:
            self._memory_limit.remove()
        remove(self._folder)
        self._on_gone()
        return code


@dataclass(frozen=True, slots=True)
class Printed:
    """What a process prints, and the pipe that it comes through."""

    reader: asyncio.StreamReader
    pipe: asyncio.BaseTransport


async def spawn(
    command: tuple[str, ...], *, folder: Path, environment: dict[str, str]
) -> tuple[asyncio.subprocess.Process, Printed]:
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
            *command,
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
    return process, Printed(reader, pipe)


def _last_words(code: int, memory_limit: MemoryLimit | None) -> str:
    """The last line of a log whose instance ended by itself, perhaps without one. Ours."""
    if code == -signal.SIGKILL and memory_limit is not None and memory_limit.was_exceeded:
        size = memory_limit.limit_bytes // _MIB
        return (
            f"The container exited with code {_KILLED}: it went over its memory limit of {size} MB"
        )
    if code >= 0:
        return f"The container exited with code {code}"
    names = {number.value: number.name for number in signal.Signals}
    return f"The container was ended by {names.get(-code, f'signal {-code}')}"


def _signal_group(pid: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):  # gone; macOS says EPERM of a zombie
        os.killpg(pid, number)
