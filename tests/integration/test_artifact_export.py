"""A real export: torch makes a checkpoint, the export process reads it, onnxruntime answers."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
import pytest

from portside.archive import unpack
from portside.artifact.bundle import package
from portside.errors import BuildError

if TYPE_CHECKING:
    from pathlib import Path

# In a process of its own: torch need not be loaded into the tests' one.
MAKE_CHECKPOINT = """
import sys, json, numpy, torch, transformers
from tokenizers import Tokenizer, models, pre_tokenizers

folder, family = sys.argv[1:]
words = {word: n for n, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "ada", "lives"])}
tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
transformers.PreTrainedTokenizerFast(
    tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]",
).save_pretrained(folder)
labels = dict(id2label={0: "O", 1: "B-x", 2: "I-x"}, label2id={"O": 0, "B-x": 1, "I-x": 2})
torch.manual_seed(1)
if family == "distilbert":
    config = transformers.DistilBertConfig(
        vocab_size=40, dim=32, n_layers=2, n_heads=4, hidden_dim=64, **labels)
    model = transformers.DistilBertForTokenClassification(config)
else:
    config = transformers.RobertaConfig(
        vocab_size=40, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=64, max_position_embeddings=66, type_vocab_size=1, **labels)
    model = transformers.RobertaForTokenClassification(config)
model.save_pretrained(folder)
ids = torch.randint(4, 40, (3, 11))
mask = torch.ones_like(ids)
mask[2, 7:] = 0
with torch.no_grad():
    logits = model.eval()(input_ids=ids, attention_mask=mask).logits
numpy.savez(f"{folder}.npz", ids=ids.numpy(), mask=mask.numpy(), logits=logits.numpy())
"""


@pytest.fixture(params=["distilbert", "roberta"])
def checkpoint(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    folder = tmp_path / "checkpoint"
    command = [sys.executable, "-W", "ignore", "-c", MAKE_CHECKPOINT, str(folder), request.param]
    subprocess.run(command, check=True, capture_output=True)
    return folder


def test_the_graph_in_the_artifact_answers_as_torch_does(checkpoint: Path, tmp_path: Path):
    made = package(checkpoint, output=tmp_path / "out/model.tar.gz")

    assert {"model.onnx", "model.onnx.data"} < set(made.members)
    assert "model.safetensors" not in made.members
    unpack(made.path, tmp_path / "model")
    assert b"site-packages" not in (tmp_path / "model/model.onnx").read_bytes()
    session = onnxruntime.InferenceSession(tmp_path / "model/model.onnx")
    expected = np.load(tmp_path / "checkpoint.npz")
    given = {"input_ids": expected["ids"], "attention_mask": expected["mask"]}
    inputs = {
        node.name: given.get(node.name, np.zeros_like(expected["ids"]))
        for node in session.get_inputs()
    }
    (logits,) = session.run(None, inputs)
    kept = expected["mask"].astype(bool)
    np.testing.assert_allclose(logits[kept], expected["logits"][kept], atol=1e-5)


def test_an_export_that_fails_names_its_log_and_leaves_nothing_else(tmp_path: Path):
    folder, output = tmp_path / "checkpoint", tmp_path / "out/model.tar.gz"
    folder.mkdir()
    (folder / "tokenizer.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"not weights at all")
    config = {
        "model_type": "distilbert",
        "architectures": ["DistilBertForTokenClassification"],
        "id2label": {"0": "O"},
    }
    (folder / "config.json").write_text(json.dumps(config))

    with pytest.raises(BuildError, match="to ONNX: ") as caught:
        package(folder, output=output)

    (log,) = output.parent.iterdir()
    assert log.name.endswith(".log")
    assert "Traceback" in log.read_text()
    assert str(log) in (caught.value.hint or "")
