"""A result as a page of the docs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from bench.bar import Bar, make_bars
from bench.deploy_page import deploy_section
from bench.image_page import image_section
from bench.load import Load
from bench.local_page import local_section
from bench.overload import DEADLINE_FACTOR, OpenLoad
from bench.packing import Made
from bench.peers import BASELINE, PORTSIDE_INT8
from bench.result import Result
from bench.table import number, table
from bench.task_speed import CONNECTIONS, STRINGS, TaskSpeed

PLOT: Final = "serving.svg"


def make_page(result: Result) -> str:
    """The whole page, in Markdown."""
    sections = (
        _head(result),
        _short(result),
        _bars(make_bars(result)),
        _tasks(result),
        _limit(result),
        _overload(result),
        _no_op(result),
        _packing(result),
        _proving(result),
        image_section(result.image),
        deploy_section(result.deploy),
        local_section(result.local, result.local_life),
        _conditions(result),
    )
    return "\n\n".join(section for section in sections if section) + "\n"


def _head(result: Result) -> str:
    return f"""# Portside, beside others

Written by `{result.command}` on {result.date}; do not edit. The run
took {result.seconds / 60:.0f} minutes; the load average of the machine was
{result.load_average:.1f} before it.

Only ratios say something about another machine, and only within one run."""


def _short(result: Result) -> str:
    """A few figures, as the README shows them."""
    if result.tasks is None:
        return ""
    baseline, ours = result.tasks[BASELINE], result.tasks[PORTSIDE_INT8]
    pairs = (
        ("start to first prediction (s)", baseline.prediction_s, ours.prediction_s, False),
        ("1 connection, p50 (ms)", baseline.loads[1].p50_ms, ours.loads[1].p50_ms, False),
        (
            "8 connections, throughput (requests/s)",
            baseline.loads[8].requests_per_s,
            ours.loads[8].requests_per_s,
            True,
        ),
        (
            "resident memory after the load (MB)",
            baseline.resident_bytes / 1e6,
            ours.resident_bytes / 1e6,
            False,
        ),
    )
    rows = [
        (name, number(old), number(new), number(new / old if is_more_better else old / new))
        for name, old, new, is_more_better in pairs
    ]
    return "## In short\n\n" + table(("", BASELINE, PORTSIDE_INT8, "times better"), rows)


def _bars(bars: list[Bar]) -> str:
    rows = [
        (
            bar.name,
            f"{bar.figure:.3g}",
            f"{'at least' if bar.is_least else 'at most'} {bar.bound:.3g}",
            "met" if bar.is_met else "**missed**",
        )
        for bar in bars
    ]
    return "## What Portside has to reach\n\n" + table(("", "figure", "bar", ""), rows)


def _tasks(result: Result) -> str:
    if result.tasks is None or result.agreements is None:
        return ""
    any_of_them = next(iter(result.agreements.values()))
    apart = {name: each.largest_score_difference for name, each in result.agreements.items()}
    scores = max(each for name, each in apart.items() if name != PORTSIDE_INT8)
    return f"""## One model behind each server

DistilBERT-base token classification, {result.texts.count} texts, medians of {result.rounds}
rounds, each with a fresh process. Answers were compared first: in {any_of_them.texts} texts all
find the baseline's {any_of_them.entities} entities, spans and labels equal, scores at most
{scores:.1g} apart (8-bit weights: {apart[PORTSIDE_INT8]:.1g}).

{table(("", *result.tasks), list(_task_rows(result.tasks)))}

![p50 to p99 of each server at 1, 8 and 32 connections]({PLOT})"""


def _task_rows(tasks: Mapping[str, TaskSpeed]) -> Iterator[tuple[str, ...]]:
    def row(name: str, read: Callable[[TaskSpeed], float]) -> tuple[str, ...]:
        return (name, *(number(read(each)) for each in tasks.values()))

    yield row("start to first healthy ping (s)", lambda each: each.ping_s)
    yield row("start to first prediction (s)", lambda each: each.prediction_s)
    for n in CONNECTIONS:
        noun = "connection" if n == 1 else "connections"
        yield row(f"{n} {noun}, requests/s", lambda each, n=n: each.loads[n].requests_per_s)
        yield row("… p50 (ms)", lambda each, n=n: each.loads[n].p50_ms)
        yield row("… p99 (ms)", lambda each, n=n: each.loads[n].p99_ms)
    many = f"{STRINGS} connections, {STRINGS} strings a request, strings/s"
    yield row(many, lambda each: each.strings_per_s)
    yield row("resident memory after the loads (MB)", lambda each: each.resident_bytes / 1e6)


def _limit(result: Result) -> str:
    if result.limit is None:
        return ""
    rows = [
        (
            name,
            number(limit.portside),
            number(limit.backend),
            f"{limit.way.streams} x {limit.way.threads} threads, {limit.way.batch_size} a batch",
            f"{limit.share:.2f}",
            number(limit.machine),
        )
        for name, limit in result.limit.items()
    ]
    head = ("", "Portside", "bare backend", "threads, batches", "share", "matrix products alone")
    return f"""## How much of the machine that is

