from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from portside.artifact.folder.checkpoint import read_checkpoint
from portside.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    MakeFolder = Callable[..., Path]

VOCABULARY = {"[PAD]": 0, "ada": 1, "lives": 4}


def test_a_vocabulary_is_enough_where_the_model_is_exported(make_folder: MakeFolder):
    files = {"model.safetensors": "w", "tokenizer.json": None, "vocab.txt": "ada"}

    assert read_checkpoint(make_folder(files), has_handler=False).needs_export


@pytest.mark.parametrize("vocabulary", ["vocab.txt", "vocab.json", "spm.model"])
def test_beside_a_graph_it_has_to_be_converted_first(vocabulary: str, make_folder: MakeFolder):
    folder = make_folder({"model.onnx": "w", "tokenizer.json": None, vocabulary: "ada"})

    with pytest.raises(BuildError, match=f"only the `{vocabulary}` of a slow tokenizer") as caught:
        read_checkpoint(folder, has_handler=False)

    code = f'AutoTokenizer.from_pretrained("{folder}").save_pretrained("{folder}")'
    assert f"python -c 'from transformers import AutoTokenizer; {code}'" in caught.value.hint


@pytest.mark.parametrize("model", ["model.onnx", "model.safetensors"])
def test_none_at_all_is_taken_from_the_model_that_was_trained_on(
    model: str, make_folder: MakeFolder
):
    folder = make_folder({model: "w", "tokenizer.json": None}, _name_or_path="bert-base-cased")

    with pytest.raises(BuildError, match=r"it has no `tokenizer.json`") as caught:
        read_checkpoint(folder, has_handler=False)

    assert 'from_pretrained("bert-base-cased").save' in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"model": {"voc', "it is not JSON"),
        ("[]", "it is not a JSON object"),
        (
            json.dumps({"model": {"vocab": VOCABULARY}}),
            "knows 5 tokens and the model 4 (`vocab_size`)",
        ),
        (
            json.dumps({"model": {"vocab": [["a", 0.0]] * 6}}),
            "knows 6 tokens and the model 4",
        ),
    ],
)
def test_a_tokenizer_that_is_not_the_models(content: str, message: str, make_folder: MakeFolder):
    folder = make_folder({"model.onnx": "w", "tokenizer.json": content}, vocab_size=4)

    with pytest.raises(BuildError) as caught:
        read_checkpoint(folder, has_handler=False)

    assert message in caught.value.message


@pytest.mark.parametrize("config", [{"vocab_size": 5}, {}, {"vocab_size": "5"}])
def test_a_tokenizer_that_fits(config: dict[str, Any], make_folder: MakeFolder):
    content = json.dumps({"model": {"vocab": VOCABULARY}})
    folder = make_folder({"model.onnx": "w", "tokenizer.json": content}, **config)

    assert read_checkpoint(folder, has_handler=False).labels
