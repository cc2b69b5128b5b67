"""Parts of a graph that are quantized, or left alone, together.

An encoder is a stack of layers, each with an attention and a feed-forward part, and
each part ends in a LayerNormalization. So the weights between two of these belong
together; names of layers do not survive the export.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """Weights between two LayerNormalizations."""

    number: int
    """From 0, which holds the embeddings."""
    nodes: tuple[str, ...]
    """The graph's nodes with weights."""

    @property
    def name(self) -> str:
        """For people."""
        return "the embeddings" if self.number == 0 else f"section {self.number}"


def sections(nodes: Iterable[tuple[str, str, bool]]) -> list[Section]:
    """The sections of a graph that have weights.

    `nodes` are those of the graph in the order in which they run: each with its name, its
    operator, and whether it has weights that could be quantized.
    """
    found: dict[int, list[str]] = {}
    number = 0
    for name, operator, is_quantizable in nodes:
        if operator == "LayerNormalization":
            number += 1
        elif is_quantizable:
            found.setdefault(number, []).append(name)
    return [Section(number=number, nodes=tuple(names)) for number, names in found.items()]
