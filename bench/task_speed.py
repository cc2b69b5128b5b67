"""The same model behind each server, asked alike.

each server started once, all answers compared (agreement): no speed without agreement
rounds: each server in turn, a fresh process each time, because the machine drifts
a round: start, first prediction, loads, resident memory, stop
medians over the rounds
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.agreement import FP32_TOLERANCE, INT8_TOLERANCE, Agreement, check_agreement
from bench.load import Load, make_bodies, run_load
from bench.peers import BASELINE, PORTSIDE_INT8
from bench.place import say
from bench.server import Answer, Running, Server, predict, running

CONNECTIONS: Final = (1, 8, 32)
STRINGS: Final = 8
"""In a request of the load of many strings, which has as many connections."""

WARM_UP_S: Final = 1.0
COMPARED_AT_ONCE: Final = 16
"""Texts a request while answers are compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSpeed:
    """What one server did; of several rounds, the medians."""

    ping_s: float
    """From its spawning to the first healthy ping."""
    prediction_s: float
    """… to the first prediction."""
    loads: dict[int, Load]
    """One string a request, by the number of connections."""
    strings: Load
    """Many strings a request."""
    resident_bytes: int
    """After the loads, children included."""

    @property
    def strings_per_s(self) -> float:
        """With many strings a request."""
        return STRINGS * self.strings.requests_per_s

    @property
    def saturated_strings_per_s(self) -> float:
        """The most that it reached, whichever way it was asked."""
        return max(self.strings_per_s, *(load.requests_per_s for load in self.loads.values()))


def compare_answers(
    servers: Sequence[Server], texts: Sequence[str], *, logs: Path
) -> dict[str, Agreement]:
    """Ask all for all texts; the files that they read are in the page cache after this."""
    answers = {server.name: _all_answers(server, texts, logs=logs) for server in servers}
    expected = answers[BASELINE]
    return {
        name: check_agreement(
            texts,
            expected,
            given,
            tolerance=INT8_TOLERANCE if name == PORTSIDE_INT8 else FP32_TOLERANCE,
        )
        for name, given in answers.items()
        if name != BASELINE
    }


def _all_answers(server: Server, texts: Sequence[str], *, logs: Path) -> list[Answer]:
    say(f"collecting the answers of {server.name}")
    batches = [texts[n : n + COMPARED_AT_ONCE] for n in range(0, len(texts), COMPARED_AT_ONCE)]
    with running(server, logs) as started:
        started.wait_for_ping()
        with started.connect() as connection:
            return [answer for batch in batches for answer in predict(connection, list(batch))]


def measure_tasks(
    servers: Sequence[Server], texts: Sequence[str], *, logs: Path, rounds: int, seconds: float
) -> dict[str, TaskSpeed]:
    """Each server so many times, each load for so many seconds."""
    seen: dict[str, list[TaskSpeed]] = {server.name: [] for server in servers}
    for number in range(1, rounds + 1):
        for server in servers:
            say(f"tasks, round {number} of {rounds}: {server.name}")
            seen[server.name].append(measure_round(server, texts, logs=logs, seconds=seconds))
    return {name: _median(each) for name, each in seen.items()}


def measure_round(server: Server, texts: Sequence[str], *, logs: Path, seconds: float) -> TaskSpeed:
    """Start, first healthy ping, first prediction, loads, memory, stop."""
    with running(server, logs) as started:
        started.wait_for_ping()
        ping_s = time.perf_counter() - started.spawned_at
        with started.connect() as connection:
            predict(connection, [texts[0]])
        prediction_s = time.perf_counter() - started.spawned_at
        loads, strings = _measure_loads(started, texts, seconds=seconds)
        return TaskSpeed(
            ping_s=ping_s,
            prediction_s=prediction_s,
            loads=loads,
            strings=strings,
            resident_bytes=started.resident_bytes(),
        )


def _measure_loads(
    started: Running, texts: Sequence[str], *, seconds: float
) -> tuple[dict[int, Load], Load]:
    single = make_bodies(texts)
    run_load(started, single, connections=1, duration_s=WARM_UP_S)
    loads = {
        connections: run_load(started, single, connections=connections, duration_s=seconds)
        for connections in CONNECTIONS
    }
    many = make_bodies(texts, each=STRINGS)
    return loads, run_load(started, many, connections=STRINGS, duration_s=seconds)


def _median(rounds: Sequence[TaskSpeed]) -> TaskSpeed:
    return TaskSpeed(
        ping_s=statistics.median(each.ping_s for each in rounds),
        prediction_s=statistics.median(each.prediction_s for each in rounds),
        loads={
            connections: median_load(each.loads[connections] for each in rounds)
            for connections in CONNECTIONS
        },
        strings=median_load(each.strings for each in rounds),
        resident_bytes=int(statistics.median(each.resident_bytes for each in rounds)),
    )


def median_load(loads: Iterable[Load]) -> Load:
    """The medians of what several loads saw."""
    seen = list(loads)
    return Load(
        requests_per_s=statistics.median(each.requests_per_s for each in seen),
        percentiles_ms={
            key: statistics.median(each.percentiles_ms[key] for each in seen)
            for key in seen[0].percentiles_ms
        },
    )
