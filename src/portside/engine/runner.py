"""The one place that runs docker and podman."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Protocol

NOTHING_MORE: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A program that has ended: its exit code and what it printed."""

    code: int
    output: bytes = b""
    errors: str = ""

    @property
    def reason(self) -> str:
        """The last line of what it complained of."""
        lines = [line for line in self.errors.splitlines() if line.strip()]
        if not lines:
            return f"it ended with exit code {self.code}"
        return lines[-1].strip().removeprefix("Error: ")


class Attached(Protocol):
    """A program that runs for as long as a container does."""

    @property
    def output(self) -> asyncio.StreamReader:
        """What the container prints, both its streams in one."""
        ...

    @property
    def returncode(self) -> int | None:
        """The container's exit code, negative for a signal to the program; None while it runs."""
        ...

    async def wait(self) -> int:
        """Until the program has ended; `returncode`.

        The output may go on: podman leaves a process that holds it, until the container ends.
        """
        ...

    def send_signal(self, number: int) -> None:
        """Hand a signal on."""
        ...

    def close(self) -> None:
        """Read no more of the output."""
        ...


class Runner(Protocol):
    """What can run a program."""

    async def run(
        self,
        command: tuple[str, ...],
        *,
        timeout_s: float,
        environment: Mapping[str, str] = NOTHING_MORE,
    ) -> Done:
        """Run it to its end, with variables besides those that it always gets.

        Raises OSError where it cannot be run, and TimeoutError (which is one) where it does
        not end in time and was killed.
        """
        ...

    async def attach(self, command: tuple[str, ...]) -> Attached:
        """Start it, in a session of its own; raises OSError where it cannot be started."""
        ...


class SystemRunner:
    """Runs programs of this machine.

    They get `environment`, which says where the engine's server or its storage is.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)  # uvloop takes no other mapping

    async def run(
        self,
        command: tuple[str, ...],
        *,
        timeout_s: float,
        environment: Mapping[str, str] = NOTHING_MORE,
    ) -> Done:
        """Run it to its end."""
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**self._environment, **environment},
        )
        try:
            async with asyncio.timeout(timeout_s):
                output, errors = await process.communicate()
        except BaseException:
            if process.returncode is None:
                process.kill()
                await process.wait()
            raise
        code = await process.wait()
        return Done(code=code, output=output, errors=errors.decode(errors="replace"))

    async def attach(self, command: tuple[str, ...]) -> Attached:
        """Start it; Ctrl-C in this process's terminal does not reach it.

        The pipe is ours and not asyncio's, whose `wait` returns only when the pipe is closed.
        """
        read_end, write_end = os.pipe()
        output = asyncio.StreamReader()
        pipe, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(output), os.fdopen(read_end, "rb")
        )
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=write_end,
                stderr=write_end,
                env=self._environment,
                start_new_session=True,
            )
        except BaseException:
            pipe.close()
            raise
        finally:
            os.close(write_end)
        return _AttachedProcess(process, output=output, pipe=pipe)


class _AttachedProcess:
    def __init__(
        self,
        process: asyncio.subprocess.Process,
        *,
        output: asyncio.StreamReader,
        pipe: asyncio.BaseTransport,
    ) -> None:
        self.output = output
        self._process = process
        self._pipe = pipe

    @property
    def returncode(self) -> int | None:
        return self._process.returncode

    async def wait(self) -> int:
        return await self._process.wait()

    def send_signal(self, number: int) -> None:
        self._process.send_signal(number)

    def close(self) -> None:
        self._pipe.close()
