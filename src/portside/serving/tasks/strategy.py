"""How token classification makes entities of tokens; names and meaning are transformers'."""

from __future__ import annotations

from enum import StrEnum


class AggregationStrategy(StrEnum):
    """From tokens to entities; all but `none` join neighbors of one kind."""

    NONE = "none"
    """One entity a token."""
    SIMPLE = "simple"
    """Each token by its own label, so a word may be torn apart."""
    FIRST = "first"
    """A word takes the label of its first token."""
    AVERAGE = "average"
    """A word takes the label with the best mean score over its tokens."""
    MAX = "max"
    """A word takes the label of its surest token."""
