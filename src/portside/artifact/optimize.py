"""From an exported graph to one with 8-bit weights, which runs several times faster on a CPU.

What was optimized once is kept under the digest of the graph, as exports are.
Nothing here proves that the smaller numbers answer as well as the greater ones
did: that is for whoever asks for int8, on texts of their own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from portside.archive import digest
from portside.artifact.apart import run_apart
from portside.artifact.export import GRAPH, is_installed
from portside.errors import BuildError, MissingToolError

RECIPE: Final = "1"
"""Raise it when the same graph shall give another one: earlier ones are then not used."""

_REQUIRED: Final = ("onnx", "onnxruntime", "sympy")
"""`sympy` is what the fusions of onnxruntime import, and not among its own requirements."""


def quantize(
    exported: Sequence[Path],
    cache: Path,
    *,
    is_installed: Callable[[str], bool] = is_installed,
) -> tuple[Path, ...]:
    """Quantize `model.onnx` among the `exported` files into a folder of its own under `cache`.

    Returns the files that take their place, of the same names. Raises
    `MissingToolError` where onnx is not installed, `BuildError` where it fails.
    """
    folder = _folder(exported, cache)
    if not folder.is_dir():
        _check_installed(is_installed)
        _run(next(path for path in exported if path.name == GRAPH), folder)
    return tuple(sorted(folder.iterdir()))


def _folder(exported: Sequence[Path], cache: Path) -> Path:
    """Where the quantized graph lies, named by all that it depends on."""
    parts = [RECIPE, *(digest(path) for path in sorted(exported))]
    key = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:10]
    return cache / f"int8-{key}"


def _check_installed(is_installed: Callable[[str], bool]) -> None:
    if missing := [name for name in _REQUIRED if not is_installed(name)]:
        names = ", ".join(f"`{name}`" for name in missing)
        raise MissingToolError(
            f"cannot quantize a model to int8: {names} not installed",
            hint="run `pip install 'portside[export]'`, or set `[model] precision` to `fp32`",
        )


def _run(graph: Path, folder: Path) -> None:
    def failure(reason: str, log: Path) -> BuildError:
        return BuildError(
            f"cannot quantize `{graph}` to int8: {reason}",
            hint=f"read `{log}`, or set `[model] precision` to `fp32`",
        )

    run_apart("portside.artifact.optimize_process", [str(graph)], folder, failure=failure)
