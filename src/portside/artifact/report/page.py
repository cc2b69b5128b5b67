"""`report.html`: the report card as one file that asks nobody for anything.

    header      the verdict in one sentence
    tiles       what an endpoint gains: before and after
    candidates  each form, its figures, and why it was taken or not
    plots       answers beside the gate, latency, speed, size, memory and start
    artifact    what lies in it, and what was left out
    footer      how the cold start is predicted; machine and versions

No script, no font, no picture from elsewhere; a policy in the page forbids them all,
for names of files and labels are hostile.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from portside.artifact.proof.proof import Verdict
from portside.artifact.quantity import number, size
from portside.artifact.report import text as words
from portside.artifact.report.chart import Tone
from portside.artifact.report.markup import NO_BREAK, Markup, join, tag
from portside.artifact.report.plot import forms, plots, tone
from portside.artifact.report.report import DOWNLOAD_MB_PER_S, UNPACK_MB_PER_S, Report

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from portside.artifact.proof.proof import Candidate, Figures, Proof

_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE: Final = Path(__file__).with_name("page.css")

_LEGEND: Final = {
    Tone.ORIGINAL: "original",
    Tone.CHOSEN: Verdict.CHOSEN,
    Tone.REFUSED: Verdict.REFUSED,
    Tone.SPARE: Verdict.NOT_NEEDED,
}

FEW: Final = 12
"""Names that are shown at once; more are folded away."""


def to_html(report: Report) -> bytes:
    """`report.html`, in UTF-8."""
    proof = report.proof
    page = tag(
        "html",
        tag(
            "head",
            tag("meta", charset="utf-8"),
            tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
            tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
            tag("title", f"{words.verdict(proof)}: {proof.model}"),
            tag("style", Markup(_STYLE.read_text(encoding="utf-8"))),
        ),
        tag(
            "body",
            _header(report),
            tag(
                "main",
                _tiles(report),
                _candidates(report),
                _plots(proof),
                _artifact(report),
                _left_out(report),
            ),
            _footer(report),
        ),
        lang="en",
    )
    return f"<!doctype html>\n{page}\n".encode()


def _header(report: Report) -> Markup:
    proof = report.proof
    why = ", ".join(words.findings(proof)).replace(" %", f"{NO_BREAK}%")
    return tag(
        "header",
        tag("p", "Portside report card", class_="overline"),
        tag("h1", tag("strong", words.verdict(proof)), f": {why}."),
        tag("p", f"{proof.model} · {proof.task} · asked {words.texts(proof)} ({_samples(proof)})"),
    )


def _samples(proof: Proof) -> str:
    return proof.samples.source + (", with labels" if proof.samples.labeled else "")


def _tiles(report: Report) -> Markup:
    """What changes between the checkpoint and the endpoint, as large as it is important."""
    proof, before, after = report.proof, report.proof.original, report.proof.chosen.figures
    likeness = proof.chosen.likeness
    f1 = f", F1 was {words.f1_before(proof)}, is {words.points(likeness.f1_after)}"
    asked = f"the gate asks {words.agreement(proof, proof.gate.agreement)}"

    def tile(name: str, text: Callable[[float], str], figure: Callable[[Figures], float]) -> Markup:
        old, new = figure(before), figure(after)
        times = tag("span", words.factor(new, old))
        return _tile(name, text(new), join(f"was {text(old)}, ", times))

    return tag(
        "section",
        _tile(
            f"same {words.answers(proof)}",
            words.agreement(proof, likeness.agreement),
            asked + (f1 if words.has_f1(proof) else ""),
        ),
        tile("texts per second", number, lambda form: form.texts_per_s),
        tile("latency, p50", words.milliseconds, lambda form: form.latency_ms(50)),
        tile("size", size, lambda form: form.size_bytes),
        tile("memory", size, lambda form: form.resident_bytes),
        tile("cold start, predicted", words.seconds, lambda form: report.cold_start(form).total_s),
        class_="tiles",
        aria_label="Before and after",
    )


def _tile(name: str, figure: str, note: str) -> Markup:
    return tag("div", tag("p", name), tag("b", figure), tag("small", note), class_="tile")


def _candidates(report: Report) -> Markup:
    proof = report.proof
    names = ["form", "verdict", "agreement", *_if_scored(proof, "F1"), "difference"]
    names += ["size", "memory", "p50", "p90", "p99", "texts/s", "cold start"]
    first = ["original", _pill(Tone.ORIGINAL, "as trained"), words.NOTHING]
    first += [*_if_scored(proof, words.f1_before(proof)), words.NOTHING]
    first += _cells(report, proof.original)
    body = [_row(names, first, shade=Tone.ORIGINAL)]
    for candidate in proof.candidates:
        shade = tone(candidate.verdict)
        why = tag("td", candidate.reason, colspan=len(names))
        body.append(_row(names, _candidate(report, candidate), shade=shade))
        body.append(tag("tr", why, class_=f"reason {shade}"))
    head = tag("tr", *(tag("th", name, scope="col") for name in names))
    table = tag("table", tag("thead", head), tag("tbody", *body), class_="forms")
    return _section("Candidates", table)


def _candidate(report: Report, candidate: Candidate) -> list[str]:
    proof, likeness = report.proof, candidate.likeness
    return [
        candidate.name,
        _pill(tone(candidate.verdict), candidate.verdict),
        words.agreement(proof, likeness.agreement),
        *_if_scored(proof, words.points(likeness.f1_after)),
        number(likeness.largest_difference),
        *_cells(report, candidate.figures),
    ]


def _if_scored(proof: Proof, cell: str) -> list[str]:
    return [cell] if words.has_f1(proof) else []


def _row(names: Sequence[str], cells: Sequence[str], *, shade: Tone) -> Markup:
    first, *others = cells
    named = zip(names[1:], others, strict=True)
    return tag(
        "tr",
        tag("th", first, scope="row"),
        *(tag("td", cell, data_name=name) for name, cell in named),
        class_=shade,
    )


def _cells(report: Report, form: Figures) -> list[str]:
    return [
        size(form.size_bytes),
        size(form.resident_bytes),
        *(words.milliseconds(form.latency_ms(rank)) for rank in (50, 90, 99)),
        number(form.texts_per_s),
        words.seconds(report.cold_start(form).total_s),
    ]


def _pill(shade: Tone, text: str) -> Markup:
    return tag("span", text, class_=f"pill {shade}")


def _plots(proof: Proof) -> Markup:
    shades = dict.fromkeys(shade for _, shade, _ in forms(proof))
    legend = tag("p", *(_pill(shade, _LEGEND[shade]) for shade in shades), class_="legend")
    return _section("Side by side", legend, plots(proof))


def _artifact(report: Report) -> Markup:
    artifact = report.artifact
    facts = {"file": artifact.path.name, "SHA-256": artifact.digest}
    members = [tag("li", tag("code", name)) for name in artifact.members]
    return _section(
        f"Artifact, {size(artifact.size_bytes)}",
        _facts(facts),
        tag("div", _folded("members", members), class_="names"),
    )


def _left_out(report: Report) -> Markup:
    left_out = sorted(report.artifact.left_out, key=lambda left: -left.size_bytes)
    if not left_out:
        return Markup()
    items = [
        tag(
            "li",
            tag("code", str(left.path)),
            tag("span", left.reason),
            tag("b", size(left.size_bytes)),
        )
        for left in left_out
    ]
    return _section(f"Left out, {size(report.saved_bytes)} saved", _folded("files", items))


def _folded(noun: str, items: Sequence[Markup]) -> Markup:
    if len(items) <= FEW:
        return tag("ul", *items)
    more = tag("summary", f"and {len(items) - FEW} more {noun}")
    return join(tag("ul", *items[:FEW]), tag("details", more, tag("ul", *items[FEW:])))


def _footer(report: Report) -> Markup:
    known = {name: version or "not installed" for name, version in report.versions.items()}
    machine = f"{report.machine.cpu}, {report.machine.cores} cores"
    return tag(
        "footer",
        tag("h2", "How it was found"),
        tag(
            "p",
            "Each form ran in a process of its own on this machine, with the same texts. "
            f"All of it took {words.seconds(report.proof.took_s)}.",
        ),
        tag("p", tag("b", "Cold start of a serverless endpoint: "), _cold_start(report)),
        _facts({"machine": machine, **known}),
    )


def _cold_start(report: Report) -> str:
    start = report.cold_start(report.proof.chosen.figures)
    return (
        f"{words.seconds(start.download_s)} to download the artifact at an assumed "
        f"{DOWNLOAD_MB_PER_S:.0f} MB/s (one request to S3), {words.seconds(start.unpack_s)} to "
        f"unpack it at an assumed {UNPACK_MB_PER_S:.0f} MB/s, {words.seconds(start.load_s)} from "
        "the start of the process to the first answer, measured here. AWS needs time of its own "
        "to place the instance and fetch the image, and its cores may be slower: a prediction "
        "for comparing forms, not a promise. The other forms are counted as artifacts of the "
        "same make."
    )


def _section(title: str, *children: Markup) -> Markup:
    return tag("section", tag("h2", title), *children)


def _facts(facts: dict[str, str]) -> Markup:
    return tag("dl", *(tag("div", tag("dt", k), tag("dd", v)) for k, v in facts.items()))
