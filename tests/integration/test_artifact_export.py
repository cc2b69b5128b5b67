"""A real process that exports: what it refuses, and what it leaves then."""

from __future__ import annotations

import json
import os
import pickle
from typing import TYPE_CHECKING

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from portside.artifact.folder.checkpoint import read_checkpoint
from portside.artifact.graph.export import export
from portside.errors import BuildError

if TYPE_CHECKING:
    from pathlib import Path


class Evil:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (self.path,)


def test_a_pickle_that_is_allowed_runs_no_code(tmp_path: Path):
    folder, made, cache = tmp_path / "checkpoint", tmp_path / "made", tmp_path / "cache"
    folder.mkdir()
    Tokenizer(WordLevel({"ada": 0}, unk_token="ada")).save(str(folder / "tokenizer.json"))
    config = {
        "model_type": "distilbert",
        "architectures": ["DistilBertForTokenClassification"],
        "id2label": {"0": "O"},
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"classifier.weight": Evil(made)}))
    checkpoint = read_checkpoint(folder, has_handler=False, allow_pickle=True)

    with pytest.raises(BuildError) as caught:
        export(checkpoint, cache)

    assert caught.value.message == (
        f"cannot export `{folder}` to ONNX: `pytorch_model.bin` holds more than tensors, "
        "and to load that would run code"
    )
    assert not made.exists()
    (log,) = cache.iterdir()
    assert log.name.endswith(".log")
    assert "Traceback" in log.read_text()
    assert str(log) in (caught.value.hint or "")
