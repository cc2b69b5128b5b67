"""What the unit tests of serving share: a model folder to fill."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import settings

# How long an example takes says something about the machine, and nothing about right or wrong.
settings.register_profile("serving", deadline=None)
settings.load_profile("serving")


@pytest.fixture
def model_dir(tmp_path: Path) -> Path:
    """A model folder with all that a token classification checkpoint needs, weights empty."""
    folder = tmp_path / "model"
    folder.mkdir()
    config = {
        "architectures": ["BertForTokenClassification"],
        "id2label": {"0": "O", "1": "B-PER", "2": "I-PER"},
        "max_position_embeddings": 512,
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text("{}")
    (folder / "model.onnx").write_bytes(b"")
    return folder
