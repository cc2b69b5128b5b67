from __future__ import annotations

from typing import Any

import pytest

from portside.artifact.proof.proof import Likeness, Proof, SampleSet, Verdict
from portside.artifact.report import text as words
from tests.unit.artifact.report_values import (
    make_candidate,
    make_example,
    make_figures,
    make_proof,
)

FP32 = make_candidate(
    "fp32",
    precision="fp32",
    figures=make_figures(14.2, size_mb=90.4),
    likeness=Likeness(largest_difference=0.0, agreement=1.0),
)
UNLABELED = SampleSet(source="bundled texts", texts=1, labeled=False)


def make_unlabeled(task: str, *, agreement: float, **others: Any) -> Proof:
    candidate = make_candidate(likeness=Likeness(largest_difference=0.1, agreement=agreement))
    return make_proof(task=task, samples=UNLABELED, candidates=(candidate,), **others)


def test_the_sentence_says_what_was_chosen_and_why():
    report = make_example(proof=make_proof(candidates=(make_candidate(),)))

    assert words.sentence(report) == (
        "int8 chosen: 99.8 % of entities agree over 412 texts, F1 61.2 → 61.1, "
        "4.6 times as fast, a quarter of the size"
    )


def test_the_sentence_says_what_was_refused():
    refused = make_candidate(verdict=Verdict.REFUSED)
    report = make_example(proof=make_proof(candidates=(FP32, refused)))

    assert words.sentence(report) == (
        "fp32 chosen, int8 refused: 100 % of entities agree over 412 texts, as fast, the same size"
    )


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ("text-classification", "99.8 % of labels agree over 1 text"),
        ("question-answering", "99.8 % of answers agree over 1 text"),
        ("feature-extraction", "vectors agree to a cosine of 0.9980 over 1 text"),
        ("another", "99.8 % of answers agree over 1 text"),
    ],
)
def test_each_task_has_its_words(task: str, expected: str):
    assert words.findings(make_unlabeled(task, agreement=0.998))[0] == expected


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (1.0, "100 %"),
        (0.995, "99.5 %"),
        (0.994_999, "99.49 %"),
        (0.999_99, "99.99 %"),
        (0.0, "0 %"),
        (float("nan"), "not a number"),
    ],
)
def test_what_is_under_the_gate_is_not_rounded_up_to_it(share: float, expected: str):
    assert words.agreement(make_proof(), share) == expected


@pytest.mark.parametrize(
    ("size_mb", "expected"),
    [
        (90.4, "the same size"),
        (45.0, "half the size"),
        (30.2, "a third of the size"),
        (22.9, "a quarter of the size"),
        (26.4, "29 % of the size"),
        (180.8, "2.0 times the size"),
    ],
)
def test_sizes_are_told_as_people_tell_them(size_mb: float, expected: str):
    candidate = make_candidate(figures=make_figures(3.0, size_mb=size_mb))

    assert words.findings(make_proof(candidates=(candidate,)))[-1] == expected


def test_the_table_is_of_the_original_and_of_what_passed():
    columns, rows = words.rows(make_example())
    shown = {name: dict(zip(columns[1:], cells, strict=True)) for name, *cells in rows}

    chosen = "int8, per channel, with section 5 in fp32"
    assert columns == ["", "original", "fp32", chosen]
    assert shown["size"] == {"original": "90.4 MB", "fp32": "90.6 MB", chosen: "26.4 MB"}
    assert shown["agreement"] == {"original": "—", "fp32": "100 %", chosen: "99.8 %"}
    assert shown["F1"] == {"original": "61.2", "fp32": "61.2", chosen: "61.1"}
    assert shown["verdict"] == {"original": "as trained", "fp32": "not needed", chosen: "chosen"}


def test_without_labels_there_is_no_f1():
    report = make_example(proof=make_unlabeled("text-classification", agreement=1.0))
    columns, rows = words.rows(report)

    assert "F1" not in [row[0] for row in rows]
    assert {len(row) for row in rows} == {len(columns)}
    assert "F1" not in words.sentence(report)


def test_a_terminal_is_told_why_and_nothing_else():
    hostile = make_candidate("int8\x1b[2J", verdict=Verdict.REFUSED, reason="\u202efaster")
    spare = make_candidate("\x07", verdict=Verdict.NOT_NEEDED)
    report = make_example(proof=make_proof(candidates=(FP32, hostile, spare)))

    assert words.reasons(report) == [r"int8\x1b[2J refused: \u202efaster"]
    assert words.rows(report)[0] == ["", "original", "fp32", r"\x07"]
