"""What an instance prints, line by line into the log store."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio

    from portside.local.clock import Clock
    from portside.local.instance.instance import InstanceSpec
    from portside.local.log.log_store import LogStore

Keep = Callable[[list[bytes]], None]
"""Keeps lines, given without their line ends."""

_CHUNK_BYTES: Final = 64 * 1024
_LONGEST_LINE_BYTES: Final = 16 * _CHUNK_BYTES
"""A line without an end must not fill the memory; a longer one becomes several."""

_log = logging.getLogger(__name__)


def keeper(spec: InstanceSpec, *, logs: LogStore, clock: Clock) -> Keep:
    """What keeps an instance's lines in its log stream."""

    def keep(lines: list[bytes]) -> None:
        try:
            logs.append(spec.log_group, spec.log_stream, lines, now_ms=clock.now_ms())
        except OSError:  # a full disk must not block the instance: its pipe is read on
            _log.exception("could not keep %d lines of %s", len(lines), spec.log_stream)

    return keep


async def copy(reader: asyncio.StreamReader, keep: Keep) -> None:
    """Keep every line until the output ends."""
    rest = b""
    while chunk := await reader.read(_CHUNK_BYTES):
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > _LONGEST_LINE_BYTES:
            lines, rest = [*lines, rest], b""
        if lines:
            keep(lines)
    if rest:
        keep([rest])
