"""What a model folder has to hold, and what is said when it does not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from portside.errors import PortsideError
from portside.serving.checkpoint import Task, read_checkpoint
from portside.serving.sentence_model import Pooling

if TYPE_CHECKING:
    from pathlib import Path


def change(model_dir: Path, name: str, **values: Any) -> None:
    path = model_dir / name
    config = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(config | values))


def test_a_whole_checkpoint(model_dir: Path):
    change(model_dir, "config.json", pad_token_id=3)
    change(model_dir, "tokenizer_config.json", unk_token="[UNK]", model_max_length=128)

    checkpoint = read_checkpoint(model_dir)

    assert checkpoint.task is Task.TOKEN_CLASSIFICATION
    assert checkpoint.onnx_path == model_dir / "model.onnx"
    assert checkpoint.tokenizer_path == model_dir / "tokenizer.json"
    assert checkpoint.labels == ("O", "B-PER", "I-PER")
    assert (checkpoint.pad_token_id, checkpoint.max_tokens) == (3, 128)
    assert checkpoint.unknown_token == "[UNK]"


def test_the_graph_may_lie_in_a_folder_of_its_own(model_dir: Path):
    (model_dir / "onnx").mkdir()
    (model_dir / "model.onnx").rename(model_dir / "onnx" / "model_q4.onnx")
    (model_dir / "._model.onnx").write_bytes(b"what a Mac leaves")

    assert read_checkpoint(model_dir).onnx_path == model_dir / "onnx" / "model_q4.onnx"


def test_labels_stand_in_the_order_of_their_numbers(model_dir: Path):
    names = {str(number): f"L{number}" for number in reversed(range(12))}
    change(model_dir, "config.json", id2label=names)

    assert read_checkpoint(model_dir).labels == tuple(f"L{number}" for number in range(12))


@pytest.mark.parametrize(
    ("config", "tokenizer_config", "max_tokens"),
    [
        ({"max_position_embeddings": 512}, {"model_max_length": 10**30}, 512),
        ({"max_position_embeddings": 512}, {"model_max_length": 1e30}, 512),
        ({"max_position_embeddings": None}, {}, 512),
        ({"max_position_embeddings": 8192}, {"model_max_length": 1024}, 1024),
        (
            {"max_position_embeddings": 514, "model_type": "roberta", "pad_token_id": 1},
            {},
            512,
        ),
    ],
)
def test_the_longest_input(
    model_dir: Path, config: dict[str, Any], tokenizer_config: dict[str, Any], max_tokens: int
):
    change(model_dir, "config.json", **config)
    change(model_dir, "tokenizer_config.json", **tokenizer_config)

    assert read_checkpoint(model_dir).max_tokens == max_tokens


@pytest.mark.parametrize("token", ["<unk>", {"content": "<unk>", "lstrip": False}])
def test_both_spellings_of_the_unknown_token(model_dir: Path, token: object):
    change(model_dir, "tokenizer_config.json", unk_token=token)

    assert read_checkpoint(model_dir).unknown_token == "<unk>"


def test_no_such_folder(tmp_path: Path):
    with pytest.raises(PortsideError, match="no such folder") as caught:
        read_checkpoint(tmp_path / "nowhere")

    assert caught.value.hint
    assert "SM_MODEL_DIR" in caught.value.hint


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
def test_a_missing_file_is_named(model_dir: Path, name: str):
    (model_dir / name).unlink()

    with pytest.raises(PortsideError, match=f"it has no `{name}`"):
        read_checkpoint(model_dir)


@pytest.mark.parametrize("text", ["{", "[]", "\xff"])
def test_a_broken_config(model_dir: Path, text: str):
    (model_dir / "config.json").write_text(text, encoding="latin-1")

    with pytest.raises(PortsideError, match=r"cannot read `.*config\.json`"):
        read_checkpoint(model_dir)


def test_no_model(model_dir: Path):
    (model_dir / "model.onnx").unlink()

    with pytest.raises(PortsideError, match=r"no `\*\.onnx`"):
        read_checkpoint(model_dir)


def test_two_models(model_dir: Path):
    (model_dir / "onnx").mkdir()
    (model_dir / "onnx" / "model_q4.onnx").write_bytes(b"")

    with pytest.raises(PortsideError, match=r"2 ONNX models, `model\.onnx`, `onnx/model_q4\.onnx`"):
        read_checkpoint(model_dir)


@pytest.mark.parametrize(
    ("architecture", "task"),
    [
        ("BertForTokenClassification", Task.TOKEN_CLASSIFICATION),
        ("DistilBertForSequenceClassification", Task.TEXT_CLASSIFICATION),
        ("RobertaForQuestionAnswering", Task.QUESTION_ANSWERING),
        ("BertModel", Task.FEATURE_EXTRACTION),
    ],
)
def test_the_architecture_tells_the_task(model_dir: Path, architecture: str, task: Task):
    change(model_dir, "config.json", architectures=[architecture])

    checkpoint = read_checkpoint(model_dir)

    assert checkpoint.task is task
    is_labeled = task in {Task.TOKEN_CLASSIFICATION, Task.TEXT_CLASSIFICATION}
    assert bool(checkpoint.labels) is is_labeled
    assert checkpoint.pooling is Pooling.NONE


@pytest.mark.parametrize(
    ("labels", "entailment"),
    [(["CONTRADICTION", "NEUTRAL", "ENTAILMENT"], 2), (["entailment", "not_entailment"], 0)],
)
def test_a_classifier_that_tells_entailment_takes_any_labels(
    model_dir: Path, labels: list[str], entailment: int
):
    names = {str(number): label for number, label in enumerate(labels)}
    architectures = ["BertForSequenceClassification"]
    change(model_dir, "config.json", architectures=architectures, id2label=names)

    checkpoint = read_checkpoint(model_dir)

    assert checkpoint.task is Task.ZERO_SHOT_CLASSIFICATION
    assert checkpoint.entailment == entailment


def test_what_a_text_classifier_was_trained_for(model_dir: Path):
    architectures = ["BertForSequenceClassification"]
    change(model_dir, "config.json", architectures=architectures, problem_type="regression")

    assert read_checkpoint(model_dir).problem_type == "regression"


def test_labels_that_are_not_named_are_two_with_numbers(model_dir: Path):
    change(model_dir, "config.json", id2label=None)

    assert read_checkpoint(model_dir).labels == ("LABEL_0", "LABEL_1")


# --- sentence-transformers ------------------------------------------------------


def make_sentence_model(model_dir: Path, pooling: dict[str, Any], *more: str) -> None:
    steps = [("", "Transformer"), ("1_Pooling", "Pooling"), *(("2", kind) for kind in more)]
    modules = [
        {"path": path, "type": f"sentence_transformers.models.{kind}"} for path, kind in steps
    ]
    (model_dir / "modules.json").write_text(json.dumps(modules))
    (model_dir / "1_Pooling").mkdir()
    (model_dir / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    change(model_dir, "config.json", architectures=["MPNetForMaskedLM"])


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [
        (
            {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False, "dimension": 384},
            Pooling.MEAN,
        ),
        ({"pooling_mode_cls_token": True}, Pooling.CLS),
        ({"pooling_mode_max_tokens": True}, Pooling.MAX),
        ({"pooling_mode": "cls", "include_prompt": True}, Pooling.CLS),
    ],
)
def test_a_sentence_model_is_for_feature_extraction(
    model_dir: Path, pooling: dict[str, Any], expected: Pooling
):
    make_sentence_model(model_dir, pooling)

    checkpoint = read_checkpoint(model_dir)

    assert checkpoint.task is Task.FEATURE_EXTRACTION
    assert (checkpoint.pooling, checkpoint.normalize) == (expected, False)
    assert checkpoint.labels == ()


def test_a_sentence_model_may_normalize_and_read_less(model_dir: Path):
    make_sentence_model(model_dir, {"pooling_mode_mean_tokens": True}, "Normalize")
    change(model_dir, "sentence_bert_config.json", max_seq_length=256)

    checkpoint = read_checkpoint(model_dir)

    assert checkpoint.normalize
    assert checkpoint.max_tokens == 256


def test_pooling_without_a_list_of_modules(model_dir: Path):
    make_sentence_model(model_dir, {"pooling_mode_max_tokens": True})
    (model_dir / "modules.json").unlink()

    assert read_checkpoint(model_dir).pooling is Pooling.MAX


@pytest.mark.parametrize(
    ("pooling", "more", "message"),
    [
        ({"pooling_mode_mean_tokens": True}, ["Dense"], "names `Dense`"),
        ({"pooling_mode_weightedmean_tokens": True}, [], "`pooling_mode_weightedmean_tokens`"),
        (
            {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True},
            [],
            "`pooling_mode_cls_token`, `pooling_mode_mean_tokens`",
        ),
        ({"pooling_mode": "lasttoken"}, [], "`lasttoken`"),
        ({}, [], "none, and what can be done"),
    ],
)
def test_steps_that_would_be_left_out_are_refused(
    model_dir: Path, pooling: dict[str, Any], more: list[str], message: str
):
    make_sentence_model(model_dir, pooling, *more)

    with pytest.raises(PortsideError, match=message):
        read_checkpoint(model_dir)


@pytest.mark.parametrize(
    ("architectures", "named"),
    [(["BertForMaskedLM"], "`BertForMaskedLM`"), ([], "no architecture"), (None, "no arch")],
)
def test_an_unknown_task(model_dir: Path, architectures: object, named: str):
    change(model_dir, "config.json", architectures=architectures)

    with pytest.raises(PortsideError, match=named) as caught:
        read_checkpoint(model_dir)

    assert "`…ForTokenClassification`" in caught.value.message
    assert caught.value.hint
    assert "inference.py" in caught.value.hint


@pytest.mark.parametrize("labels", [{}, ["O"], {"0": "O", "2": "B-PER"}])
def test_labels_that_do_not_fit(model_dir: Path, labels: object):
    change(model_dir, "config.json", id2label=labels)

    with pytest.raises(PortsideError, match="id2label"):
        read_checkpoint(model_dir)
