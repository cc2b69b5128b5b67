"""What is asked once, and what makes it be asked anew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from portside.artifact.folder.checkpoint import read_checkpoint
from portside.artifact.graph.export import Export
from portside.artifact.proof.examination import Examination
from portside.artifact.proof.sample import Sample, Samples

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    MakeFolder = Callable[..., Path]

FIGURES = {"load_s": 0.1, "resident_bytes": 10, "latencies_ms": [1.0], "texts_per_s": 5.0}


class Process:
    """Answers in the place of `answer_process`, and keeps what it was asked."""

    def __init__(self, **answers: Any) -> None:
        self.requests: list[dict[str, Any]] = []
        self.found: list[list[str]] = []
        self._answers = answers or {"found": [[["PER", 0, 3]]], "token_labels": [[[0, "O"]]]}

    def __call__(self, module: str, arguments: Sequence[str], folder: Path, **_: object) -> None:
        [file] = arguments
        request = json.loads(Path(file).read_text(encoding="utf-8"))
        self.requests.append(request)
        model_dir = folder.parent / request["model_dir"]
        self.found.append(sorted(path.name for path in model_dir.iterdir()))
        folder.mkdir()
        (folder / "answers.json").write_text(json.dumps(self._answers))
        (folder / "figures.json").write_text(json.dumps(FIGURES))
        np.save(folder / "outputs.npy", np.arange(6, dtype=np.float32))
        np.save(folder / "vectors.npy", np.arange(5, dtype=np.float32))


@pytest.fixture
def make(make_folder: MakeFolder, tmp_path: Path) -> Callable[..., Examination]:
    """An examination of the usual checkpoint, with one sample."""
    graph = tmp_path / "export-1/model.onnx"
    graph.parent.mkdir()
    graph.write_text("graph")
    graph.with_name("export.json").write_text('{"inputs": ["input_ids"]}')

    def make(
        process: Process, *, text: str = "Ada", strategy: str = "average", **config: Any
    ) -> Examination:
        folder = make_folder({"model.safetensors": "weights"}, **config)
        return Examination(
            read_checkpoint(folder, has_handler=False),
            Export(files=(graph,), largest_difference=0.0),
            Samples(source="texts.txt", items=(Sample(inputs=text),)),
            strategy=strategy,
            cache=tmp_path / "cache",
            progress=lambda _: None,
            run=process,
        )

    return make


def test_a_graph_is_asked_as_the_endpoint_runs_it(make: Callable[..., Examination], tmp_path: Path):
    process = Process()
    examination = make(process, strategy="first")

    answers, figures = examination.ask(examination.graph)

    [request] = process.requests
    assert request["original"] is None
    assert (request["inputs"], request["strategy"]) == (["Ada"], "first")
    assert process.found == [["config.json", "model.onnx", "tokenizer.json"]]
    assert answers.found == [{("PER", 0, 3)}]
    assert figures.size_bytes == len("graph")
    # Its folder stands only while the process reads it.
    assert [path.name[:8] for path in (tmp_path / "cache").iterdir()] == ["answers-"]


def test_vectors_are_parted_as_they_were(make: Callable[..., Examination]):
    examination = make(Process(vector_sizes=[2, 3]))

    answers, _ = examination.ask(examination.graph)

    assert [vector.tolist() for vector in answers.vectors] == [[0, 1], [2, 3, 4]]
    assert answers.found == []


def test_what_was_asked_is_not_asked_again(make: Callable[..., Examination]):
    process = Process()
    for _ in range(2):
        examination = make(process)
        examination.ask(examination.graph)
        examination.ask_original()

    assert [bool(request["original"]) for request in process.requests] == [False, True]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"text": "Bo"}, id="sample"),
        pytest.param({"strategy": "first"}, id="strategy"),
        pytest.param({"id2label": {"0": "O", "1": "B-place", "2": "I-place"}}, id="labels"),
    ],
)
def test_another_question_is_asked_anew(make: Callable[..., Examination], other: dict[str, Any]):
    process = Process()
    for examination in (make(process), make(process, **other)):
        examination.ask(examination.graph)
        examination.ask_original()

    assert len(process.requests) == 4
