from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from portside.artifact.folder.checkpoint import read_checkpoint
from portside.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    MakeFolder = Callable[..., Path]

THREE = {"0": "O", "1": "B-person", "2": "I-person"}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        pytest.param({"id2label": []}, "`id2label` is no object", id="a list"),
        pytest.param({"id2label": {}}, "`id2label` is no object", id="empty"),
        pytest.param(
            {"id2label": {"0": "O", "1": "B", "3": "I"}},
            "names 3 labels, none of them for id 2, but one for `3`",
            id="a hole",
        ),
        pytest.param({"id2label": {"1": "O"}}, "none of them for id 0", id="from one"),
        pytest.param({"label2id": 1}, "`label2id` is no object", id="no object"),
        pytest.param(
            {"label2id": {"O": 0, "B-person": 2, "I-person": 1}},
            "`label2id` gives `B-person` the id 2, and `id2label` has `I-person` there",
            id="swapped",
        ),
        pytest.param(
            {"label2id": {"LABEL_0": 0, "LABEL_1": 1, "LABEL_2": 2}},
            "gives `LABEL_0` the id 0, and `id2label` has `O` there",
            id="left from the default",
        ),
        pytest.param({"label2id": {"O": 3}}, "id 3, and `id2label` has no such id", id="beyond"),
        pytest.param({"label2id": {"O": "0"}}, "has no such id", id="no number"),
        pytest.param({"label2id": {"O": 0}}, "names `B-person`, which `label2id` does", id="less"),
        pytest.param({"num_labels": 5}, "`num_labels` is 5 and `id2label` names 3", id="number"),
        pytest.param({"num_labels": "3"}, '`num_labels` is `"3"`, which is no', id="a text"),
        pytest.param({"num_labels": True}, "`num_labels` is `true`, which is no", id="a boolean"),
        pytest.param(
            {"id2label": {"0": "O", "1": None, "2": "B"}},
            "`id2label` gives id 1 the name `null`",
            id="no name",
        ),
        pytest.param(
            {"id2label": {"0": "O", "1": "", "2": "B"}},
            '`id2label` gives id 1 the name `""`',
            id="an empty name",
        ),
        pytest.param(
            {"id2label": {"0": "O", "1": ["A"], "2": "B"}},
            '`id2label` gives id 1 the name `["A"]`',
            id="a list of names",
        ),
        pytest.param(
            {"id2label": None, "label2id": None},
            "`classifier.weight` has 3 rows, and `id2label` names none, which means 2",
            id="fewer than the weights have",
        ),
        pytest.param(
            {"id2label": THREE | {"3": "B-place"}},
            "`classifier.weight` has 3 rows, and `id2label` names 4",
            id="more than the weights have",
        ),
    ],
)
def test_labels_that_disagree(config: dict[str, Any], message: str, make_folder: MakeFolder):
    folder = make_folder({"model.safetensors": "w"}, **config)

    with pytest.raises(BuildError) as caught:
        read_checkpoint(folder, has_handler=False)

    assert message in caught.value.message
    assert caught.value.hint


def test_labels_that_agree(make_folder: MakeFolder):
    label2id = {"O": 0, "I-person": 2, "B-person": 1}
    folder = make_folder({"model.safetensors": "w"}, label2id=label2id, num_labels=3)

    assert read_checkpoint(folder, has_handler=False).labels == tuple(THREE.values())


def test_two_ids_may_have_one_name(make_folder: MakeFolder):
    """As where training tells apart what callers shall not; `label2id` can hold one of them."""
    id2label = {"0": "O", "1": "person", "2": "person"}
    label2id = {"O": 0, "person": 2}
    folder = make_folder({"model.safetensors": "w"}, id2label=id2label, label2id=label2id)

    found = read_checkpoint(folder, has_handler=False)
    assert found.labels == ("O", "person", "person")
    # It may be a slip as well, so it is told.
    assert found.summary.endswith("3 labels of 2 names")


def test_numbers_are_names_and_a_number_of_labels_may_be_left_open(make_folder: MakeFolder):
    """As ratings have them."""
    folder = make_folder(
        {"model.safetensors": "w"}, id2label={"0": 1, "1": 2, "2": 3}, num_labels=None
    )

    assert read_checkpoint(folder, has_handler=False).labels == ("1", "2", "3")


@pytest.mark.parametrize(
    ("architecture", "tensor", "rows"),
    [
        ("BertForTokenClassification", "classifier.weight", 3),
        ("RobertaForSequenceClassification", "classifier.out_proj.weight", 3),
        ("BertForQuestionAnswering", "qa_outputs.weight", 2),
        ("BertModel", "pooler.dense.weight", 7),
    ],
)
def test_the_last_layer_of_each_task(
    architecture: str, tensor: str, rows: int, make_folder: MakeFolder
):
    model_type = "roberta" if architecture.startswith("Roberta") else "bert"
    folder = make_folder({}, architectures=[architecture], model_type=model_type)
    save_file({tensor: np.zeros((rows, 2), np.float32)}, folder / "model.safetensors")

    assert read_checkpoint(folder, has_handler=False).architecture == architecture


@pytest.mark.parametrize(
    ("architecture", "tensor", "message"),
    [
        ("BertForTokenClassification", "encoder", "the weights have no `classifier.weight`"),
        ("BertForQuestionAnswering", "classifier.weight", "have no `qa_outputs.weight`"),
        (
            "BertForQuestionAnswering",
            "qa_outputs.weight",
            "has 3 rows, and question answering takes 2",
        ),
    ],
)
def test_weights_without_the_last_layer(
    architecture: str, tensor: str, message: str, make_folder: MakeFolder
):
    folder = make_folder({}, architectures=[architecture], model_type="bert")
    save_file({tensor: np.zeros((3, 2), np.float32)}, folder / "model.safetensors")

    with pytest.raises(BuildError) as caught:
        read_checkpoint(folder, has_handler=False)

    assert message in caught.value.message
