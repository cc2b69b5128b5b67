"""From an exported graph to one with 8-bit weights, which runs several times faster on a CPU.

What was optimized once is kept under the digest of the graph and the recipe, as
exports are. Nothing here tells whether the smaller numbers answer as well as the
greater ones did: see `judge`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from portside.archive import digest
from portside.artifact.apart import run_apart
from portside.artifact.cache import cached
from portside.artifact.graph.export import GRAPH, is_installed
from portside.artifact.graph.recipe import Recipe
from portside.artifact.graph.section import Section
from portside.errors import BuildError, MissingToolError

VERSION: Final = "4"
"""Raise it when the same graph and recipe shall give another one: what is kept is not used then."""

RANKING: Final = "ranking.json"

_REQUIRED: Final = ("onnx", "onnxruntime", "sympy")
"""`sympy` is what the fusions of onnxruntime import, and not among its own requirements."""

_PROCESS: Final = "portside.artifact.graph.optimize_process"


class Quantizer:
    """Quantizes one exported graph, whose files are `exported`; keeps what it makes in `cache`.

    `inputs` is a file with what the graph is fed for some samples, in JSON: of each the rows by
    the names of the graph's inputs.
    """

    def __init__(
        self,
        exported: Sequence[Path],
        inputs: Path,
        cache: Path,
        *,
        is_installed: Callable[[str], bool] = is_installed,
        progress: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._progress = progress
        self._graph = next(path for path in exported if path.name == GRAPH)
        self._inputs = inputs
        self._cache = cache
        self._is_installed = is_installed
        self._key = [VERSION, *(digest(path) for path in sorted(exported))]

    def quantize(self, recipe: Recipe) -> tuple[Path, ...]:
        """The files that take the exported ones' place, of the same names.

        Raises MissingToolError where onnx is not installed, BuildError where it fails.
        """
        text = json.dumps(asdict(recipe), sort_keys=True)
        seen = [digest(self._inputs)] if recipe.static else []
        folder = cached(self._cache, "int8", [*self._key, text, *seen])
        self._run("quantize", text, folder)
        return tuple(sorted(folder.iterdir()))

    def rank(self) -> tuple[Section, ...]:
        """The graph's sections, the one whose quantization does the most harm first."""
        folder = cached(self._cache, "ranking", [*self._key, digest(self._inputs)])
        self._run("rank", "", folder)
        ranked = json.loads((folder / RANKING).read_text(encoding="utf-8"))
        return tuple(Section(number=each["number"], nodes=tuple(each["nodes"])) for each in ranked)

    def _run(self, what: str, recipe: str, folder: Path) -> None:
        if folder.is_dir():
            return
        if missing := [name for name in _REQUIRED if not self._is_installed(name)]:
            names = ", ".join(f"`{name}`" for name in missing)
            raise MissingToolError(
                f"cannot quantize a model to int8: {names} not installed",
                hint="run `pip install 'portside[export]'`, or set `[model] precision` to `fp32`",
            )
        arguments = [what, str(self._graph), str(self._inputs), recipe]
        run_apart(_PROCESS, arguments, folder, failure=self._failure, progress=self._progress)

    def _failure(self, reason: str, log: Path) -> BuildError:
        return BuildError(
            f"cannot quantize `{self._graph}` to int8: {reason}",
            hint=f"read `{log}`, or set `[model] precision` to `fp32`",
        )
