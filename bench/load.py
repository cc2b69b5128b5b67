"""A closed loop: each connection sends its next body when the answer to the last is there.

By `wrk` where it is installed, with one thread, so that the generator takes as
little of the machine as it can; by threads of our own where it is not, which is
good enough for a model and too slow for a handler that does nothing.
"""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final

from bench.server import HOST, INVOCATIONS, Route, Running, invoke

SCRIPT: Final = Path(__file__).parent / "wrk.lua"
PERCENTILES: Final = (50, 75, 90, 95, 99)
SLOWEST_ANSWER_S: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What one closed loop saw; percentiles of the latency in milliseconds."""

    requests_per_s: float
    percentiles_ms: dict[int, float]

    @property
    def p50_ms(self) -> float:
        """The median latency."""
        return self.percentiles_ms[50]

    @property
    def p99_ms(self) -> float:
        """The latency that one request in a hundred exceeds."""
        return self.percentiles_ms[99]


def make_bodies(texts: Sequence[str], *, each: int = 1) -> list[bytes]:
    """Request bodies of so many texts each, in the order of the texts."""
    groups = (texts[n : n + each] for n in range(0, len(texts), each))
    return [json.dumps({"strings": group}).encode() for group in groups]


def generator() -> str:
    """Which load generator this machine has."""
    return "wrk -t1" if shutil.which("wrk") else "threads of bench/load.py"


def run_load(
    running: Running,
    bodies: Sequence[bytes],
    *,
    connections: int,
    duration_s: float,
    route: Route = INVOCATIONS,
) -> Load:
    """The bodies in turn, over so many connections for so long; any failure ends the benchmark."""
    run = _run_wrk if shutil.which("wrk") else _run_threads
    load = run(running, bodies, connections=connections, duration_s=duration_s, route=route)
    # What the generator left in flight must not weigh on the next load.
    with running.connect() as connection:
        invoke(connection, bodies[0], route=route)
    return load


def _run_wrk(
    running: Running,
    bodies: Sequence[bytes],
    *,
    connections: int,
    duration_s: float,
    route: Route,
) -> Load:
    with NamedTemporaryFile(suffix=".jsonl") as file:
        file.write(b"\n".join(bodies) + b"\n")
        file.flush()
        # Whole seconds only.
        seconds = max(1, math.ceil(duration_s))
        options = ["-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", f"{SLOWEST_ANSWER_S}s"]
        options += [word for pair in route.headers.items() for word in ("-H", ": ".join(pair))]
        url = f"http://{HOST}:{running.port}{route.path}"
        done = subprocess.run(
            ["wrk", *options, "-s", str(SCRIPT), url, "--", file.name],
            check=False,
            capture_output=True,
            text=True,
            timeout=seconds + 2 * SLOWEST_ANSWER_S,
        )
    if done.returncode != 0:
        raise SystemExit(f"bench: wrk failed: {done.stderr or done.stdout}")
    seen = json.loads(done.stdout.strip().splitlines()[-1])
    if not seen["requests"] and not seen["failures"] and seconds < SLOWEST_ANSWER_S:
        # A slow server on a slow machine: give it the time that one answer takes.
        longer_s = 3 * seconds
        return _run_wrk(running, bodies, connections=connections, duration_s=longer_s, route=route)
    if seen["failures"] or not seen["requests"]:
        raise SystemExit(
            f"bench: `{running.server.name}` answered {seen['requests']} requests,"
            f" {seen['failures']} failures:\n{done.stdout}"
        )
    return Load(
        requests_per_s=seen["requests"] / seen["seconds"],
        percentiles_ms={int(key): value for key, value in seen["percentiles_ms"].items()},
    )


def _run_threads(
    running: Running,
    bodies: Sequence[bytes],
    *,
    connections: int,
    duration_s: float,
    route: Route,
) -> Load:
    started = time.perf_counter()
    until = started + duration_s

    def loop(number: int) -> Iterator[float]:
        turn = number * len(bodies) // connections
        with running.connect() as connection:
            while (begun := time.perf_counter()) < until:
                invoke(connection, bodies[turn % len(bodies)], route=route)
                yield time.perf_counter() - begun
                turn += 1

    with ThreadPoolExecutor(connections) as threads:
        seen = [
            one for each in threads.map(lambda n: list(loop(n)), range(connections)) for one in each
        ]
    elapsed = time.perf_counter() - started
    if len(seen) < 2:
        raise SystemExit("bench: fewer than two answers in the whole loop")
    return Load(requests_per_s=len(seen) / elapsed, percentiles_ms=percentiles_ms(seen))


def percentiles_ms(latencies_s: Sequence[float]) -> dict[int, float]:
    """Each of `PERCENTILES` of the latencies, in milliseconds; nearest rank."""
    ordered = sorted(latencies_s)
    ranks = {each: max(0, math.ceil(each / 100 * len(ordered)) - 1) for each in PERCENTILES}
    return {each: 1000 * ordered[rank] for each, rank in ranks.items()}
