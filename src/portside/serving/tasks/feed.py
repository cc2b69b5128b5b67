"""Inputs of several texts as the arrays that a graph is fed with: padded, and masked."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt
    from tokenizers import Encoding

KNOWN_INPUTS: Final = frozenset({"input_ids", "attention_mask", "token_type_ids"})
"""What a tokenizer can fill."""


def make_feed(
    inputs: Sequence[Encoding], names: Collection[str], *, pad_token_id: int
) -> dict[str, npt.NDArray[np.int64]]:
    """An array of shape (inputs, tokens of the longest) for each name."""
    shape = (len(inputs), max(map(len, inputs)))
    feed = {name: np.zeros(shape, dtype=np.int64) for name in names}
    if "input_ids" in feed:
        feed["input_ids"].fill(pad_token_id)
    for row, encoding in enumerate(inputs):
        # Read one by one: each attribute of an encoding is a new list.
        if "input_ids" in feed:
            feed["input_ids"][row, : len(encoding)] = encoding.ids
        if "token_type_ids" in feed:
            feed["token_type_ids"][row, : len(encoding)] = encoding.type_ids
        if "attention_mask" in feed:
            feed["attention_mask"][row, : len(encoding)] = 1
    return feed
