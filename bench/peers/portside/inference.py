"""Portside with a handler that does nothing but count characters."""

from __future__ import annotations


def predict(data: list[str]) -> list[int]:
    """The length of each text."""
    return [len(text) for text in data]
