"""The plots of the report page: how like the original each form answers, and what it costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from portside.artifact.folder.architecture import Task
from portside.artifact.proof.proof import Verdict
from portside.artifact.quantity import number, size
from portside.artifact.report import text as words
from portside.artifact.report.chart import Mark, Spread, Tone, bars, dots, ridges
from portside.artifact.report.markup import Markup, tag

if TYPE_CHECKING:
    from collections.abc import Callable

    from portside.artifact.proof.proof import Candidate, Figures, Proof


def plots(proof: Proof) -> Markup:
    """All of them, each a figure with its title and a note: the answers, then what they cost."""
    drawn = [_plot("Answers", _meaning(proof), _agreement(proof))]
    if words.has_f1(proof):
        note = f"In points, of which it may lose {proof.gate.f1_drop:g}."
        drawn.append(_plot("F1", note, _f1(proof)))
    spread = "One text at a time: ● p50 · | p99, and the spread."
    drawn.append(_plot("Latency", spread, _latency(proof)))

    def costs(
        title: str, note: str, text: Callable[[float], str], figure: Callable[[Figures], float]
    ) -> Markup:
        return _plot(title, note, bars(title, _marks(proof, text, figure)))

    in_batches = "Texts per second, in batches, on all cores."
    first_answer = "From the start of the process to the first answer."
    drawn += [
        costs("Speed", in_batches, number, lambda form: form.texts_per_s),
        costs("Size", "Weights and graph on disk.", size, lambda form: form.size_bytes),
        costs("Memory", "The most that it held.", size, lambda form: form.resident_bytes),
        costs("Start", first_answer, words.seconds, lambda form: form.load_s),
    ]
    return tag("div", *drawn, class_="plots")


def forms(proof: Proof) -> list[tuple[str, Tone, Figures]]:
    """Name, tone and figures of the original, then of each candidate."""
    candidates = ((one.name, tone(one.verdict), one.figures) for one in proof.candidates)
    return [("original", Tone.ORIGINAL, proof.original), *candidates]


def tone(verdict: Verdict) -> Tone:
    """The tone of a candidate."""
    match verdict:
        case Verdict.CHOSEN:
            return Tone.CHOSEN
        case Verdict.REFUSED:
            return Tone.REFUSED
        case Verdict.NOT_NEEDED:
            return Tone.SPARE
        case _:
            assert_never(verdict)


def _plot(title: str, note: str, drawn: Markup) -> Markup:
    return tag("figure", tag("h3", title), tag("figcaption", note), drawn)


def _marks(
    proof: Proof, text: Callable[[float], str], figure: Callable[[Figures], float]
) -> list[Mark]:
    return [
        Mark(name=name, tone=shade, value=figure(form), text=text(figure(form)))
        for name, shade, form in forms(proof)
    ]


def _latency(proof: Proof) -> Markup:
    spreads = []
    for name, shade, form in forms(proof):
        p50, p99 = (form.latency_ms(rank) for rank in (50, 99))
        text = f"{number(p50)} · {words.milliseconds(p99)}"
        spreads.append(
            Spread(
                name=name,
                tone=shade,
                latencies_ms=form.latencies_ms,
                p50_ms=p50,
                p99_ms=p99,
                text=text,
            )
        )
    return ridges("Latency", spreads)


def _agreement(proof: Proof) -> Markup:
    gate = proof.gate.agreement
    return dots(
        "Agreement with the original's answers",
        [
            _mark(one, one.likeness.agreement, words.agreement(proof, one.likeness.agreement))
            for one in proof.candidates
        ],
        limit=gate,
        limit_text=f"gate {words.agreement(proof, gate)}",
    )


def _f1(proof: Proof) -> Markup:
    before = proof.chosen.likeness.f1_before or 0.0
    limit = before - proof.gate.f1_drop
    marks = [
        _mark(one, one.likeness.f1_after, words.points(one.likeness.f1_after))
        for one in proof.candidates
        if one.likeness.f1_after is not None
    ]
    original = Mark(name="original", tone=Tone.ORIGINAL, value=before, text=words.points(before))
    return dots("F1", [original, *marks], limit=limit, limit_text=f"gate {words.points(limit)}")


def _mark(candidate: Candidate, value: float, text: str) -> Mark:
    return Mark(name=candidate.name, tone=tone(candidate.verdict), value=value, text=text)


def _meaning(proof: Proof) -> str:
    """What `agreement` is for this task; see `Likeness.agreement`."""
    match proof.task:
        case Task.TOKEN_CLASSIFICATION:
            return "Entities that both find, of the same kind in the same place, of all they find."
        case Task.FEATURE_EXTRACTION:
            return "The mean cosine of its vectors with the original's."
        case _:
            return "The share of texts with the same answer as the original's."
