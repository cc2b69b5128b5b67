from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CONFIG: dict[str, Any] = {
    "architectures": ["DistilBertForTokenClassification"],
    "id2label": {"0": "O", "1": "B-person", "2": "I-person"},
}


def write(folder: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[..., Path]:
    """Make `model/` of a config, a tokenizer and the given files; None takes a file away."""

    def make(files: dict[str, str | bytes | None], **config: Any) -> Path:
        usual = {"config.json": json.dumps(CONFIG | config), "tokenizer.json": "{}"}
        wanted = {k: v for k, v in (usual | files).items() if v is not None}
        return write(tmp_path / "model", wanted)

    return make
