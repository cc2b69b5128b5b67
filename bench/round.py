"""One round: a fresh process, from its start to its memory after the load."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.load import Load, run_load
from bench.server import Server, predict, running

MANY_CONNECTIONS: Final = 8
WARM_UP_S: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What one process did; times in seconds from its spawning."""

    ping_s: float
    prediction_s: float
    one_connection: Load
    many_connections: Load
    resident_bytes: int


def measure_round(server: Server, texts: Sequence[str], *, logs: Path, duration_s: float) -> Round:
    """Start, first healthy ping, first prediction, both loads, memory, stop."""
    with running(server, logs) as started:
        started.wait_for_ping()
        ping_s = time.perf_counter() - started.spawned_at
        with started.connect() as connection:
            predict(connection, [texts[0]])
        prediction_s = time.perf_counter() - started.spawned_at
        run_load(started, texts, connections=1, duration_s=WARM_UP_S)
        one = run_load(started, texts, connections=1, duration_s=duration_s)
        many = run_load(started, texts, connections=MANY_CONNECTIONS, duration_s=duration_s)
        return Round(
            ping_s=ping_s,
            prediction_s=prediction_s,
            one_connection=one,
            many_connections=many,
            resident_bytes=started.resident_bytes(),
        )
