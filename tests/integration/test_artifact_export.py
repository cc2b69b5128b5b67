"""A real export: torch makes a checkpoint, the export process reads it, onnxruntime answers."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
import pytest

from portside.archive import unpack
from portside.artifact.bundle import package
from portside.errors import BuildError
from portside.serving.handlers.task import load_task

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
    "RobertaForTokenClassification": ["logits"],
    "RobertaForSequenceClassification": ["logits"],
    "DistilBertForQuestionAnswering": ["start_logits", "end_logits"],
    "BertModel": ["last_hidden_state"],
}


@pytest.fixture(params=OUTPUTS)
def architecture(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def checkpoint(architecture: str, tmp_path: Path) -> Path:
    folder = tmp_path / "checkpoint"
    command = [sys.executable, "-W", "ignore", "-c", MAKE_CHECKPOINT, str(folder), architecture]
    subprocess.run(command, check=True, capture_output=True)
    return folder


def test_the_graph_in_the_artifact_answers_as_torch_does(
    architecture: str, checkpoint: Path, tmp_path: Path
):
    made = package(checkpoint, output=tmp_path / "out/model.tar.gz")

    assert {"model.onnx", "model.onnx.data"} < set(made.members)
    assert "model.safetensors" not in made.members
    unpack(made.path, tmp_path / "model")
    assert b"site-packages" not in (tmp_path / "model/model.onnx").read_bytes()
    session = onnxruntime.InferenceSession(tmp_path / "model/model.onnx")
    assert [node.name for node in session.get_outputs()] == OUTPUTS[architecture]
    expected = np.load(tmp_path / "checkpoint.npz")
    given = {"input_ids": expected["ids"], "attention_mask": expected["mask"]}
    inputs = {
        node.name: given.get(node.name, np.zeros_like(expected["ids"]))
        for node in session.get_inputs()
    }
    kept = expected["mask"].astype(bool)
    if "Sequence" in architecture:
        kept = kept.any(axis=1)
    for name, output in zip(OUTPUTS[architecture], session.run(None, inputs), strict=True):
        np.testing.assert_allclose(output[kept], expected[name][kept], atol=1e-5)
    check_served(tmp_path / "model", architecture)


def check_served(model_dir: Path, architecture: str) -> None:
    """With no code at all."""
    handler = load_task(model_dir)
    if "QuestionAnswering" in architecture:
        body = {"inputs": {"question": "ada", "context": "lives ada"}}
        span: Any = handler.predict(body)
        assert span.answer in {"lives", "ada", "lives ada"}
        return
    answers: Any = handler.predict({"strings": ["ada lives"]})
    [answer] = answers
    match architecture:
        case "BertModel":
            assert answer.shape == (1, 2, 32)
        case "RobertaForSequenceClassification":
            assert answer.label in {"O", "B-x", "I-x"}
        case _:
            assert all(entity.word in {"ada", "lives", "ada lives"} for entity in answer)


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
