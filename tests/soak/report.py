"""The judgment of a soak, and its page."""

from __future__ import annotations

import platform
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import attrgetter
from pathlib import Path
from typing import Any, Final

import psutil

import portside
from tests.soak.caller import TEXTS, Tally
from tests.soak.sample import Sample, typical_bytes

MOST_GROWTH: Final = 0.1
"""Of the memory from early to late, for what the allocator has not given back."""

MEGABYTE: Final = 1e6

_COUNTS: Final[Mapping[str, Callable[[Sample], int]]] = {
    "threads": attrgetter("threads"),
    "file descriptors": attrgetter("descriptors"),
    "connections": attrgetter("connections"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """All that a soak saw."""

    seconds: float
    tallies: Sequence[Tally]
    first: Sample
    """Before the load."""
    samples: Sequence[Sample]
    """During it."""
    last: Sample
    """After everybody has hung up."""
    exit_code: int
    errors: Sequence[dict[str, Any]]
    """Lines of the server's log."""

    @property
    def early(self) -> Sequence[Sample]:
        """The second fifth of the samples: buffers and caches are full by then."""
        fifth = len(self.samples) // 5
        return self.samples[fifth : 2 * fifth]

    @property
    def late(self) -> Sequence[Sample]:
        """The last fifth."""
        return self.samples[-(len(self.samples) // 5) :]

    def seconds_of(self, kind: str) -> list[float]:
        """How long each answer to callers of a kind took."""
        return [each for tally in self.tallies if tally.kind == kind for each in tally.seconds]


def judge(outcome: Outcome, *, most_ping_s: float) -> list[str]:
    """What was wrong; nothing if all was well."""
    return list(_faults(outcome, most_ping_s=most_ping_s))


def _faults(outcome: Outcome, *, most_ping_s: float) -> Iterator[str]:
    for tally in outcome.tallies:
        yield from tally.wrong
        if not tally.requests:
            yield f"{tally.kind}: no request was made"
    slowest_s = max(outcome.seconds_of("pinging"), default=0)
    # What the control waits for, the machine is to blame for.
    control_s = max(outcome.seconds_of("control"), default=0)
    if slowest_s - control_s > most_ping_s:
        yield (
            f"the slowest ping took {1000 * slowest_s:.1f} ms, over {1000 * most_ping_s:g} more "
            f"than that of the control, {1000 * control_s:.1f}"
        )
    early, late = typical_bytes(outcome.early), typical_bytes(outcome.late)
    if late > early * (1 + MOST_GROWTH):
        yield f"memory grew from {early} to {late} bytes"
    for name, count in _COUNTS.items():
        before, after = count(outcome.first), count(outcome.last)
        if after > before:
            yield f"{after} {name} are left, {before} were there before"
    if outcome.exit_code != 0:
        yield f"exit code or status {outcome.exit_code} at the end"
    for line in outcome.errors:
        yield f"in the log: {line['message']}"


# --- The page -------------------------------------------------------------------


def make_page(outcome: Outcome, *, command: str) -> str:
    """The page in Markdown."""
    memory = psutil.virtual_memory().total / 1e9
    version = portside.__version__
    written = datetime.now(UTC).isoformat(timespec="seconds")
    return f"""# Soak

Written by `make soak` on {written}; do not edit.

{outcome.seconds:g} seconds of callers of all kinds at the same time, on the trained model of
`examples/ner`. Every good answer is held against the one that the same text got alone.

| callers | requests | p50 (ms) | p99 (ms) | slowest (ms) | wrong |
| ------- | -------: | -------: | -------: | -----------: | ----: |
{_rows(outcome)}

| held by the server | before | early | late | at rest |
| ------------------ | -----: | ----: | ---: | ------: |
{_held(outcome)}

- **Good** callers send one to eight texts a request; **bad** ones what is refused, from `{{` to a
  terabyte; **vanishing** ones hang up at any byte; **slow writers** send four bytes a second on
  twenty connections; **slow readers** ask for {len(TEXTS)} texts and fifty pages of metrics, and
  read a few kilobytes a second; **pinging** is `/ping` on new connections, from a process of its
  own, and **control** the same to a server that does nothing: what that takes, the machine takes.
- **Before**: after large requests have filled what the backend keeps. **Early** and **late**:
  medians of the second and of the last fifth of the samples, one a second. **At rest**: after
  everybody has hung up.
- **The end**: SIGTERM while a request of {len(TEXTS)} texts was under way; it was answered, exit
  code {outcome.exit_code}; {len(outcome.errors)} errors in the log.
- **Command**: `{command}`.
- **Machine**: {_processor()}, {psutil.cpu_count()} cores, {memory:.1f} GB, shared by callers and
  server; {platform.platform()}, Python {platform.python_version()}, Portside {version}.
"""


def _processor() -> str:
    """Its name, where Linux tells it."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _rows(outcome: Outcome) -> str:
    rows = []
    for kind in dict.fromkeys(tally.kind for tally in outcome.tallies):
        mine = [tally for tally in outcome.tallies if tally.kind == kind]
        wrong = sum(len(tally.wrong) for tally in mine)
        times = _times(outcome.seconds_of(kind))
        rows.append(f"| {kind} | {sum(tally.requests for tally in mine)} | {times} | {wrong} |")
    return "\n".join(rows)


def _times(seconds: Sequence[float]) -> str:
    if len(seconds) < 2:
        return " | | "
    p99 = statistics.quantiles(seconds, n=100, method="inclusive")[98]
    figures = (statistics.median(seconds), p99, max(seconds))
    return " | ".join(f"{1000 * each:.1f}" for each in figures)


def _held(outcome: Outcome) -> str:
    columns = ([outcome.first], outcome.early, outcome.late, [outcome.last])
    megabytes = [f"{typical_bytes(samples) / MEGABYTE:.0f}" for samples in columns]
    rows = [("resident memory (MB)", megabytes)]
    for name, count in _COUNTS.items():
        medians = [statistics.median(map(count, samples)) for samples in columns]
        rows.append((name, [f"{median:g}" for median in medians]))
    return "\n".join(f"| {name} | {' | '.join(cells)} |" for name, cells in rows)
