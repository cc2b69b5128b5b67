"""Entities and F1, beside seqeval, whose definitions they are."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval import metrics

from portside.artifact.proof.span import Span, f1, spans

LABELS = st.sampled_from(["O", "B-PER", "I-PER", "B-LOC", "I-LOC"])
TEXTS = st.lists(st.lists(LABELS, min_size=1, max_size=8), min_size=1, max_size=6)


def test_entities_end_where_the_kind_changes_or_a_new_one_begins():
    labels = ["B-PER", "I-PER", "B-PER", "I-LOC", "O", "I-LOC"]

    assert spans(labels) == [
        Span("PER", 0, 2),
        Span("PER", 2, 3),
        Span("LOC", 3, 4),
        Span("LOC", 5, 6),
    ]


def test_kinds_may_have_hyphens_and_no_text_has_entities():
    assert spans(["B-creative-work", "I-creative-work"]) == [Span("creative-work", 0, 2)]
    assert spans([]) == []


@settings(deadline=None)  # the first call of seqeval takes long
@given(TEXTS, st.data())
def test_entities_and_f1_are_those_of_seqeval(expected: list[list[str]], data: st.DataObject):
    found = [
        data.draw(st.lists(LABELS, min_size=len(text), max_size=len(text))) for text in expected
    ]

    theirs = metrics.sequence_labeling.get_entities(expected[0])
    ours = [(kind, start, end - 1) for kind, start, end in spans(expected[0])]
    assert ours == theirs
    points = 100 * metrics.f1_score(expected, found, zero_division=0)
    assert f1(expected, found) == pytest.approx(points)
