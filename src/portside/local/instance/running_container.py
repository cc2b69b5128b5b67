"""A container from its start to its end, when nothing of it is left but what it printed.

    output ─▶ log store, line by line
    exit ─▶ container removed ─▶ output read to the end ─▶ how it ended ─▶ folder removed

It is the `Process` of an instance whose launcher is `container`.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Final

from portside.engine.engine import EngineError
from portside.local.instance import container_plan, output
from portside.local.instance.removal import remove

if TYPE_CHECKING:
    from collections.abc import Callable

    from portside.engine.command import Container
    from portside.engine.engine import ContainerState, Engine
    from portside.engine.runner import Attached

_OUTPUT_GRACE_S: Final = 2.0
"""How long output may still come after the end of the container, whoever holds the pipe."""

_log = logging.getLogger(__name__)


class RunningContainer:
    """A started container, watched until its end."""

    def __init__(
        self,
        client: Attached,
        *,
        container: Container,
        engine: Engine,
        folder: Path,
        keep: output.Keep,
        on_not_started: Callable[[str], None],
        on_gone: Callable[[], None],
    ) -> None:
        self.port = container.host_port
        self._client = client
        self._container = container
        self._engine = engine
        self._folder = folder
        self._keep = keep
        self._on_not_started = on_not_started
        self._on_gone = on_gone
        self._last_line = b""
        self._was_told_to_end = False
        self._watching = asyncio.create_task(self._watch())

    @property
    def is_alive(self) -> bool:
        """Whether it still runs."""
        return self._client.returncode is None

    @property
    def group(self) -> int | None:
        """None: the engine keeps it apart from the processes of this machine."""
        return None

    async def wait(self) -> int:
        """Until it is gone, its output stored, container and folder removed; its exit code."""
        return await asyncio.shield(self._watching)

    def terminate(self) -> None:
        """SIGTERM, which the engine's program hands on."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to the engine's program; the container is ended when it is removed."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        if self.is_alive:
            self._was_told_to_end = True
            self._client.send_signal(number)

    async def _watch(self) -> int:
        reading = asyncio.create_task(output.copy(self._client.output, self._keep_and_note))
        code = await self._client.wait()
        state = await self._state()
        is_gone = await discard(self._engine, self._container.name)
        await asyncio.wait([reading], timeout=_OUTPUT_GRACE_S)
        reading.cancel()
        self._client.close()
        if not self._was_told_to_end:
            self._tell_why(code, state)
        if is_gone:
            remove(self._folder)
        self._on_gone()
        return code

    def _keep_and_note(self, lines: list[bytes]) -> None:
        self._keep(lines)
        self._last_line = lines[-1]

    async def _state(self) -> ContainerState | None:
        try:
            return await self._engine.state(self._container.name)
        except EngineError as error:
            _log.warning("could not see how %s ended: %s", self._container.name, error)
            return None

    def _tell_why(self, code: int, state: ContainerState | None) -> None:
        if state is not None and not state.has_started:
            self._on_not_started(self._last_line.decode(errors="replace"))
        words = container_plan.last_words(
            code, state, memory_limit_bytes=self._container.memory_limit_bytes
        )
        self._keep([words.encode()])


async def discard(engine: Engine, name: str) -> bool:
    """Remove a container, running or not; its folder must stay for the next start if that fails."""
    try:
        await engine.remove(name)
    except EngineError as error:
        _log.warning("could not remove a container: %s", error)
        return False
    return True
