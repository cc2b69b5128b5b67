"""Half of what the server can carry, then twice of it.

capacity   requests/s in a closed loop
half       arrivals at half that rate: its p99 is what callers are used to
twice      arrivals at twice that rate, in a process whose deadline is 2.5 times that p99
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final

from bench.load import make_bodies, percentiles_ms, run_load
from bench.peers import PORTSIDE_INT8, portside
from bench.place import ROOT, say
from bench.server import Running, running

CAPACITY_CONNECTIONS: Final = 32
WARM_UP_S: Final = 2.0
DEADLINE_FACTOR: Final = 2.5
"""The deadline at twice the load, in p99s at half of it."""

REFUSED: Final = "429"
ANSWERED: Final = "200"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenLoad:
    """What became of requests that arrived at `rate` a second."""

    rate: float
    requests: int
    answered: int
    refused: int
    late: int
    """Taken, and then neither answered nor refused: 504 for most of them."""
    accepted_p50_ms: float
    accepted_p99_ms: float
    """Over all that was taken, the late ones included."""
    refused_p99_ms: float | None
    """How long it took to say no."""
    goodput: float
    """Answers a second."""
    generator_behind_ms: float
    """How late the generator sent at worst; it counts against the server."""

    @property
    def late_share(self) -> float:
        """Of what was accepted."""
        return self.late / (self.answered + self.late)


@dataclass(frozen=True, slots=True, kw_only=True)
class Overload:
    """The server under half and under twice the load that it can carry."""

    capacity: float
    """Requests a second."""
    deadline_s: float
    half: OpenLoad
    twice: OpenLoad

    @property
    def ratio(self) -> float:
        """The p99 of accepted requests at twice the load, in p99s at half of it."""
        return self.twice.accepted_p99_ms / self.half.accepted_p99_ms


def measure_overload(model: Path, texts: Sequence[str], *, logs: Path, seconds: float) -> Overload:
    """Three loads of so many seconds on Portside with this model."""
    bodies = make_bodies(texts)
    usual = portside(model, name=PORTSIDE_INT8)
    with running(usual, logs) as started:
        started.wait_for_ping()
        say("overload: capacity")
        capacity = _capacity(started, bodies, seconds=seconds)
        say(f"overload: half of {capacity:.0f} requests/s")
        half = _run_open(started, bodies, rate=capacity / 2, seconds=seconds)
    deadline_s = DEADLINE_FACTOR * half.accepted_p99_ms / 1000
    hurried = portside(model, name=PORTSIDE_INT8, timeout_s=deadline_s)
    with running(hurried, logs) as started:
        started.wait_for_ping()
        # One at a time: what it is used to, and what it can answer before the deadline.
        run_load(started, bodies, connections=1, duration_s=WARM_UP_S)
        say(f"overload: twice of it, with a deadline of {1000 * deadline_s:.0f} ms")
        twice = _run_open(started, bodies, rate=2 * capacity, seconds=seconds)
    return Overload(capacity=capacity, deadline_s=deadline_s, half=half, twice=twice)


def _capacity(started: Running, bodies: Sequence[bytes], *, seconds: float) -> float:
    run_load(started, bodies, connections=CAPACITY_CONNECTIONS, duration_s=WARM_UP_S)
    load = run_load(started, bodies, connections=CAPACITY_CONNECTIONS, duration_s=seconds)
    return load.requests_per_s


def _run_open(
    started: Running, bodies: Sequence[bytes], *, rate: float, seconds: float
) -> OpenLoad:
    with NamedTemporaryFile(suffix=".jsonl") as file:
        file.write(b"\n".join(bodies))
        file.flush()
        options = {"port": started.port, "rate": rate, "seconds": seconds, "bodies": file.name}
        flags = [part for key, value in options.items() for part in (f"--{key}", str(value))]
        done = subprocess.run(
            [sys.executable, "-m", "bench.open_loop", *flags],
            check=True,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            timeout=seconds + 120,
        )
    return summarize(json.loads(done.stdout), rate=rate)


def summarize(seen: dict[str, object], *, rate: float) -> OpenLoad:
    """Counts and percentiles of what the generator saw; a request that it lost ends the run."""
    latencies = seen["latencies_s"]
    assert isinstance(latencies, dict)
    if seen["not_sent"] or seen["unanswered"]:
        raise SystemExit(
            f"bench: {seen['not_sent']} requests not sent, {seen['unanswered']} without an answer"
        )
    accepted = [each for key, some in latencies.items() if key != REFUSED for each in some]
    refused = latencies.get(REFUSED, [])
    answered = len(latencies.get(ANSWERED, []))
    if not answered:
        raise SystemExit("bench: no request of the open loop was answered")
    percentiles = percentiles_ms(accepted)
    return OpenLoad(
        rate=rate,
        requests=len(accepted) + len(refused),
        answered=answered,
        refused=len(refused),
        late=len(accepted) - answered,
        accepted_p50_ms=percentiles[50],
        accepted_p99_ms=percentiles[99],
        refused_p99_ms=percentiles_ms(refused)[99] if refused else None,
        goodput=answered / float(str(seen["seconds"])),
        generator_behind_ms=1000 * float(str(seen["latest_s"])),
    )