Strings/s: Portside under load; onnxruntime alone, offline, on the same texts, tokenized
beforehand and sorted by length, in the best of several ways; and what the machine's own products
of 512 x 768 x 3072 (numpy in fp32, onnxruntime's `MatMulInteger` in int8) would allow if a text
were nothing else. In turn, in the same rounds.

{table(head, rows)}"""


def _overload(result: Result) -> str:
    if result.overload is None:
        return ""
    seen = result.overload
    loads = (("half", seen.half), ("twice", seen.twice))
    head = (
        "capacity",
        "arrivals/s",
        "accepted, p50 (ms)",
        "accepted, p99 (ms)",
        "refused",
        "late, of accepted",
        "refused within, p99 (ms)",
        "answers/s",
    )
    rows = [(name, *_open_cells(load)) for name, load in loads]
    return f"""## More than it can carry

{PORTSIDE_INT8}, one string a request. Arrivals are a Poisson process that waits for nobody;
latencies count from the moment when a request was due. The capacity is {seen.capacity:.0f}
requests/s in a closed loop of 32 connections. At twice of it the deadline
(`PORTSIDE_TIMEOUT_S`) is **set to {1000 * seen.deadline_s:.0f} ms, {DEADLINE_FACTOR:g} times the
p99 at half**: with the default of 60 s the queue would be as long as callers' patience. Refused
is a 429 with `Retry-After`; late is a 504, counted among the accepted.

{table(head, rows)}"""


def _open_cells(load: OpenLoad) -> tuple[str, ...]:
    return (
        number(load.rate),
        number(load.accepted_p50_ms),
        number(load.accepted_p99_ms),
        f"{load.refused / load.requests:.0%}",
        f"{load.late_share:.1%}",
        "-" if load.refused_p99_ms is None else number(load.refused_p99_ms),
        number(load.goodput),
    )


def _no_op(result: Result) -> str:
    if result.no_op is None:
        return ""

    def cells(load: Load) -> tuple[str, str]:
        return f"{load.requests_per_s:.0f}", number(load.p99_ms)

    rows = [
        (name, *(cell for load in each.values() for cell in cells(load)))
        for name, each in result.no_op.items()
    ]
    head = ("", "1 connection, requests/s", "p99 (ms)", "32 connections, requests/s", "p99 (ms)")
    return f"""## A handler that does nothing

It returns the length of each text: what is left is the server. All are up at once and loaded in
turn, in short rounds.

{table(head, rows)}"""


def _packing(result: Result) -> str:
    if result.packing is None:
        return ""

    def row(name: str, made: Made) -> tuple[str, ...]:
        sizes = (made.source_bytes, made.size_bytes, made.peak_bytes)
        return (name, number(made.seconds), *(number(size / 1e6) for size in sizes))

    seen = result.packing
    rows = [
        row("checkpoint, tar", seen.tar_fp32),
        row("checkpoint, Portside", seen.fp32),
        row("with optimizer state, tar", seen.tar_trained),
        row("with optimizer state, Portside, left in fp32", seen.trained),
        row("int8 graph, Portside", seen.int8),
        row("3 GB, a sixteenth of it random, Portside", seen.sparse),
    ]
    head = ("", "seconds", "files (MB)", "archive (MB)", "most memory (MB)")
    return f"""## A checkpoint to an archive

`tar zcvf model.tar.gz *` beside the packing of `portside package`, on the same files, read before.
Export and quantization are not counted. Each of Portside's archives is unpacked and compared.

{table(head, rows)}"""


def _proving(result: Result) -> str:
    if result.proving is None:
        return ""
    runs = {"benchmark's checkpoint": result.proving.speed, "trained": result.proving.trained}
    rows = [
        _proving_row(f"{name}, {form['name']}", form)
        for name, proven in runs.items()
        if proven is not None
        for form in proven.report["candidates"]
    ]
    head = ("", "verdict", "agreement", "F1 before, after", "texts/s", "size (MB)")
    took = result.proving.speed
    return f"""## A checkpoint to a proven artifact

`portside package` from nothing: exported by torch, quantized, and every form asked the samples. The
benchmark's checkpoint took {took.seconds:.0f} s and at most {took.peak_bytes / 1e6:.0f} MB; samples
are the bundled texts. **Trained** is what `examples/ner/train.py` made, with its labeled samples
(`python -m bench --trained FOLDER`).

{table(head, rows)}"""


def _proving_row(name: str, form: Mapping[str, Any]) -> tuple[str, ...]:
    scores = (form["f1_before_points"], form["f1_after_points"])
    return (
        name,
        form["verdict"],
        f"{100 * form['agreement']:.2f} %",
        ", ".join("-" if score is None else f"{score:.2f}" for score in scores),
        number(form["texts_per_s"]),
        number(form["size_bytes"] / 1e6),
    )


def _conditions(result: Result) -> str:
    texts, machine = result.texts, result.machine
    listed = ", ".join(f"{name} {version}" for name, version in result.versions.items())
    return f"""## How it was measured

- **Model**: DistilBERT-base's shape (66 M parameters), nine labels, not trained: a signal is
  planted in the embeddings, so that names are found and answers can be compared.
- **Texts**: {texts.count} English sentences of {texts.fewest_words} to {texts.most_words} words,
  {texts.mean_words} on average.
- **Load**: {result.generator}, closed loop, JSON bodies in turn.
- **Portside**: `python -m portside.serving` on what `portside package` makes, all settings as they
  are by default.
- **Baseline**: `bench/baseline`, the app that a tutorial ends up with: Flask under gunicorn with
  one worker, a transformers pipeline, torch on the CPU.
- **FastAPI, LitServe, BentoML**: each with the same ONNX graph in fp32, onnxruntime and tokenizers
  by hand (`bench/peers/by_hand`), one worker, all else by default, in an environment of its own.
- **Memory**: resident set of the whole process tree.
- **Machine**: {machine.cpu}, {machine.cores} cores, {machine.memory_gb} GB, {machine.system},
  Python {machine.python}.
- **Versions**: {listed}."""
