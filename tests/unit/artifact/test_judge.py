"""Which form of a model is chosen, on a model whose forms answer as the test says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from portside.artifact.folder.architecture import Task
from portside.artifact.graph.section import sections
from portside.artifact.proof.judge import Choice, judge
from portside.artifact.proof.proof import Gate, Verdict
from portside.artifact.proof.sample import Sample, Samples
from portside.errors import BuildError
from tests.unit.artifact.judge_fakes import TEXTS, FakeModel


def run(
    model: FakeModel,
    *,
    precision: Any = "auto",
    gate: Gate | None = None,
    items: tuple[Sample, ...] = (Sample(inputs="text"),) * TEXTS,
) -> Choice:
    return judge(
        model,
        name="Tiny",
        task=Task.TEXT_CLASSIFICATION,
        samples=Samples(source="texts.txt", items=items),
        gate=gate or Gate(),
        precision=precision,
        progress=lambda _: None,
        clock=iter([0.0, 2.5]).__next__,
    )


def test_int8_that_passes_is_chosen_at_once():
    model = FakeModel(lambda _: 5)

    choice = run(model)

    assert choice.files == (Path("int8-1/model.onnx"),)
    assert [recipe.name for recipe in model.tried] == ["int8"]
    assert choice.proof.chosen.name == "int8"
    assert choice.proof.chosen.reason == (
        "passes the gate, 3.0 times as fast as fp32, 1/4.0 of its size"
    )
    assert [c.verdict for c in choice.proof.candidates] == [Verdict.NOT_NEEDED, Verdict.CHOSEN]
    assert choice.proof.took_s == 2.5


def test_a_few_samples_are_kept_with_what_the_chosen_form_found():
    samples = tuple(Sample(inputs=f"text {number}") for number in range(TEXTS))

    choice = run(FakeModel(lambda _: 5), items=samples)

    # int8 is wrong about the first five, and those are not kept.
    assert [asked.inputs for asked in choice.proof.asked] == [f"text {n}" for n in range(5, 10)]
    assert {asked.found for asked in choice.proof.asked} == {frozenset({("GOOD",)})}


def test_other_recipes_are_tried_before_sections_are_left_in_fp32():
    model = FakeModel(lambda recipe: 4 if len(recipe.kept) == 2 else 6)

    choice = run(model)

    assert [recipe.name for recipe in model.tried] == [
        "int8",
        "int8, by row, per channel",
        "int8, by row, per channel, 7 bits",
        "int8, by row, per channel, with section 3 in fp32",
        "int8, by row, per channel, with section 3 and the embeddings in fp32",
    ]
    assert choice.proof.chosen.likeness.agreement == 0.996
    refused = [c for c in choice.proof.candidates if c.verdict is Verdict.REFUSED]
    assert {c.reason for c in refused} == {"answers agree to 99.40 %, below the 99.50 % asked for"}


def test_fp32_where_no_int8_passes_and_it_says_why():
    model = FakeModel(lambda _: 100)

    choice = run(model)

    assert choice.files == model.graph
    assert choice.proof.chosen.reason == "no form of int8 passed the gate and was faster"
    assert model.rankings == 1
    # The last resort cannot be made of every graph, and is not a reason to fail.
    assert any(recipe.static for recipe in model.tried)
    assert len(choice.proof.candidates) == len(model.tried)


def test_int8_that_is_no_faster_is_not_worth_it():
    choice = run(FakeModel(lambda _: 0, int8_texts_per_s=105))

    assert choice.proof.chosen.name == "fp32"
    assert "only 1.05 times as fast" in choice.proof.candidates[1].reason


def test_int8_that_was_asked_for_may_be_slow_but_not_wrong():
    slow = run(FakeModel(lambda _: 0, int8_texts_per_s=90), precision="int8")
    assert slow.proof.chosen.precision == "int8"

    with pytest.raises(BuildError, match=r"no form of it passes the gate .*99\.00 %") as raised:
        run(FakeModel(lambda _: 10), precision="int8")
    assert "precision" in str(raised.value.hint)


def test_fp32_that_was_asked_for_is_proven_and_nothing_else_is_tried():
    model = FakeModel(lambda _: 0)

    choice = run(model, precision="fp32")

    assert model.tried == []
    assert choice.proof.chosen.reason == "asked for"


@pytest.mark.parametrize("precision", ["auto", "fp32"])
def test_a_graph_that_answers_otherwise_is_not_taken_even_in_fp32(precision: str):
    with pytest.raises(BuildError, match=r"answers otherwise than the checkpoint .*98\.00 %"):
        run(FakeModel(wrong_in_fp32=20), precision=precision)


def test_a_wider_gate_lets_more_pass():
    choice = run(FakeModel(lambda _: 100), gate=Gate(agreement=0.9))

    assert choice.proof.chosen.name == "int8"


def test_sections_end_in_a_normalization():
    nodes = [
        ("words", "Gather", True),
        ("norm0", "LayerNormalization", False),
        ("query", "MatMul", True),
        ("scores", "MatMul", False),
        ("norm1", "LayerNormalization", False),
        ("inner", "Gemm", True),
    ]

    found = sections(nodes)

    assert [(s.name, s.nodes) for s in found] == [
        ("the embeddings", ("words",)),
        ("section 1", ("query",)),
        ("section 2", ("inner",)),
    ]
