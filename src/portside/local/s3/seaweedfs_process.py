"""The object store of our own: SeaweedFS as a child process that is there as long as we are.

    start ──▶ settings, free ports ──▶ weed mini ──▶ answers? ──▶ ready
                 ▲                                                  │
                 └────────────── a second later ◀── it ended ───────┘

The gateway does not wait for it, and starts it again where it dies.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from contextlib import suppress
from pathlib import Path
from typing import Final

import aiohttp

from portside.local.clock import Clock
from portside.local.data_folder import Keys
from portside.local.instance import leftover
from portside.local.s3 import seaweedfs
from portside.local.s3.objects import PATIENCE_S

_POLL_S: Final = 0.02
_RESTART_DELAY_S: Final = 1.0
_STOP_GRACE_S: Final = 10.0
"""SIGTERM to SIGKILL; SeaweedFS needs about a second to write its volumes out."""

_log = logging.getLogger(__name__)


class SeaweedProcess:
    """A `Source` of objects in a folder; runs between `start` and `stop`."""

    takes_any_host: Final = True
    absence: Final = "The object store is not running. Its output is in objects.log."

    def __init__(self, folder: Path, *, program: str, keys: Keys, clock: Clock) -> None:
        self.keys: Final = keys
        self._folder = folder
        self._clock = clock
        self._program = program
        self._ready = asyncio.Event()
        self._url = ""
        self._process: asyncio.subprocess.Process | None = None
        self._life: asyncio.Task[None] | None = None

    @property
    def state(self) -> str:
        """Whether it answers now."""
        return "ready" if self._ready.is_set() else "starting"

    async def url(self) -> str:
        """Where it listens, when it is ready; raises TimeoutError."""
        await asyncio.wait_for(self._ready.wait(), PATIENCE_S)
        return self._url

    async def start(self) -> None:
        """Begin to start it."""
        leftover.end(self._folder / "process.json")
        self._life = asyncio.create_task(self._live())

    async def stop(self) -> None:
        """End it, with time to write out what it holds."""
        if self._life is not None:
            self._life.cancel()
            await asyncio.gather(self._life, return_exceptions=True)
        if self._process is not None:
            await _end(self._process)
            seaweedfs.sweep(self._folder)

    async def _live(self) -> None:
        """Start it, and again whenever it ends by itself."""
        while True:
            try:
                self._process = await self._spawn()
            except OSError:
                _log.exception("the object store cannot be started")
                await self._clock.sleep(_RESTART_DELAY_S)
                continue
            waiting = asyncio.create_task(self._become_ready())
            try:
                code = await self._process.wait()
            finally:
                waiting.cancel()
                self._ready.clear()
            _log.error("the object store ended with exit code %d; see objects.log", code)
            await self._clock.sleep(_RESTART_DELAY_S)

    async def _spawn(self) -> asyncio.subprocess.Process:
        self._folder.mkdir(parents=True, exist_ok=True)
        seaweedfs.sweep(self._folder)
        await asyncio.to_thread(seaweedfs.shut, self._folder)
        ports = seaweedfs.free_ports()
        seaweedfs.keep_ports(self._folder, ports)
        self._url = f"http://{seaweedfs.LOOPBACK}:{ports[0]}"
        command = seaweedfs.command_line(self._program, self._folder, ports=ports)
        with (self._folder.parent / "objects.log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                env=seaweedfs.environment(self.keys, self._folder),
                start_new_session=True,  # Ctrl-C in the terminal is for the gateway to pass on
            )
        try:
            leftover.write_down(self._folder / "process.json", pid=process.pid)
        except OSError:
            process.kill()  # a process that nobody knows of would outlive us
            await process.wait()
            raise
        return process

    async def _become_ready(self) -> None:
        async with aiohttp.ClientSession() as http:
            while not await self._answers(http):
                await self._clock.sleep(_POLL_S)
        self._ready.set()

    async def _answers(self, http: aiohttp.ClientSession) -> bool:
        try:
            async with http.get(f"{self._url}/healthz") as answer:
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False


async def _end(process: asyncio.subprocess.Process) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            process.send_signal(number)
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _STOP_GRACE_S)
