"""`python -m tests.soak`: minutes of good, bad, slow and vanishing callers, and nothing may leak.

    1. start      Portside's own server on the trained model; each text asked for once, in peace,
                  then many at once, until the backend has all the memory that it will take
    2. load       callers of all kinds in processes of their own (`caller`), a look every second
    3. rest       everybody hangs up; what is still held after that has leaked
    4. stop       SIGTERM while a prediction is under way: answered, exit code 0
    5. report     docs/benchmarks/soak.md; exit code 1 with the reasons if anything was wrong

It ends by itself: every caller has an end, and so has every wait.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import psutil

from tests.contract.instance import Instance, eventually, json_request
from tests.contract.wire import Target
from tests.soak.caller import MANY, TEXTS, Errand, Tally, run_callers
from tests.soak.control import idle_server
from tests.soak.report import Outcome, judge, make_page
from tests.soak.sample import Sample, Watch, look

ROOT: Final = Path(__file__).parents[2]
MODEL: Final = ROOT / ".portside" / "models" / "rampart"

CREW: Final = (
    ("pinging",),
    ("control",),
    ("good", "good", "good"),
    ("bad", "vanishing", "slow writer", "slow reader"),
)
"""The callers of each process: those that measure are not held up by the others."""

_AT_ONCE: Final = 4
_WARM_UP_REQUESTS: Final = 24
"""onnxruntime keeps the memory of the largest batches, which by chance come late."""

REST_S: Final = 10.0
"""For the server to see that everybody has hung up; a refused caller is given five seconds."""


def main() -> int:
    """Soak, write the page, say what was wrong."""
    options = _parser().parse_args()
    fetch_model()
    with tempfile.TemporaryDirectory() as folder:
        outcome = soak(MODEL, Path(folder) / "log.txt", seconds=options.seconds)
    page = make_page(outcome, command=f"python -m tests.soak --seconds {options.seconds:g}")
    options.report.write_text(page, encoding="utf-8")
    sys.stdout.write(page)
    faults = judge(outcome, most_ping_s=options.ping_ms / 1000)
    for fault in faults:
        sys.stderr.write(f"soak: {fault}\n")
    return 1 if faults else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("--seconds", type=float, default=300, help="of load [300]")
    parser.add_argument(
        "--ping-ms",
        type=float,
        default=100,
        help="for the slowest ping, beyond the control's [100]",
    )
    parser.add_argument(
        "--report",
        type=Path,
        default=ROOT / "docs" / "benchmarks" / "soak.md",
        help="page to write",
    )
    return parser


def fetch_model() -> None:
    """The trained model of `examples/ner`, once per checkout."""
    script = ROOT / "examples" / "ner" / "fetch_model.py"
    subprocess.run([sys.executable, str(script), str(MODEL)], check=True, stdout=sys.stderr)


def soak(
    model_dir: Path, log: Path, *, seconds: float, warm_up: int = _WARM_UP_REQUESTS
) -> Outcome:
    """All but the judgment; `warm_up` is how many large requests come before the load."""
    instance = Instance(model_dir, log)
    try:
        target = instance.until_ready()
        truth = _ask_in_peace(target)
        _warm_up(target, requests=warm_up)
        process = psutil.Process(instance.process.pid)
        first = look(process)
        watch = Watch(process)
        watch.start()
        with idle_server() as control:
            tallies = _run_crew(target, control, truth, seconds=seconds)
        samples = watch.stop()
        last = _rest(process, first)
        return Outcome(
            seconds=seconds,
            tallies=tallies,
            first=first,
            samples=samples,
            last=last,
            exit_code=_stop_while_predicting(instance, target),
            errors=[line for line in instance.records if line["level"] in {"ERROR", "CRITICAL"}],
        )
    finally:
        instance.kill()


def _ask_in_peace(target: Target) -> dict[str, Any]:
    return {
        text: json.loads(target.invoke(json.dumps({"inputs": text}).encode()).body)
        for text in TEXTS
    }


def _warm_up(target: Target, *, requests: int) -> None:
    with ThreadPoolExecutor(_AT_ONCE) as callers:
        answers = list(callers.map(target.invoke, [MANY] * requests))
    if wrong := [answer.text for answer in answers if answer.status != 200]:
        raise SystemExit(f"soak: no answer while warming up: {wrong[0]}")


def _run_crew(
    target: Target, control: Target, truth: dict[str, Any], *, seconds: float
) -> list[Tally]:
    until = time.monotonic() + seconds
    crews = [
        [
            Errand(
                kind=kind,
                target=control if kind == "control" else target,
                truth=truth,
                until=until,
                seed=100 * crew + number,
            )
            for number, kind in enumerate(kinds)
        ]
        for crew, kinds in enumerate(CREW)
    ]
    # Spawned: a fork would carry the threads of this process along.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(len(crews), mp_context=context) as processes:
        return [tally for tallies in processes.map(run_callers, crews) for tally in tallies]


def _rest(process: psutil.Process, first: Sample) -> Sample:
    """What is held once everybody has hung up; waits for it to be no more than at first."""
    until = time.monotonic() + REST_S
    while time.monotonic() < until:
        last = look(process)
        if last.connections == 0 and last.descriptors <= first.descriptors:
            break
        time.sleep(0.1)
    return last


def _stop_while_predicting(instance: Instance, target: Target) -> int:
    """The exit code after SIGTERM; a request under way has to be answered."""
    with target.connect() as wire:
        wire.send(json_request({"strings": TEXTS}))
        eventually(lambda: "portside_in_flight 1\n" in target.ask("GET", "/metrics").text)
        code = instance.stop()
        answer = wire.read_answer("POST")
    return code if answer.status == 200 else answer.status


if __name__ == "__main__":
    sys.exit(main())
