from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from portside.artifact.folder.architecture import Task
from portside.artifact.folder.checkpoint import read_checkpoint
from portside.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    MakeFolder = Callable[..., Path]


@pytest.mark.parametrize(
    ("config", "message", "hint"),
    [
        pytest.param(
            {"architectures": ["FnetForTokenClassification"], "model_type": "fnet"},
            "the model is a `FnetForTokenClassification`, and the families that Portside exports "
            "are `Albert`, `Bert`, ",
            "put the `model.onnx` into the folder",
            id="another family",
        ),
        pytest.param(
            {"architectures": ["DistilbertForTokenClassification"]},
            "(is `DistilBertForTokenClassification` meant?)",
            "",
            id="a slip in the family",
        ),
        pytest.param(
            {"architectures": ["DistilBertForTokenClasification"]},
            "(is `DistilBertForTokenClassification` meant?), and the tasks that need no code are",
            "inference.py",
            id="a slip in the head",
        ),
        pytest.param(
            {"model_type": None},
            "it has no `model_type`".removeprefix("it "),
            '"distilbert"',
            id="no",
        ),
        pytest.param(
            {"model_type": "bert"},
            "`DistilBertForTokenClassification` and the `model_type` `bert`, which is another",
            '"distilbert"',
            id="two families",
        ),
        pytest.param(
            {"architectures": ["LlamaForCausalLM"], "model_type": "llama"},
            "a `LlamaForCausalLM`, which generates text, and Portside exports encoders only",
            "write an `inference.py`",
            id="decoder",
        ),
        pytest.param(
            {"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2"},
            "a `GPT2LMHeadModel`, which generates text",
            "write an `inference.py`",
            id="decoder that ends like an encoder",
        ),
        pytest.param(
            {"architectures": ["T5ForConditionalGeneration"], "model_type": "t5"},
            "which generates text",
            "write an `inference.py`",
            id="encoder and decoder",
        ),
        pytest.param(
            {"architectures": ["GPT2Model"], "model_type": "gpt2"},
            "the model is a `GPT2Model`, and the families that",
            "",
            id="decoder without a head",
        ),
    ],
)
def test_models_that_are_not_exported(
    config: dict[str, Any], message: str, hint: str, make_folder: MakeFolder
):
    folder = make_folder({"model.safetensors": "w"}, **config)

    with pytest.raises(BuildError) as caught:
        read_checkpoint(folder, has_handler=False)

    assert message in caught.value.message
    assert hint in (caught.value.hint or "")


def test_a_graph_may_be_of_any_family(make_folder: MakeFolder):
    config = {"architectures": ["FnetForTokenClassification"], "model_type": "fnet"}
    folder = make_folder({"model.onnx": "w"}, **config)

    assert read_checkpoint(folder, has_handler=False).task is Task.TOKEN_CLASSIFICATION


def test_a_sentence_model_is_of_the_family_that_its_type_names(make_folder: MakeFolder):
    files = {"model.safetensors": "w", "modules.json": "[]"}
    config = {"architectures": ["MPNetForMaskedLM"], "model_type": "mpnet"}

    assert read_checkpoint(make_folder(files, **config), has_handler=False).needs_export

    folder = make_folder(files, **(config | {"model_type": "fnet"}))
    with pytest.raises(BuildError, match="the families that Portside exports"):
        read_checkpoint(folder, has_handler=False)


def test_an_adapter_is_no_model(make_folder: MakeFolder):
    files = {"adapter_config.json": "{}", "adapter_model.safetensors": "w", "config.json": None}

    with pytest.raises(BuildError, match="it is an adapter") as caught:
        read_checkpoint(make_folder(files), has_handler=False)

    assert "merge_and_unload()" in (caught.value.hint or "")


def test_an_empty_folder(tmp_path: Path):
    with pytest.raises(BuildError, match="it is empty"):
        read_checkpoint(tmp_path, has_handler=False)
