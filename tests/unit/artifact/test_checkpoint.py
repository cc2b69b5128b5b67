from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from portside.artifact.folder.architecture import Task
from portside.artifact.folder.checkpoint import read_checkpoint
from portside.artifact.folder.weights import Kind
from portside.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    MakeFolder = Callable[..., Path]


def test_an_onnx_model_with_all_that_it_says(make_folder: MakeFolder):
    folder = make_folder({"model.onnx": "graph"})

    found = read_checkpoint(folder, has_handler=False)

    assert found.kind is Kind.ONNX
    assert found.task is Task.TOKEN_CLASSIFICATION
    assert found.architecture == "DistilBertForTokenClassification"
    assert found.labels == ("O", "B-person", "I-person")
    assert [str(f.path) for f in found.files] == ["config.json", "model.onnx", "tokenizer.json"]


@pytest.mark.parametrize(
    ("files", "main", "belonging"),
    [
        (["onnx/model.onnx"], "onnx/model.onnx", 1),
        (["model.safetensors"], "model.safetensors", 1),
        (
            [
                "model-00001-of-00002.safetensors",
                "model-00002-of-00002.safetensors",
            ],
            "model-00001-of-00002.safetensors",
            2,
        ),
    ],
)
def test_all_files_of_one_model_are_found(
    files: list[str], main: str, belonging: int, make_folder: MakeFolder
):
    found = read_checkpoint(make_folder(dict.fromkeys(files, "w")), has_handler=False)

    assert found.model is not None
    assert str(found.model.main.path) == main
    assert len(found.model.files) == belonging
    assert {str(f.path) for f in found.files} == {*files, "config.json", "tokenizer.json"}


def test_the_onnx_model_is_served_and_the_other_weights_are_left_out(make_folder: MakeFolder):
    folder = make_folder(
        dict.fromkeys(
            ("model.onnx", "model.safetensors", "pytorch_model.bin", "tf_model.h5"), "12345"
        )
    )

    found = read_checkpoint(folder, has_handler=False)

    assert found.kind is Kind.ONNX
    assert {str(left.path): left.reason for left in found.left_out} == {
        "model.safetensors": "`model.onnx` is served instead",
        "pytorch_model.bin": "pickled weights",
        "tf_model.h5": "weights of another framework",
    }
    assert {left.size_bytes for left in found.left_out if left.path.suffix == ".h5"} == {5}


def test_two_models_are_named_with_the_way_to_choose(make_folder: MakeFolder):
    folder = make_folder({"onnx/model.onnx": "a", "onnx/model_quantized.onnx": "b"})

    with pytest.raises(BuildError, match=r"2 models, `onnx/model.onnx`, `onnx/model_q") as caught:
        read_checkpoint(folder, has_handler=False)

    assert 'path = "model/onnx/model.onnx"' in (caught.value.hint or "")


@pytest.mark.parametrize("name", ["onnx/model_quantized.onnx", "other.onnx", "a.safetensors"])
def test_one_of_several_models_can_be_chosen(name: str, make_folder: MakeFolder):
    models = ["onnx/model.onnx", "onnx/model_quantized.onnx", "other.onnx", "a.safetensors"]
    folder = make_folder(dict.fromkeys(models, "w"))

    found = read_checkpoint(folder / name, has_handler=False)

    assert found.folder == folder
    assert {str(f.path) for f in found.files} == {name, "config.json", "tokenizer.json"}


def test_choosing_what_is_not_a_model(make_folder: MakeFolder):
    folder = make_folder({"model.onnx": "w"})

    with pytest.raises(BuildError, match=r"config.json`: it is neither an ONNX model nor"):
        read_checkpoint(folder / "config.json", has_handler=False)


