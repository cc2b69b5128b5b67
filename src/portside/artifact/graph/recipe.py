"""How a graph's weights become 8-bit integers: the ways there are, in the order of their worth."""

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
    kept: tuple[Section, ...] = ()
    """Sections of the graph that stay in fp32."""

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
        if len(self.kept) > _NAMED:
            words.append(f"with {len(self.kept)} sections in fp32")
        elif self.kept:
            names = " and ".join(section.name for section in self.kept)
            words.append(f"with {names} in fp32")
        return ", ".join(words)


PLAIN = (
    Recipe(),
    Recipe(by_row=True, per_channel=True),
    Recipe(by_row=True, per_channel=True, reduce_range=True),
)
"""What is tried first, the fastest before the others."""

KEPT = (1, 2, 4, 8)
"""How many sections stay in fp32; with more, little of the gain is left."""


def mixed(ranking: tuple[Section, ...]) -> tuple[Recipe, ...]:
    """What is tried next: the sections whose quantization does the most harm stay as they are."""
    counts = [count for count in KEPT if count < len(ranking)]
    return tuple(Recipe(by_row=True, per_channel=True, kept=ranking[:count]) for count in counts)


def last(ranking: tuple[Section, ...]) -> tuple[Recipe, ...]:
    """What is tried before giving up: ranges of activations found on the samples."""
    return (Recipe(static=True, per_channel=True, kept=ranking[:1]),)
