"""What is asked of a graph that an artifact needs, and what was made; `graph_choice` makes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from portside.artifact.proof.proof import Gate, Proof
from portside.serving.tasks.strategy import AggregationStrategy

if TYPE_CHECKING:
    from pathlib import Path

    from portside.artifact.proof.judge import Precision

DEFAULT_GATE: Final = Gate()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is asked of the graph."""

    precision: Precision = "auto"
    gate: Gate = DEFAULT_GATE
    samples: Path | None = None
    """A file; None for bundled texts."""
    strategy: AggregationStrategy = AggregationStrategy.AVERAGE
    """How the endpoint joins tokens to entities; see `contract.ENV_AGGREGATION_STRATEGY`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedGraph:
    """The files to serve, beside those of the checkpoint, and why these."""

    files: tuple[Path, ...]
    proof: Proof
