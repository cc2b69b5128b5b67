"""How a graph's weights become 8-bit integers: the ways there are, in the order of their speed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from portside.artifact.graph.section import Section

_NAMED: Final = 2
"""More sections than that are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One way.

    Activations become integers too: by the range of each matrix as it comes, or, where `static`,
    by ranges found beforehand on the samples.
    """

    by_row: bool = False
    """A range for each token in place of one for all of them; see `row_range`."""
    per_channel: bool = False
    """A scale for each column of a matrix in place of one for all of it."""
    reduce_range: bool = False
    """7 bits: sums of products cannot overflow 16 bits, on processors without VNNI."""
    static: bool = False
    halves: bool = False
    """Activations of 16 bits, in two halves of 8, and a scale for each column; see `half`."""
    kept: tuple[Section, ...] = ()
    """Sections of the graph that stay in fp32; with `halves`, whose weights have 16 bits too."""

    @property
    def name(self) -> str:
        """In a few words, as in `int8, per channel`."""
        words = ["int8"]
        if self.static:
            words.append("static")
        if self.by_row:
            words.append("by row")
        if self.per_channel:
            words.append("per channel")
        if self.reduce_range:
            words.append("7 bits")
        if self.halves:
            words.append("in halves")
        precision = "16 bits" if self.halves else "fp32"
        if len(self.kept) > _NAMED:
            words.append(f"with {len(self.kept)} sections in {precision}")
        elif self.kept:
            names = " and ".join(section.name for section in self.kept)
            words.append(f"with {names} in {precision}")
        return ", ".join(words)


PLAIN = (
    Recipe(),
    Recipe(by_row=True, per_channel=True),
    Recipe(by_row=True, per_channel=True, reduce_range=True),
)
"""What is tried first, the fastest before the others."""

KEPT_IN_FP32 = (1, 2)
"""How many sections; with more, products of halves are faster, and nearer to fp32."""

KEPT_IN_HALVES = (0, 1, 2, 4)
"""How many sections, before all are."""


def mixed(ranking: tuple[Section, ...]) -> tuple[Recipe, ...]:
    """What is tried next: the sections whose quantization does the most harm stay as they are."""
    counts = [count for count in KEPT_IN_FP32 if count < len(ranking)]
    return tuple(Recipe(by_row=True, per_channel=True, kept=ranking[:count]) for count in counts)


def last(ranking: tuple[Section, ...]) -> tuple[Recipe, ...]:
    """What is tried before giving up: ranges found on the samples, and more bits for less speed."""
    counts = [count for count in KEPT_IN_HALVES if count < len(ranking)]
    halves = [Recipe(halves=True, kept=ranking[:count]) for count in (*counts, len(ranking))]
    return (Recipe(static=True, per_channel=True, kept=ranking[:1]), *halves)
