"""A real export: torch makes a checkpoint, a process exports it, onnxruntime answers."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
import pytest
from safetensors.numpy import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from portside.artifact.checkpoint import read_checkpoint
from portside.artifact.export import export
from portside.errors import BuildError

if TYPE_CHECKING:
    from pathlib import Path

# In a process of its own: torch need not be loaded into the tests' one.
MAKE_CHECKPOINT = """
import sys, json, numpy, torch, transformers
from tokenizers import Tokenizer, models, pre_tokenizers

folder, architecture = sys.argv[1:]
words = {word: n for n, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "ada", "lives"])}
tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
transformers.PreTrainedTokenizerFast(
    tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]",
).save_pretrained(folder)
labels = {}
if "Classification" in architecture:
    labels = dict(id2label={0: "O", 1: "B-x", 2: "I-x"}, label2id={"O": 0, "B-x": 1, "I-x": 2})
torch.manual_seed(1)
if architecture.startswith("DistilBert"):
    config = transformers.DistilBertConfig(
        vocab_size=40, dim=32, n_layers=2, n_heads=4, hidden_dim=64, **labels)
else:
    kind = transformers.RobertaConfig if "Roberta" in architecture else transformers.BertConfig
    config = kind(
        vocab_size=40, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=64, max_position_embeddings=66, type_vocab_size=1, **labels)
model = getattr(transformers, architecture)(config)
model.save_pretrained(folder)
ids = torch.randint(4, 40, (3, 11))
mask = torch.ones_like(ids)
mask[2, 7:] = 0
with torch.no_grad():
    outputs = model.eval()(input_ids=ids, attention_mask=mask)
arrays = {name: array.numpy() for name, array in outputs.items()}
numpy.savez(f"{folder}.npz", ids=ids.numpy(), mask=mask.numpy(), **arrays)
"""

OUTPUTS = {
    "DistilBertForTokenClassification": ["logits"],
    "RobertaForSequenceClassification": ["logits"],
}


@pytest.fixture(params=OUTPUTS)
def architecture(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def folder(architecture: str, tmp_path: Path) -> Path:
    folder = tmp_path / "checkpoint"
    command = [sys.executable, "-W", "ignore", "-c", MAKE_CHECKPOINT, str(folder), architecture]
    subprocess.run(command, check=True, capture_output=True)
    return folder


def test_the_graph_answers_as_torch_does(architecture: str, folder: Path, tmp_path: Path):
    exported = export(read_checkpoint(folder, has_handler=False), tmp_path / "cache")

    graph, data = exported.files
    assert (graph.name, data.name) == ("model.onnx", "model.onnx.data")
    assert [*graph.parent.parent.iterdir()] == [graph.parent]
    assert b"site-packages" not in graph.read_bytes()
    assert 0 < exported.largest_difference < 1e-4
    session = onnxruntime.InferenceSession(graph)
    assert [node.name for node in session.get_outputs()] == OUTPUTS[architecture]
    expected = np.load(tmp_path / "checkpoint.npz")
    given = {"input_ids": expected["ids"], "attention_mask": expected["mask"]}
    kept = expected["mask"].astype(bool)
    if "Sequence" in architecture:
        kept = kept.any(axis=1)
    for name, output in zip(OUTPUTS[architecture], session.run(None, given), strict=True):
        np.testing.assert_allclose(output[kept], expected[name][kept], atol=1e-5)


def make_checkpoint(folder: Path) -> None:
    """A DistilBERT for one label, without its weights."""
    folder.mkdir()
    Tokenizer(WordLevel({"ada": 0}, unk_token="ada")).save(str(folder / "tokenizer.json"))
    config = {
        "model_type": "distilbert",
        "architectures": ["DistilBertForTokenClassification"],
        "id2label": {"0": "O"},
    }
    (folder / "config.json").write_text(json.dumps(config))


def test_an_export_that_fails_names_its_log_and_leaves_nothing_else(tmp_path: Path):
    folder, cache = tmp_path / "checkpoint", tmp_path / "out"
    make_checkpoint(folder)
    save_file({"classifier.weight": np.zeros((1, 768), np.float32)}, folder / "model.safetensors")
    checkpoint = read_checkpoint(folder, has_handler=False)

    with pytest.raises(BuildError) as caught:
        export(checkpoint, cache)

    assert caught.value.message == (
        f"cannot export `{folder}` to ONNX: a `DistilBertForTokenClassification` has "
        "`classifier.bias` and 100 more, which the weights do not have"
    )
    (log,) = cache.iterdir()
    assert log.name.endswith(".log")
    assert "Traceback" in log.read_text()
    assert str(log) in (caught.value.hint or "")


class Evil:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (self.path,)


def test_a_pickle_that_is_allowed_runs_no_code(tmp_path: Path):
    folder, made = tmp_path / "checkpoint", tmp_path / "made"
    make_checkpoint(folder)
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"classifier.weight": Evil(made)}))
    checkpoint = read_checkpoint(folder, has_handler=False, allow_pickle=True)

    with pytest.raises(BuildError, match=r"`pytorch_model.bin` holds more than tensors"):
        export(checkpoint, tmp_path / "out")

    assert not made.exists()
