"""What a server costs by itself: a handler that returns the length of each text.

All servers are up at the same time, and one after the other is loaded for a
moment, again and again: so that a machine that is slower for some seconds is so
for all of them. Medians are taken.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.load import Load, make_bodies, run_load
from bench.place import say
from bench.server import Running, Server, invoke, running
from bench.task_speed import median_load

CONNECTIONS: Final = (1, 32)
WARM_UP_S: Final = 1.0

NoOpSpeed = dict[int, Load]
"""By the number of connections."""


def measure_no_op(
    servers: Sequence[Server], texts: Sequence[str], *, logs: Path, rounds: int, seconds: float
) -> dict[str, NoOpSpeed]:
    """Each server in so many rounds, each of so many seconds for each number of connections."""
    bodies = make_bodies(texts)
    with contextlib.ExitStack() as stack:
        started = []
        for server in servers:
            say(f"no-op: starting {server.name}")
            started.append(stack.enter_context(running(server, logs)))
            started[-1].wait_for_ping()
            _check_answer(started[-1], texts)
            run_load(started[-1], bodies, connections=8, duration_s=WARM_UP_S)
        seen: dict[str, dict[int, list[Load]]] = {
            server.name: {connections: [] for connections in CONNECTIONS} for server in servers
        }
        for number in range(1, rounds + 1):
            say(f"no-op, round {number} of {rounds}")
            for connections in CONNECTIONS:
                for each in started:
                    load = run_load(each, bodies, connections=connections, duration_s=seconds)
                    seen[each.server.name][connections].append(load)
    return {
        name: {connections: median_load(loads) for connections, loads in each.items()}
        for name, each in seen.items()
    }


def _check_answer(started: Running, texts: Sequence[str]) -> None:
    with started.connect() as connection:
        [body] = make_bodies(texts[:3], each=3)
        answer = json.loads(invoke(connection, body))
    if answer != [len(text) for text in texts[:3]]:
        raise SystemExit(f"bench: `{started.server.name}` answered {answer}")
