"""From a checkpoint to an ONNX graph that was compared with the original.

What was exported once is kept under the digest of its weights and configuration,
so packaging an unchanged checkpoint again takes no torch and no time.
"""

from __future__ import annotations

import importlib.util
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from portside.archive import digest
from portside.artifact.apart import run_apart
from portside.artifact.cache import cached
from portside.artifact.folder.checkpoint import CONFIG
from portside.artifact.folder.tokenizer import TOKENIZER, needs_sentencepiece, tokenizer_files
from portside.errors import BuildError, MissingToolError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from portside.artifact.folder.architecture import Task
    from portside.artifact.folder.checkpoint import Checkpoint
    from portside.artifact.folder.weights import Model

GRAPH: Final = "model.onnx"
REPORT: Final = "export.json"

TOLERANCE: Final = 1e-3
"""Largest |difference| of a number between torch and the graph: float32 rounding through
six to twenty-four layers stays near 1e-5, a wrong graph is off by tenths."""

RECIPE: Final = "2"
"""Raise it when the same weights shall give another graph: earlier exports are then not used."""

_REQUIRED: Final = ("torch", "transformers", "safetensors", "onnx", "onnxscript", "onnxruntime")


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """An exported graph: its files, and how far its outputs are from torch's at most.

    `tokenizer` is the `tokenizer.json` that was made for a checkpoint that has none.
    """

    files: tuple[Path, ...]
    tokenizer: Path | None = None
    largest_difference: float


def is_installed(module: str) -> bool:
    """Whether a module could be imported; imports nothing."""
    return importlib.util.find_spec(module) is not None


def export(
    checkpoint: Checkpoint,
    cache: Path,
    progress: Callable[[str], None] = lambda _: None,
    *,
    is_installed: Callable[[str], bool] = is_installed,
) -> Export:
    """Export `checkpoint` into a folder of its own under `cache`, or find it there.

    Raises `MissingToolError` where torch or transformers is not installed, and
    `BuildError` where the export fails or its outputs differ from torch's.
    """
    folder = export_folder(checkpoint, cache)
    if not (folder / REPORT).is_file():
        _check_installed(checkpoint, is_installed)
        _run(checkpoint, folder, progress)
    return _accepted(checkpoint.folder, folder)


def export_folder(checkpoint: Checkpoint, cache: Path) -> Path:
    """Where its export lies, named by the digest of all that the graph depends on."""
    model, task = _exported(checkpoint)
    settings = [file.source for file in tokenizer_files(checkpoint.files)]
    read = (*(file.source for file in model.files), checkpoint.folder / CONFIG, *settings)
    parts = [RECIPE, task, *map(digest, read)]
    return cached(cache, "export", parts)


def _exported(checkpoint: Checkpoint) -> tuple[Model, Task]:
    if checkpoint.model is None or checkpoint.task is None:
        raise BuildError(f"cannot export `{checkpoint.folder}` to ONNX: it has no task of its own")
    return checkpoint.model, checkpoint.task


def _check_installed(checkpoint: Checkpoint, is_installed: Callable[[str], bool]) -> None:
    if missing := [name for name in _REQUIRED if not is_installed(name)]:
        names = ", ".join(f"`{name}`" for name in missing)
        raise MissingToolError(
            f"cannot export `{checkpoint.folder}` to ONNX: {names} not installed",
            hint="run `pip install 'portside[export]'`, or put an ONNX model into the folder",
        )
    if needs_sentencepiece(checkpoint.files) and not is_installed("sentencepiece"):
        raise MissingToolError(
            f"cannot make the `{TOKENIZER}` that `{checkpoint.folder}` does not have: "
            "`sentencepiece`, which reads its vocabulary, is not installed",
            hint=f"run `pip install sentencepiece`, or put the `{TOKENIZER}` into the folder",
        )


def _run(checkpoint: Checkpoint, folder: Path, progress: Callable[[str], None]) -> None:
    def failure(reason: str, log: Path) -> BuildError:
        return BuildError(
            f"cannot export `{checkpoint.folder}` to ONNX: {reason}",
            hint=f"read `{log}`, or put an ONNX model into the folder",
        )

    model, task = _exported(checkpoint)
    arguments = [str(checkpoint.folder), task, *(str(file.source) for file in model.weights)]
    run_apart(
        "portside.artifact.graph.export_process",
        arguments,
        folder,
        failure=failure,
        progress=lambda step: progress(f"exporting to ONNX: {step}"),
    )


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
    tokenizer = folder / TOKENIZER
    graph = sorted(path for path in folder.iterdir() if path.name not in {REPORT, TOKENIZER})
    return Export(
        files=tuple(graph),
        tokenizer=tokenizer if tokenizer.is_file() else None,
        largest_difference=difference,
    )
