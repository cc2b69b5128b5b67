"""What is known about each form that a model could be served in, and which one was chosen.

    Proof
    ├── samples         what was asked of each
    ├── gate            what a smaller form must keep
    ├── original        the checkpoint as training left it, in torch
    ├── candidates      forms of it for the endpoint, in the order in which they were tried
    │   ├── figures     speed, memory and size, measured on this machine
    │   ├── likeness    how far its answers are from the original's
    │   └── verdict     chosen, or why not
    └── asked           what the chosen one found in a few samples

Values alone: `judge` makes them, `report` shows them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

Finding = tuple[str | int, ...]
"""What a caller acts on: a label, an entity's kind and place, or the place of an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """What a candidate of less than 32 bits must keep of the original's answers."""

    agreement: float = 0.995
    """The least share of answers that are the same; see `Likeness.agreement`."""
    f1_drop: float = 0.2
    """The most points (of 100) that F1 may fall, where the samples have labels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One form of the model on this machine, in a process of its own, with the samples."""

    size_bytes: int
    """Of its weights and graph on disk."""
    load_s: float
    """From the start of the process to the first answer."""
    resident_bytes: int
    """The most memory that the process held."""
    latencies_ms: tuple[float, ...]
    """Of samples one by one, sorted."""
    texts_per_s: float
    """All samples, in batches, on all cores."""

    def latency_ms(self, percent: float) -> float:
        """What `percent` of 100 samples do not exceed: one that was measured (nearest rank)."""
        rank = math.ceil(len(self.latencies_ms) * percent / 100)
        return self.latencies_ms[max(rank, 1) - 1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """How far a candidate's answers are from the original's."""

    largest_difference: float
    """Of any logit (of any number of a vector), in absolute terms."""
    agreement: float
    """0 to 1.

    Of entities: twice those that both found, by kind and place, in all that either found. Of labels
    and of answers cut from a text: the share of samples with the same. Of vectors: the mean cosine.
    Of single scores: their correlation.
    """
    f1_before: float | None = None
    """The original's F1 in points, where the samples have labels."""
    f1_after: float | None = None


class Verdict(StrEnum):
    """What became of a candidate."""

    CHOSEN = "chosen"
    REFUSED = "refused"
    """It did not pass the gate."""
    NOT_NEEDED = "not needed"
    """It would do; another is better."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A form of the model that an endpoint could run."""

    name: str
    """Short, as in `int8` or `int8, 2 layers in fp32`."""
    precision: str
    """`fp32` or `int8`."""
    figures: Figures
    likeness: Likeness
    verdict: Verdict
    reason: str
    """In words: what it failed at, or why it was chosen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleSet:
    """What the candidates were asked."""

    source: str
    """A file's name, or `bundled texts`."""
    texts: int
    labeled: bool
    """Whether F1 could be counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A sample and what the chosen form found in it, so that an endpoint can be asked it again."""

    inputs: Any
    """As in a request's body."""
    parameters: Mapping[str, Any]
    """As in a request's body, beside the inputs."""
    found: frozenset[Finding]
    is_exclusive: bool
    """Whether one label excludes the others; else those above 0.5 were found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """All of it, for one checkpoint."""

    model: str
    """The checkpoint in a few words."""
    task: str
    samples: SampleSet
    gate: Gate
    original: Figures
    candidates: tuple[Candidate, ...]
    asked: tuple[Asked, ...] = ()
    """A few of the samples; none where answers are numbers alone."""
    took_s: float

    @property
    def chosen(self) -> Candidate:
        """The one that went into the artifact."""
        return next(one for one in self.candidates if one.verdict is Verdict.CHOSEN)
