"""Portside beside others, in one run on one machine.

    python -m bench [--only PART,…] [--quick] [--trained FOLDER] [--output DIR]

    model made (checkpoint), packaged and unpacked as fp32 and as int8 (model)
    peers set up, each in an environment of its own (peers, venv)
    tasks      the same model behind each server, answers compared first (task_speed)
    limit      the bare backend offline, and the machine's matrix products (limit)
    no-op      a handler that does nothing behind each server (no_op)
    overload   half and twice the load that Portside can carry (overload)
    packing    the checkpoint to an archive, beside tar (packing)
    proving    the checkpoint to a proven artifact, from nothing (proving)
    image      the example to a container image, beside podman (image)
    deploy     `portside deploy` to the local SageMaker: nothing, code, all (deploy)
    local      an endpoint of the local SageMaker, beside its instance itself (local), and
               starts, memory, lists of many (local_life)
    a page, its figures as JSON, a plot (report); ratios held against their bars (bar)

About twenty minutes, and some more the first time. Only ratios mean something
on another machine, and only within one run.
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.deploy import measure_deploy
from bench.image import measure_image
from bench.limit import measure_limit
from bench.load import generator
from bench.local import measure_local
from bench.local_life import measure_local_life
from bench.model import make_models
from bench.no_op import measure_no_op
from bench.overload import measure_overload
from bench.packing import measure_packing
from bench.page import make_page
from bench.peers import no_op_servers, task_servers
from bench.place import ROOT, WORK, say
from bench.proving import measure_proving
from bench.report import write_report
from bench.result import Result, describe_machine, describe_texts, now, versions
from bench.sentence import COUNT, sentences
from bench.task_speed import compare_answers, measure_tasks

PARTS: Final = (
    "tasks",
    "limit",
    "no-op",
    "overload",
    "packing",
    "proving",
    "image",
    "deploy",
    "local",
)
DOCS: Final = ROOT / "docs" / "benchmarks"


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How many rounds of each part, and how long each load of it is, in seconds."""

    compared: int
    """Of how many texts the answers are compared."""
    task_rounds: int
    task_s: float
    limit_rounds: int
    limit_s: float
    no_op_rounds: int
    no_op_s: float
    overload_s: float
    local_rounds: int
    local_s: float


FULL: Final = Effort(
    compared=COUNT,
    task_rounds=2,
    task_s=5,
    limit_rounds=3,
    limit_s=4,
    no_op_rounds=5,
    no_op_s=1,
    overload_s=15,
    local_rounds=5,
    local_s=2,
)
QUICK: Final = Effort(
    compared=64,
    task_rounds=1,
    task_s=2,
    limit_rounds=1,
    limit_s=2,
    no_op_rounds=2,
    no_op_s=1,
    overload_s=5,
    local_rounds=2,
    local_s=1,
)


def main() -> None:
    """Run the parts, and write the report."""
    arguments = _arguments()
    # As an exception, so that the servers that are up are stopped on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    WORK.mkdir(parents=True, exist_ok=True)
    effort = QUICK if arguments.quick else FULL
    result = _measure(arguments.only, effort, trained=arguments.trained)
    print(make_page(result))
    is_whole = arguments.only == PARTS and not arguments.quick
    folder = arguments.output or (DOCS if is_whole else WORK / "report")
    write_report(result, folder)
    say(f"wrote {folder / 'serving.md'}, serving.json and the plot")


def _measure(parts: tuple[str, ...], effort: Effort, *, trained: Path | None) -> Result:
    began = time.perf_counter()
    load_average = os.getloadavg()[0]
    texts = sentences()
    models = make_models()
    agreements = tasks = limit = no_op = overload = packing = proving = None
    image = deploy = local = None
    if "tasks" in parts:
        servers = task_servers(models)
        agreements = compare_answers(servers, texts[: effort.compared], logs=WORK)
        tasks = measure_tasks(
            servers, texts, logs=WORK, rounds=effort.task_rounds, seconds=effort.task_s
        )
    if "limit" in parts:
        limit = measure_limit(
            models, texts, logs=WORK, rounds=effort.limit_rounds, seconds=effort.limit_s
        )
    if "no-op" in parts:
        no_op = measure_no_op(
            no_op_servers(), texts, logs=WORK, rounds=effort.no_op_rounds, seconds=effort.no_op_s
        )
    if "overload" in parts:
        overload = measure_overload(models.int8, texts, logs=WORK, seconds=effort.overload_s)
    if "packing" in parts:
        packing = measure_packing(models)
    if "proving" in parts:
        proving = measure_proving(models.checkpoint, trained)
    if "image" in parts:
        image = measure_image(models, texts)
    if "deploy" in parts:
        deploy = measure_deploy()
    local_life = measure_local_life() if "local" in parts else None
    if "local" in parts:
        local = measure_local(texts, rounds=effort.local_rounds, seconds=effort.local_s)
    return Result(
        command=_command(parts, effort),
        date=now(),
        seconds=time.perf_counter() - began,
        load_average=load_average,
        generator=generator(),
        machine=describe_machine(),
        versions=versions(),
        texts=describe_texts(texts),
        rounds=effort.task_rounds,
        agreements=agreements,
        tasks=tasks,
        limit=limit,
        no_op=no_op,
        overload=overload,
        packing=packing,
        proving=proving,
        image=image,
        deploy=deploy,
        local=local,
        local_life=local_life,
    )


def _command(parts: tuple[str, ...], effort: Effort) -> str:
    if parts == PARTS and effort is FULL and len(sys.argv) == 1:
        return "make bench"
    return shlex.join(["python", "-m", "bench", *sys.argv[1:]])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--only",
        type=_parts,
        default=PARTS,
        metavar="PART,…",
        help=f"of {', '.join(PARTS)} (default all)",
    )
    parser.add_argument(
        "--quick", action="store_true", help="short loads: to see that it works, not how fast"
    )
    parser.add_argument(
        "--trained",
        type=Path,
        metavar="FOLDER",
        help="a project with a trained checkpoint and labeled samples, as `examples/ner/train.py`"
        " leaves it: to prove int8 on",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="where the report goes (default docs/benchmarks, or build/bench/report"
        " if it is not a whole run)",
    )
    return parser.parse_args()


def _parts(text: str) -> tuple[str, ...]:
    named = text.split(",")
    if unknown := [name for name in named if name not in PARTS]:
        raise argparse.ArgumentTypeError(f"no part `{unknown[0]}`; there are {', '.join(PARTS)}")
    return tuple(part for part in PARTS if part in named)


if __name__ == "__main__":
    main()
