"""A closed loop: each connection sends its next text when the answer to the last is there.

Written here rather than taken from `wrk`, so that the benchmark runs anywhere;
at the rates that these models reach, the loop itself costs under 1 % of a core.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from bench.server import Running, predict


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What one closed loop saw, latencies in milliseconds."""

    requests_per_s: float
    p50_ms: float
    p99_ms: float


def run_load(
    running: Running, sentences: Sequence[str], *, connections: int, duration_s: float
) -> Load:
    """One text a request over so many connections for so long."""
    started = time.perf_counter()
    until = started + duration_s

    def loop(number: int) -> list[float]:
        latencies = []
        turn = number * len(sentences) // connections
        with running.connect() as connection:
            while (begun := time.perf_counter()) < until:
                predict(connection, [sentences[turn % len(sentences)]])
                latencies.append(time.perf_counter() - begun)
                turn += 1
        return latencies

    with ThreadPoolExecutor(connections) as threads:
        seen = [latency for each in threads.map(loop, range(connections)) for latency in each]
    elapsed = time.perf_counter() - started
    if len(seen) < 2:
        raise SystemExit("bench: fewer than two answers in the whole loop")
    return Load(
        requests_per_s=len(seen) / elapsed,
        p50_ms=1000 * statistics.median(seen),
        p99_ms=1000 * statistics.quantiles(seen, n=100, method="inclusive")[98],
    )
