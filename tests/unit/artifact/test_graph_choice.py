"""Which graph goes into an artifact, and what is said before it is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from portside.artifact.folder.architecture import Task
from portside.artifact.folder.checkpoint import read_checkpoint
from portside.artifact.graph.export import Export
from portside.artifact.graph_choice import choose_graph
from portside.artifact.served_graph import ServedGraph, Wanted
from portside.errors import ConfigError
from portside.serving.tasks.strategy import AggregationStrategy
from tests.unit.artifact.judge_fakes import TEXTS, FakeModel

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from portside.artifact.folder.checkpoint import Checkpoint
    from portside.artifact.proof.judge import Precision
    from portside.artifact.proof.sample import Samples

    MakeFolder = Callable[..., Path]

CLASSIFIER = "DistilBertForSequenceClassification"
MULTI_LABEL = "multi_label_classification"


class Bench:
    """An exporter and an examiner that note what they are given."""

    def __init__(self, folder: Path, *, tokenizer: Path | None = None) -> None:
        self.graph = folder / "fp32/model.onnx"
        self.tokenizer = tokenizer
        self.exported: list[Path] = []
        self.samples: Samples | None = None
        self.strategy = ""

    def choose(self, checkpoint: Checkpoint, cache: Path, wanted: Wanted) -> ServedGraph:
        return choose_graph(
            checkpoint,
            checkpoint.task or Task.TEXT_CLASSIFICATION,
            wanted=wanted,
            cache=cache,
            progress=lambda _: None,
            exporter=self.export,
            examiner=self.examine,
        )

    def export(self, checkpoint: Checkpoint, cache: Path, _: object) -> Export:
        self.exported.append(cache)
        return Export(files=(self.graph,), tokenizer=self.tokenizer, largest_difference=0.0)

    def examine(
        self,
        checkpoint: Checkpoint,
        exported: Export,
        samples: Samples,
        *,
        strategy: str,
        **_: object,
    ) -> FakeModel:
        self.samples, self.strategy = samples, strategy
        return FakeModel(graph=(self.graph,), texts=len(samples.items))


@pytest.fixture
def checkpoint(make_folder: MakeFolder) -> Checkpoint:
    labels = {"0": "BAD", "1": "SO-SO", "2": "GOOD"}
    folder = make_folder({"model.safetensors": "w"}, architectures=[CLASSIFIER], id2label=labels)
    return read_checkpoint(folder, has_handler=False)


@pytest.mark.parametrize(("precision", "folder"), [("auto", "int8-1"), ("fp32", "fp32")])
def test_the_form_that_was_chosen_is_served(
    precision: Precision, folder: str, checkpoint: Checkpoint, tmp_path: Path
):
    (tmp_path / "texts.txt").write_text("one\n" * TEXTS)
    bench = Bench(tmp_path)
    wanted = Wanted(precision=precision, samples=tmp_path / "texts.txt", strategy="first")

    served = bench.choose(checkpoint, tmp_path / "cache", wanted)

    assert served.files == (tmp_path / folder / "model.onnx",)
    assert served.proof.samples.source == "texts.txt"
    assert bench.exported == [tmp_path / "cache"]
    assert bench.strategy == "first"


def test_a_tokenizer_that_was_made_is_served_too(checkpoint: Checkpoint, tmp_path: Path):
    made = tmp_path / "fp32/tokenizer.json"
    bench = Bench(tmp_path, tokenizer=made)

    served = bench.choose(checkpoint, tmp_path, Wanted(precision="fp32"))

    assert served.files == (bench.graph, made)
    assert bench.samples is not None
    assert bench.samples.source == "bundled texts"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"question": "Who?", "context": "Ada"}', "does not fit text-classification"),
        ('{"text": "Fine.", "label": "FINE"}', "the model knows `BAD`, `SO-SO`, `GOOD`"),
        ('{"text": "Fine.", "label": 3}', "has the label `3`"),
        ('{"text": "Fine.", "label": ["GOOD"]}', "exclude each other"),
    ],
)
def test_what_is_wrong_with_the_samples_is_said_before_the_export(
    line: str, said: str, checkpoint: Checkpoint, tmp_path: Path
):
    (tmp_path / "dev.jsonl").write_text(f'{{"text": "Fine.", "label": 2}}\n{line}\n')
    bench = Bench(tmp_path)

    with pytest.raises(ConfigError, match=f"line 2 of .*{said}"):
        bench.choose(checkpoint, tmp_path, Wanted(samples=tmp_path / "dev.jsonl"))

    assert bench.exported == []


def test_a_text_may_have_several_labels_by_its_problem_type(
    make_folder: MakeFolder, tmp_path: Path
):
    files = {"model.safetensors": "w"}
    folder = make_folder(files, architectures=[CLASSIFIER], problem_type=MULTI_LABEL)
    (tmp_path / "dev.jsonl").write_text('{"text": "Fine.", "label": [0, 2]}\n' * TEXTS)
    bench = Bench(tmp_path)

    bench.choose(
        read_checkpoint(folder, has_handler=False),
        tmp_path,
        Wanted(precision="fp32", samples=tmp_path / "dev.jsonl"),
    )

    assert bench.samples is not None
    assert bench.samples.items[0].labels == {"O", "I-person"}


@pytest.mark.parametrize(
    ("architecture", "config", "parameters", "is_exclusive"),
    [
        ("DistilBertForTokenClassification", {}, {"aggregation_strategy": "first"}, True),
        (CLASSIFIER, {}, {}, True),
        (CLASSIFIER, {"problem_type": MULTI_LABEL}, {"top_k": None}, False),
    ],
)
def test_what_is_kept_of_the_samples_can_be_asked_of_any_endpoint(
    architecture: str,
    config: dict[str, str],
    parameters: dict[str, object],
    *,
    is_exclusive: bool,
    make_folder: MakeFolder,
    tmp_path: Path,
):
    folder = make_folder({"model.safetensors": "w"}, architectures=[architecture], **config)
    checkpoint = read_checkpoint(folder, has_handler=False)
    wanted = Wanted(precision="fp32", strategy=AggregationStrategy.FIRST)
    bench = Bench(tmp_path)

    served = bench.choose(checkpoint, tmp_path, wanted)

    assert len(served.proof.asked) == 5
    for asked in served.proof.asked:
        assert (asked.parameters, asked.is_exclusive) == (parameters, is_exclusive)
        assert asked.found == {("GOOD",)}
