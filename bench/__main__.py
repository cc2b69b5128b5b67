"""Portside's serving beside a tutorial's Flask app: same model, same texts, same loop, one run.

    python -m bench [--rounds N] [--seconds S] [--output DIR]

    model made (bench.checkpoint) ─▶ packaged as `portside package` does ─▶ unpacked
    each server started once, all answers compared (bench.agreement): no speed without agreement
    rounds: baseline, Portside, baseline, … each a fresh process (bench.round)
    medians over the rounds ─▶ a table, `serving.json`, `serving.md` (bench.report)

Only the ratios mean something on another machine, and only within one run.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import Final

from bench import report
from bench.agreement import Agreement, check_agreement
from bench.checkpoint import make_checkpoint
from bench.round import Round, measure_round
from bench.sentence import sentences
from bench.server import Answer, Running, Server, predict, running
from portside import archive, contract
from portside.artifact.bundle import package

ROOT: Final = Path(__file__).parent.parent
WORK: Final = ROOT / "build" / "bench"
BASELINE_FOLDER: Final = ROOT / "bench" / "baseline"
TEXTS_A_REQUEST: Final = 16
"""While answers are compared; the measured requests carry one text each."""


def main() -> None:
    """Run everything and write the report."""
    arguments = _arguments()
    WORK.mkdir(parents=True, exist_ok=True)
    _say("making the model")
    checkpoint = make_checkpoint(WORK)
    servers = (_baseline(checkpoint), _portside(_packaged(checkpoint)))
    texts = sentences()
    agreement = _compare(servers, texts)
    rounds: dict[str, list[Round]] = {server.name: [] for server in servers}
    for number in range(1, arguments.rounds + 1):
        for server in servers:
            _say(f"round {number} of {arguments.rounds}: {server.name}")
            measured = measure_round(server, texts, logs=WORK, duration_s=arguments.seconds)
            rounds[server.name].append(measured)
    result = report.make(rounds, agreement=agreement, texts=texts)
    print(report.table(result))
    report.write(result, arguments.output)
    _say(f"wrote {arguments.output / 'serving.md'} and serving.json")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="of each server (default 3)")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each load (default 8)")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "benchmarks")
    return parser.parse_args()


def _say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


def _packaged(checkpoint: Path) -> Path:
    """The model folder as an instance finds it: packaged, then unpacked."""
    model = WORK / "model"
    artifact = package(checkpoint, output=WORK / "model.tar.gz", progress=_say)
    shutil.rmtree(model, ignore_errors=True)
    archive.unpack(artifact.path, model)
    return model


def _baseline(checkpoint: Path) -> Server:
    return Server(
        name="baseline",
        argv=(sys.executable, "-m", "gunicorn", "--bind", "127.0.0.1:{port}", "app:app"),
        environment={contract.ENV_MODEL_DIR: str(checkpoint)},
        folder=BASELINE_FOLDER,
    )


def _portside(model: Path) -> Server:
    return Server(
        name="portside",
        argv=(sys.executable, "-m", "portside.serving", contract.SERVE_ARGUMENT),
        environment={
            contract.ENV_MODEL_DIR: str(model),
            contract.ENV_BIND_TO_PORT: "{port}",
            contract.ENV_BIND_HOST: "127.0.0.1",
            "PORTSIDE_AGGREGATION_STRATEGY": "average",
        },
        folder=WORK,
    )


def _compare(servers: tuple[Server, Server], texts: list[str]) -> Agreement:
    """Ask both for all texts; the files that both read are in the page cache after this."""
    answers: list[list[Answer]] = []
    for server in servers:
        _say(f"collecting the answers of {server.name}")
        with running(server, WORK) as started:
            started.wait_for_ping()
            answers.append(_answers(started, texts))
    return check_agreement(texts, *answers)


def _answers(started: Running, texts: list[str]) -> list[Answer]:
    with started.connect() as connection:
        batches = (texts[n : n + TEXTS_A_REQUEST] for n in range(0, len(texts), TEXTS_A_REQUEST))
        return [answer for batch in batches for answer in predict(connection, batch)]


if __name__ == "__main__":
    main()
