"""What a process holds: memory, threads, file descriptors, sockets."""

from __future__ import annotations

import statistics
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import psutil

EVERY_S: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One look at a process."""

    resident_bytes: int
    threads: int
    descriptors: int
    connections: int


def look(process: psutil.Process) -> Sample:
    """What it holds now."""
    with process.oneshot():
        return Sample(
            resident_bytes=process.memory_info().rss,
            threads=process.num_threads(),
            descriptors=process.num_fds(),
            connections=sum(each.status == "ESTABLISHED" for each in process.net_connections()),
        )


class Watch:
    """Looks at a process every second, from `start` to `stop`."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process
        self._samples: list[Sample] = []
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> list[Sample]:
        """End; all that was seen."""
        self._is_over.set()
        self._thread.join()
        return self._samples

    def _run(self) -> None:
        while not self._is_over.wait(EVERY_S):
            self._samples.append(look(self._process))


def typical_bytes(samples: Sequence[Sample]) -> int:
    """The median of the resident memory: the large requests under way come and go."""
    return round(statistics.median(sample.resident_bytes for sample in samples))
