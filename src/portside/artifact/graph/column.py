"""Weights in 8 bits, with a scale for each column in place of one for all of them."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

_MOST: Final = 127
"""The largest integer on either side of 0; -128 stays unused, so that 0 is in the middle."""

_SMALLEST: Final = 1e-30
"""Of a scale: a column of zeros stays one."""


def round_columns(
    weights: npt.NDArray[np.float32],
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Integers of the shape of `weights`, which is (rows, columns), and the scale of each column.

    Both multiplied are the weights again, to within half a scale.
    """
    largest = np.abs(weights).max(axis=0)
    scales = np.maximum(largest / _MOST, _SMALLEST).astype(np.float32)
    return to_integers(weights, scales), scales


def to_integers(
    weights: npt.NDArray[np.float32], scales: npt.NDArray[np.float32]
) -> npt.NDArray[np.int8]:
    """The nearest integers for these scales."""
    integers: npt.NDArray[np.int8] = np.rint(weights / scales).clip(-_MOST, _MOST).astype(np.int8)
    return integers
