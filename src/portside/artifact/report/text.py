"""A report in words: the verdict in one sentence, rows for the terminal, figures for people."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from portside.artifact.folder.architecture import Task
from portside.artifact.proof.proof import Verdict
from portside.artifact.quantity import number, size
from portside.artifact.report.markup import visible

if TYPE_CHECKING:
    from collections.abc import Mapping

    from portside.artifact.proof.proof import Proof
    from portside.artifact.report.report import Report

NOTHING: Final = "—"
"""Where there is no figure."""

_ANSWERS: Final[Mapping[str, str]] = {
    Task.TOKEN_CLASSIFICATION: "entities",
    Task.TEXT_CLASSIFICATION: "labels",
    Task.QUESTION_ANSWERING: "answers",
    Task.FEATURE_EXTRACTION: "vectors",
}
_SHARES: Final = {
    1 / 2: "half the size",
    1 / 3: "a third of the size",
    1 / 4: "a quarter of the size",
}
_SAME: Final = 0.05
"""Up to so much, two figures are the same to a reader."""


def sentence(report: Report) -> str:
    """The verdict with its reasons, without a full stop."""
    return f"{verdict(report.proof)}: {', '.join(findings(report.proof))}"


def verdict(proof: Proof) -> str:
    """`int8 chosen`, or `fp32 chosen, int8 refused`."""
    chosen = proof.chosen
    refused = {one.precision for one in proof.candidates if one.verdict is Verdict.REFUSED}
    others = sorted(refused - {chosen.precision})
    return f"{chosen.name} chosen" + (f", {' and '.join(others)} refused" if others else "")


def findings(proof: Proof) -> tuple[str, ...]:
    """What speaks for the chosen one: likeness, F1 where there are labels, speed and size."""
    chosen, original = proof.chosen, proof.original
    likeness = chosen.likeness
    share = agreement(proof, likeness.agreement)
    same = (
        f"vectors agree to a cosine of {share} over {texts(proof)}"
        if proof.task == Task.FEATURE_EXTRACTION
        else f"{share} of {answers(proof)} agree over {texts(proof)}"
    )
    f1 = (f"F1 {f1_before(proof)} → {points(likeness.f1_after)}",) if has_f1(proof) else ()
    return (
        same,
        *f1,
        _speed(ratio(chosen.figures.texts_per_s, original.texts_per_s)),
        _share(ratio(chosen.figures.size_bytes, original.size_bytes)),
    )


def rows(report: Report) -> tuple[list[str], list[list[str]]]:
    """Columns and rows of the table on the terminal, which is narrow: a row for each figure.

    Its columns are the original and what passed; for the others see `reasons`.
    """
    proof = report.proof
    passed = [one for one in proof.candidates if one.verdict is not Verdict.REFUSED]
    forms = [proof.original, *(one.figures for one in passed)]
    likenesses = [one.likeness for one in passed]
    starts = [report.cold_start(form).total_s for form in forms]
    table = [
        ["size", *(size(form.size_bytes) for form in forms)],
        ["memory", *(size(form.resident_bytes) for form in forms)],
        ["cold start, predicted", *map(seconds, starts)],
        ["latency, p50", *(milliseconds(form.latency_ms(50)) for form in forms)],
        ["latency, p99", *(milliseconds(form.latency_ms(99)) for form in forms)],
        ["texts/s", *(number(form.texts_per_s) for form in forms)],
        ["difference", NOTHING, *(number(one.largest_difference) for one in likenesses)],
        ["agreement", NOTHING, *(agreement(proof, one.agreement) for one in likenesses)],
    ]
    if has_f1(proof):
        table.append(["F1", f1_before(proof), *(points(one.f1_after) for one in likenesses)])
    table.append(["verdict", "as trained", *(one.verdict for one in passed)])
    return ["", "original", *(visible(one.name) for one in passed)], table


def reasons(report: Report) -> list[str]:
    """A line for each candidate that was refused: which, and what it failed at."""
    return [
        visible(f"{candidate.name} {candidate.verdict}: {candidate.reason}")
        for candidate in report.proof.candidates
        if candidate.verdict is Verdict.REFUSED
    ]


def answers(proof: Proof) -> str:
    """What the task's answers are called, in the plural."""
    return _ANSWERS.get(proof.task, "answers")


def texts(proof: Proof) -> str:
    """`412 texts`."""
    return "1 text" if proof.samples.texts == 1 else f"{proof.samples.texts:,} texts"


def agreement(proof: Proof, share: float) -> str:
    """`99.49 %`, of vectors `0.9949`; rounded down, so that what is under the gate looks so."""
    if not math.isfinite(share):
        return number(share)
    hundredths = math.floor(share * 10_000 + 1e-6)
    if proof.task == Task.FEATURE_EXTRACTION:
        return f"{hundredths / 10_000:.4f}"
    return f"{hundredths / 100:.2f}".rstrip("0").rstrip(".") + " %"


def has_f1(proof: Proof) -> bool:
    """Whether the samples have labels that the task has a score for."""
    return proof.chosen.likeness.f1_before is not None


def f1_before(proof: Proof) -> str:
    """The original's F1, which every candidate's likeness carries."""
    return points(proof.chosen.likeness.f1_before)


def points(score: float | None) -> str:
    """An F1, of 100."""
    return NOTHING if score is None else f"{score:.1f}"


def seconds(duration_s: float) -> str:
    """`0.41 s`, `3.2 s`."""
    return f"{number(duration_s)} s"


def milliseconds(duration_ms: float) -> str:
    """`7.1 ms`, `123 ms`."""
    return f"{number(duration_ms)} ms"


def ratio(after: float, before: float) -> float:
    """Of two measured figures; 1 where there was nothing before."""
    return after / before if before else 1.0


def factor(after: float, before: float) -> str:
    """A measured figure as a multiple of the one before, or as a fraction: `÷ 3.4`."""
    times = ratio(after, before)
    if times >= 1:
        return f"\N{MULTIPLICATION SIGN} {number(times)}"
    return f"÷ {number(ratio(before, after))}"


def _speed(times: float) -> str:
    return "as fast" if abs(times - 1) <= _SAME else f"{number(times)} times as fast"


def _share(times: float) -> str:
    if abs(times - 1) <= _SAME:
        return "the same size"
    if times > 1:
        return f"{number(times)} times the size"
    near = min(_SHARES, key=lambda share: abs(share - times))
    return (
        _SHARES[near] if abs(near - times) <= _SAME * near else f"{100 * times:.0f} % of the size"
    )
