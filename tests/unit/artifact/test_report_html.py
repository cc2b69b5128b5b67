from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path, PurePosixPath

import pytest

from portside.artifact.folder.content import LeftOut
from portside.artifact.proof.proof import Likeness, SampleSet
from portside.artifact.report.page import FEW, to_html
from portside.artifact.report.report import Report
from tests.unit.artifact.report_values import (
    make_artifact,
    make_candidate,
    make_example,
    make_figures,
    make_proof,
)

HOSTILE = """<script src="//evil.example">alert('x')</script>&amp;"\u202e\x00"""


class Reader(HTMLParser):
    """Checks that each tag is closed by its own, and gathers what there is."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data


def read(report: Report) -> Reader:
    reader = Reader()
    reader.feed(to_html(report).decode())
    reader.close()
    assert reader.open == []
    return reader


def make_hostile() -> Report:
    """Every text of a report that anyone but Portside could have written."""
    likeness = Likeness(largest_difference=float("nan"), agreement=float("nan"))
    candidates = (
        make_candidate(HOSTILE, reason=HOSTILE),
        make_candidate("int8", likeness=likeness, reason=HOSTILE),
    )
    return make_example(
        proof=make_proof(
            model=HOSTILE,
            task=HOSTILE,
            samples=SampleSet(source=HOSTILE, texts=3, labeled=True),
            candidates=candidates,
        ),
        artifact=make_artifact(
            path=Path(HOSTILE.replace("\x00", "")),
            members=(HOSTILE,),
            left_out=(LeftOut(path=PurePosixPath(HOSTILE), size_bytes=1, reason=HOSTILE),),
        ),
        versions={HOSTILE: HOSTILE},
    )


def test_tags_are_balanced_and_the_verdict_comes_first():
    reader = read(make_example())

    assert reader.tags.count("h1") == 1
    assert (
        "int8, per channel, with section 5 in fp32 chosen: 99.8\xa0% of entities agree"
        in reader.text
    )
    assert reader.tags.count("svg") == 7


def test_hostile_text_is_text():
    reader = read(make_hostile())

    assert "script" not in reader.tags
    assert {name for name, _ in reader.attributes if name.startswith("on")} == set()
    assert "<script src=" in reader.text
    assert "\u202e" not in reader.text
    assert r"\u202e\x00" in reader.text


@pytest.mark.parametrize("report", [make_example(), make_hostile()], ids=["example", "hostile"])
def test_nothing_is_asked_of_others(report: Report):
    reader = read(report)

    assert {name for name, _ in reader.attributes}.isdisjoint({"src", "href", "srcset", "action"})
    assert set(reader.tags).isdisjoint({"script", "link", "img", "iframe", "object", "base"})
    style = re.search(r"<style>(.*)</style>", to_html(report).decode(), re.DOTALL)
    assert style is not None
    assert re.search(r"url\(|@import", style[1]) is None
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in reader.attributes


def test_every_candidate_is_shown_with_its_reason():
    report = make_example()
    text = read(report).text

    for candidate in report.proof.candidates:
        assert candidate.name in text
        assert candidate.reason in text


def test_what_was_left_out_is_shown_the_largest_first():
    text = read(make_example()).text

    assert "Left out, 543 MB saved" in text
    assert text.index("checkpoint-500") < text.index("optimizer.pt") < text.index("trainer_state")


def test_where_nothing_was_left_out_nothing_is_said():
    report = make_example(artifact=make_artifact(left_out=()))

    assert "Left out" not in read(report).text


def test_many_members_are_folded():
    members = tuple(f"part-{number}" for number in range(FEW + 5))
    reader = read(make_example(artifact=make_artifact(members=members)))

    assert "and 5 more members" in reader.text
    assert all(member in reader.text for member in members)


def test_without_labels_there_is_no_f1():
    candidate = make_candidate(likeness=Likeness(largest_difference=0.1, agreement=0.999))
    reader = read(make_example(proof=make_proof(candidates=(candidate,))))

    assert "F1" not in reader.text
    assert reader.tags.count("svg") == 6


def test_the_cold_start_names_what_it_assumes():
    text = read(make_example()).text

    assert "at an assumed 85 MB/s" in text
    assert "not a promise" in text


def test_one_sample_is_enough():
    figures = make_figures(3.0, latencies_ms=(0.0,))
    proof = make_proof(original=figures, candidates=(make_candidate(figures=figures),))

    assert "latency, p50" in read(make_example(proof=proof)).text