@pytest.mark.parametrize(
    ("files", "config", "message", "hint"),
    [
        pytest.param({}, {}, "no model there", "[model] path", id="no model"),
        pytest.param(
            {"checkpoint-5/model.safetensors": "w", "checkpoint-10/model.safetensors": "w"},
            {},
            "only the checkpoints `checkpoint-5`, `checkpoint-10`",
            'path = "model/checkpoint-10"',
            id="only checkpoints",
        ),
        pytest.param(
            {"pytorch_model.bin": "w"},
            {},
            "`pytorch_model.bin` is a pickle",
            "from transformers import DistilBertForTokenClassification; Dis",
            id="bin",
        ),
        pytest.param({"model.pt": "w"}, {}, "to load a pickle runs", "weights_only=True", id="pt"),
        pytest.param(
            {"model.onnx": "w"},
            {"architectures": ["BertForMaskedLM"]},
            "a `BertForMaskedLM`, and the tasks that need no code are those of "
            "`…ForTokenClassification` (token-classification), `…ForSequenceClassification` (",
            "portside init",
            id="unknown task",
        ),
        pytest.param(
            {"model.onnx": "w"},
            {"architectures": None},
            "does not name its architecture",
            "inference.py",
            id="no architecture",
        ),
        pytest.param(
            {"model.onnx": "w", "tokenizer.json": None},
            {},
            "it has no `tokenizer.json`",
            "AutoTokenizer.from_pretrained",
            id="no tokenizer",
        ),
        pytest.param(
            {"model.onnx": "w", "config.json": None},
            {},
            "no `config.json`",
            "inference.py",
            id="no config",
        ),
        pytest.param(
            {"model.onnx": "w", "config.json": "{"}, {}, "cannot read", "", id="broken config"
        ),
        pytest.param({"model.onnx": "w", "config.json": "[]"}, {}, "JSON object", "", id="list"),
        pytest.param(
            {"model.onnx": "w"}, {"id2label": {"1": "O"}}, "`id2label`", "each output", id="labels"
        ),
        pytest.param({"model.onnx": "w"}, {"id2label": []}, "`id2label`", "", id="a list"),
    ],
)
def test_what_cannot_be_served_says_why_and_what_to_do(
    files: dict[str, str | None],
    config: dict[str, object],
    message: str,
    hint: str,
    make_folder: MakeFolder,
):
    with pytest.raises(BuildError) as caught:
        read_checkpoint(make_folder(files, **config), has_handler=False)

    assert message in caught.value.message
    assert not caught.value.message.endswith(".")
    assert hint in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("architecture", "task", "labels"),
    [
        ("BertForTokenClassification", Task.TOKEN_CLASSIFICATION, ("LABEL_0", "LABEL_1")),
        ("BertForSequenceClassification", Task.TEXT_CLASSIFICATION, ("LABEL_0", "LABEL_1")),
        ("BertForQuestionAnswering", Task.QUESTION_ANSWERING, ()),
        ("BertModel", Task.FEATURE_EXTRACTION, ()),
    ],
)
def test_every_task_and_its_labels_where_none_are_named(
    architecture: str, task: Task, labels: tuple[str, ...], make_folder: MakeFolder
):
    folder = make_folder({"model.onnx": "w"}, architectures=[architecture], id2label=None)

    found = read_checkpoint(folder, has_handler=False)

    assert (found.task, found.labels) == (task, labels)


def test_a_sentence_transformers_model_is_for_feature_extraction(make_folder: MakeFolder):
    files = {"model.onnx": "w", "modules.json": "[]", "1_Pooling/config.json": "{}"}

    found = read_checkpoint(
        make_folder(files, architectures=["MPNetForMaskedLM"]), has_handler=False
    )

    assert found.task is Task.FEATURE_EXTRACTION
    assert {str(file.path) for file in found.files} > set(files)


def test_no_such_folder(tmp_path: Path):
    with pytest.raises(BuildError, match="no such folder or file"):
        read_checkpoint(tmp_path / "missing", has_handler=True)


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        ({"a.onnx": "w", "b.onnx": "w", "c.safetensors": "w"}, Kind.ONNX),
        ({"a.safetensors": "w", "b.safetensors": "w"}, Kind.SAFETENSORS),
        ({"words.txt": "w"}, Kind.CODE),
    ],
)
def test_with_code_of_the_users_every_file_is_kept(
    files: dict[str, str], kind: Kind, make_folder: MakeFolder
):
    folder = make_folder(files | {"config.json": None, "tokenizer.json": None})

    found = read_checkpoint(folder, has_handler=True)

    assert found.kind is kind
    assert found.task is None
    assert {str(f.path) for f in found.files} == set(files)


def test_pickles_are_refused_even_with_code(make_folder: MakeFolder):
    with pytest.raises(BuildError, match="is a pickle"):
        read_checkpoint(make_folder({"model.joblib": "w"}), has_handler=True)


@pytest.mark.parametrize("program", ["inference.py", "code/inference.py"])
def test_code_in_the_folder_counts_as_code(program: str, make_folder: MakeFolder):
    folder = make_folder({program: "", "a.onnx": "w", "b.onnx": "w"})

    assert len(read_checkpoint(folder, has_handler=False).files) == 5
