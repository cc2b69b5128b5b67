from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CONFIG: dict[str, Any] = {
    "architectures": ["DistilBertForTokenClassification"],
    "model_type": "distilbert",
    "id2label": {"0": "O", "1": "B-person", "2": "I-person"},
}

CLASSIFIER: dict[str, Any] = {"dtype": "F32", "shape": [3, 2], "data_offsets": [0, 24]}
"""Three labels, as many as `CONFIG` names."""


def write(folder: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_real(name, content if isinstance(content, bytes) else content.encode()))
    return folder


def _real(name: str, content: bytes) -> bytes:
    """A model that can be read, with the given content somewhere in it."""
    if name.endswith(".onnx"):
        # Fields 7, a graph that is empty, and 6, a description.
        return b"\x3a\x00\x32" + _varint(len(content)) + content
    if name.endswith(".safetensors"):
        size = len(content)
        text = {"dtype": "U8", "shape": [size], "data_offsets": [24, 24 + size]}
        header = json.dumps({"classifier.weight": CLASSIFIER, f"of {name}": text}).encode()
        return len(header).to_bytes(8, "little") + header + bytes(24) + content
    return content


def _varint(number: int) -> bytes:
    parts = []
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*parts, number])


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[..., Path]:
    """Make `model/` of a config, a tokenizer and the given files; None takes a file away.

    Graphs and safetensors are such as can be read, around the content that is given for them.
    """

    def make(files: dict[str, str | bytes | None], **config: Any) -> Path:
        usual = {"config.json": json.dumps(CONFIG | config), "tokenizer.json": "{}"}
        wanted = {k: v for k, v in (usual | files).items() if v is not None}
        return write(tmp_path / "model", wanted)

    return make
