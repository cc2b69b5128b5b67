"""From logits to scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt


def softmax(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Probabilities that add up to 1 along the last axis."""
    exponentials: npt.NDArray[np.float32] = np.exp(logits - logits.max(axis=-1, keepdims=True))
    sums: npt.NDArray[np.float32] = exponentials.sum(axis=-1, keepdims=True)
    return exponentials / sums


def sigmoid(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """A probability for each logit alone."""
    # By way of tanh, because exp overflows at large negative logits.
    scores: npt.NDArray[np.float32] = np.tanh(logits / 2)
    scores += 1
    scores /= 2
    return scores
