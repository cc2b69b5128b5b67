"""A docker or podman in memory: what it is told, and what it would say."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from portside.engine.command import EngineKind
from portside.engine.engine import Engine
from portside.engine.runner import NOTHING_MORE, Done


class FakeAttached:
    """A started container, ended by a test or by a signal."""

    def __init__(self) -> None:
        self.output = asyncio.StreamReader()
        self.returncode: int | None = None
        self.signals: list[int] = []
        self.is_closed = False
        self._ended = asyncio.Event()

    async def wait(self) -> int:
        await self._ended.wait()
        return self.returncode or 0

    def send_signal(self, number: int) -> None:
        self.signals.append(number)
        self.exit(-number)

    def exit(self, code: int, *said: bytes) -> None:
        self.output.feed_data(b"".join(line + b"\n" for line in said))
        self.output.feed_eof()
        self.returncode = code
        self._ended.set()

    def close(self) -> None:
        self.is_closed = True


@dataclass
class FakeRunner:
    """`images` are ids by name, and `registry` those that can be pulled.

    `refusals` are complaints by the first words of an order.
    """

    images: dict[str, dict[str, object]] = field(default_factory=dict)
    networks: set[str] = field(default_factory=set)
    containers: dict[str, dict[str, object]] = field(default_factory=dict)
    refusals: dict[str, str] = field(default_factory=dict)
    failures: list[OSError] = field(default_factory=list)
    orders: list[tuple[str, ...]] = field(default_factory=list)
    environments: list[Mapping[str, str]] = field(default_factory=list)
    env_files: list[str] = field(default_factory=list)
    registry: dict[str, dict[str, object]] = field(default_factory=dict)
    auth_files: list[str] = field(default_factory=list)
    attached: list[FakeAttached] = field(default_factory=list)

    def engine(self, kind: EngineKind = EngineKind.PODMAN, *, limits_memory: bool = True) -> Engine:
        return Engine(
            kind,
            program=f"/bin/{kind}",
            version="1.2",
            limits_memory=limits_memory,
            runner=self,
        )

    def told(self, word: str) -> list[tuple[str, ...]]:
        """The orders that begin with this word."""
        return [order for order in self.orders if order[0] == word]

    async def run(
        self,
        command: tuple[str, ...],
        *,
        timeout_s: float,
        environment: Mapping[str, str] = NOTHING_MORE,
    ) -> Done:
        order = command[1:]
        self.orders.append(order)
        self.environments.append(environment)
        if self.failures:
            raise self.failures.pop(0)
        for beginning, complaint in self.refusals.items():
            if " ".join(order).startswith(beginning):
                return Done(code=125, errors=f"warning: first\nError: {complaint}\n")
        return self._answer(order)

    async def attach(self, command: tuple[str, ...]) -> FakeAttached:
        self.orders.append(command[1:])
        self.attached.append(FakeAttached())
        return self.attached[-1]

    def _answer(self, order: tuple[str, ...]) -> Done:
        match order:
            case ("image", "inspect", name):
                return _inspected(self.images.get(name))
            case ("container", "inspect", name):
                return _inspected(self.containers.get(name))
            case ("network", "inspect", name) if name not in self.networks:
                return Done(code=1, errors="Error: network not found")
            case ("network", "create", name):
                self.networks.add(name)
            case ("pull", *options, name):
                self.auth_files.append(Path(options[2]).read_text())
                if name not in self.registry:
                    return Done(code=125, errors="Error: manifest unknown")
                self.images[name] = self.registry[name]
            case ("tag", name, other):
                self.images[other] = self.images[name]
            case ("create", *options):
                self._create(options)
            case ("rm", *options):
                for name in options:
                    self.containers.pop(name, None)
            case ("ps", *_):
                return Done(code=0, output="\n".join(self.containers).encode())
        return Done(code=0)

    def _create(self, options: list[str]) -> None:
        file = Path(options[options.index("--env-file") + 1])
        self.env_files.append(file.read_text())
        self.containers[options[options.index("--name") + 1]] = state()


def state(*, has_started: bool = True, is_out_of_memory: bool = False) -> dict[str, object]:
    """What an engine says of a container."""
    started = "2026-11-23T07:30:07Z" if has_started else "0001-01-01T00:00:00Z"
    return {"State": {"StartedAt": started, "OOMKilled": is_out_of_memory}}


def _inspected(found: dict[str, object] | None) -> Done:
    if found is None:
        return Done(code=1, output=b"[]\n", errors="Error: no such object")
    return Done(code=0, output=json.dumps([found]).encode())
