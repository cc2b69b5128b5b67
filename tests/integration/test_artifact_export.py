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

from portside.artifact.folder.checkpoint import read_checkpoint
from portside.artifact.graph.export import export
from portside.errors import BuildError

if TYPE_CHECKING:
    from pathlib import Path

# In a process of its own: torch need not be loaded into the tests' one.
MAKE_CHECKPOINT = """
import sys, numpy, torch, transformers
from tokenizers import Tokenizer, models, pre_tokenizers

folder = sys.argv[1]
words = {word: n for n, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "ada", "lives"])}
tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
transformers.PreTrainedTokenizerFast(
    tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]",
).save_pretrained(folder)
torch.manual_seed(1)
config = transformers.DistilBertConfig(
    vocab_size=40, dim=32, n_layers=2, n_heads=4, hidden_dim=64,
    id2label={0: "O", 1: "B-x", 2: "I-x"}, label2id={"O": 0, "B-x": 1, "I-x": 2})
model = transformers.DistilBertForTokenClassification(config).eval()
model.save_pretrained(folder)
ids = torch.randint(4, 40, (3, 11))
mask = torch.ones_like(ids)
mask[2, 7:] = 0
with torch.no_grad():
    logits = model(input_ids=ids, attention_mask=mask).logits
numpy.savez(f"{folder}.npz", ids=ids.numpy(), mask=mask.numpy(), logits=logits.numpy())
"""


def test_the_graph_answers_as_torch_does(tmp_path: Path):
    folder = tmp_path / "checkpoint"
    command = [sys.executable, "-W", "ignore", "-c", MAKE_CHECKPOINT, str(folder)]
    subprocess.run(command, check=True, capture_output=True)

    exported = export(read_checkpoint(folder, has_handler=False), tmp_path / "cache")

    graph, data = exported.files
    assert (graph.name, data.name) == ("model.onnx", "model.onnx.data")
    assert [*graph.parent.parent.iterdir()] == [graph.parent]
    assert b"site-packages" not in graph.read_bytes()
    assert 0 < exported.largest_difference < 1e-4
    expected = np.load(tmp_path / "checkpoint.npz")
    given = {"input_ids": expected["ids"], "attention_mask": expected["mask"]}
    kept = expected["mask"].astype(bool)
    (logits,) = onnxruntime.InferenceSession(graph).run(["logits"], given)
    np.testing.assert_allclose(logits[kept], expected["logits"][kept], atol=1e-5)


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
