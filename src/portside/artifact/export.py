"""From a safetensors checkpoint to an ONNX graph that was compared with the original.

What was exported once is kept under the digest of its weights and configuration,
so packaging an unchanged checkpoint again takes no torch and no time.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from portside.archive import digest
from portside.artifact.apart import run_apart
from portside.artifact.checkpoint import CONFIG, TOKENIZER
from portside.errors import BuildError, MissingToolError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from portside.artifact.checkpoint import Checkpoint

GRAPH: Final = "model.onnx"
REPORT: Final = "export.json"

TOLERANCE: Final = 1e-3
"""Largest |difference| of a number between torch and the graph: float32 rounding through
six to twenty-four layers stays near 1e-5, a wrong graph is off by tenths."""

RECIPE: Final = "1"
"""Raise it when the same weights shall give another graph: earlier exports are then not used."""

_REQUIRED: Final = ("torch", "transformers", "onnx", "onnxscript", "onnxruntime")


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """An exported graph: its files, and how far its outputs are from torch's at most."""

    files: tuple[Path, ...]
    largest_difference: float


def is_installed(module: str) -> bool:
    """Whether a module could be imported; imports nothing."""
    return importlib.util.find_spec(module) is not None


def export(
    checkpoint: Checkpoint,
    cache: Path,
    *,
    is_installed: Callable[[str], bool] = is_installed,
) -> Export:
    """Export `checkpoint` into a folder of its own under `cache`, or find it there.

    Raises `MissingToolError` where torch or transformers is not installed, and
    `BuildError` where the export fails or its outputs differ from torch's.
    """
    folder = export_folder(checkpoint, cache)
    if not (folder / REPORT).is_file():
        _check_installed(checkpoint.folder, is_installed)
        _run(checkpoint, folder)
    return _accepted(checkpoint.folder, folder)


def export_folder(checkpoint: Checkpoint, cache: Path) -> Path:
    """Where its export lies, named by the digest of all that the graph depends on."""
    if checkpoint.model is None or checkpoint.task is None:
        raise BuildError(f"cannot export `{checkpoint.folder}` to ONNX: it has no task of its own")
    weights = [file.source for file in checkpoint.model.files]
    read = (*weights, checkpoint.folder / CONFIG, checkpoint.folder / TOKENIZER)
    parts = [RECIPE, checkpoint.task, *map(digest, read)]
    key = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:10]
    return cache / f"export-{key}"


def _check_installed(checkpoint: Path, is_installed: Callable[[str], bool]) -> None:
    if missing := [name for name in _REQUIRED if not is_installed(name)]:
        names = ", ".join(f"`{name}`" for name in missing)
        raise MissingToolError(
            f"cannot export `{checkpoint}` to ONNX: {names} not installed",
            hint="run `pip install 'portside[export]'`, or put an ONNX model into the folder",
        )


def _run(checkpoint: Checkpoint, folder: Path) -> None:
    def failure(reason: str, log: Path) -> BuildError:
        return BuildError(
            f"cannot export `{checkpoint.folder}` to ONNX: {reason}",
            hint=f"read `{log}`, or put an ONNX model into the folder",
        )

    arguments = [str(checkpoint.folder), str(checkpoint.task)]
    run_apart("portside.artifact.export_process", arguments, folder, failure=failure)


def _accepted(checkpoint: Path, folder: Path) -> Export:
    report = json.loads((folder / REPORT).read_text(encoding="utf-8"))
    difference = float(report["largest_difference"])
    # Written so that NaN is refused too.
    if not difference <= TOLERANCE:
        raise BuildError(
            f"cannot export `{checkpoint}` to ONNX: the outputs of the graph differ from torch's "
            f"by up to {difference:.2g}, and {TOLERANCE:g} is the most that rounding explains",
            hint="put an ONNX model into the folder that you have compared yourself",
        )
    files = sorted(path for path in folder.iterdir() if path.name != REPORT)
    return Export(files=tuple(files), largest_difference=difference)
