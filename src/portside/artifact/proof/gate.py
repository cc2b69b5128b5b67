"""Whether a smaller form of a model may stand in for the original; a decision on values."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

from portside.artifact.proof.proof import Gate, Likeness

_ROUNDING: Final = 1e-9
"""50.0 - 49.8 is a little over 0.2."""


def faults(gate: Gate, likeness: Likeness) -> list[str]:
    """What a candidate fails at, in words; nothing if it passes."""
    return list(_faults(gate, likeness))


def _faults(gate: Gate, likeness: Likeness) -> Iterator[str]:
    # Written so that NaN fails too.
    if not likeness.agreement >= gate.agreement:
        yield (
            f"answers agree to {_percent(likeness.agreement)}, below the "
            f"{_percent(gate.agreement)} asked for"
        )
    if likeness.f1_before is None or likeness.f1_after is None:
        return
    drop = likeness.f1_before - likeness.f1_after
    if not drop <= gate.f1_drop + _ROUNDING:
        yield (
            f"F1 falls by {drop:.2f} points, from {likeness.f1_before:.2f} to "
            f"{likeness.f1_after:.2f}, and {gate.f1_drop:g} are allowed"
        )


def _percent(share: float) -> str:
    """Rounded down: what is below the bar must not read as if it were not."""
    return f"{math.floor(1e4 * share) / 100 if math.isfinite(share) else share:.2f} %"
