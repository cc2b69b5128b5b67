from __future__ import annotations

import numpy as np

from portside.artifact.graph.column import round_columns


def test_each_column_is_as_exact_as_its_own_numbers_allow():
    weights = np.random.default_rng(1).normal(size=(50, 3)).astype(np.float32)
    weights *= np.array([1e-3, 1.0, 1e3], np.float32)

    integers, scales = round_columns(weights)

    assert np.abs(integers).max(axis=0).tolist() == [127, 127, 127]
    assert (np.abs(integers * scales - weights) <= 0.51 * scales).all()


def test_weights_that_eight_bits_hold_are_not_changed():
    steps = np.array([[127, -3], [5, 127], [-1, 0]])
    weights = (steps * np.array([0.013, 2.7])).astype(np.float32)

    integers, scales = round_columns(weights)

    assert integers.tolist() == steps.tolist()
    assert np.allclose(integers * scales, weights, rtol=1e-6)


def test_a_column_of_zeros_stays_one():
    integers, scales = round_columns(np.zeros((4, 1), np.float32))

    assert not integers.any()
    assert np.isfinite(scales).all()
