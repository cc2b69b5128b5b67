"""A model whose forms answer as a test says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from portside.artifact.graph.recipe import Recipe
from portside.artifact.graph.section import Section
from portside.artifact.proof.likeness import Answers
from portside.artifact.proof.proof import Figures
from portside.errors import BuildError

TEXTS = 1000
SECTIONS = tuple(Section(number=number, nodes=(f"node{number}",)) for number in (3, 0, 1, 2, 4, 5))


def figures(*, texts_per_s: float, size_bytes: int = 400) -> Figures:
    return Figures(
        size_bytes=size_bytes,
        load_s=0.2,
        resident_bytes=1000,
        latencies_ms=(1.0, 2.0),
        texts_per_s=texts_per_s,
    )


class FakeModel:
    """`wrong` tells how many of a thousand labels a recipe gets wrong.

    Graphs in int8 lie in folders beside that of the one in fp32, `int8-1` and so on.
    """

    def __init__(
        self,
        wrong: Callable[[Recipe], int] = lambda _: 0,
        *,
        graph: Sequence[Path] = (Path("fp32/model.onnx"),),
        int8_texts_per_s: float = 300,
        wrong_in_fp32: int = 0,
        texts: int = TEXTS,
    ) -> None:
        self.graph = graph
        self.tried: list[Recipe] = []
        self.rankings = 0
        self._wrong = wrong
        self._int8_texts_per_s = int8_texts_per_s
        self._wrong_in_fp32 = wrong_in_fp32
        self._texts = texts

    def ask_original(self) -> tuple[Answers, Figures]:
        return self._answers(0), figures(texts_per_s=50)

    def ask(self, graph: Sequence[Path]) -> tuple[Answers, Figures]:
        if tuple(graph) == tuple(self.graph):
            return self._answers(self._wrong_in_fp32), figures(texts_per_s=100)
        wrong = self._wrong(self.tried[-1])
        return self._answers(wrong), figures(texts_per_s=self._int8_texts_per_s, size_bytes=100)

    def quantize(self, recipe: Recipe) -> Sequence[Path]:
        self.tried.append(recipe)
        if recipe.static:
            raise BuildError("cannot find ranges")
        folder = self.graph[0].parent.with_name(f"int8-{len(self.tried)}")
        return tuple(folder / path.name for path in self.graph)

    def rank(self) -> tuple[Section, ...]:
        self.rankings += 1
        return SECTIONS

    def _answers(self, wrong: int) -> Answers:
        found = [frozenset({("BAD" if n < wrong else "GOOD",)}) for n in range(self._texts)]
        return Answers(numbers=np.zeros(2 * self._texts, np.float32), found=found)
