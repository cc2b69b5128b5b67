"""Figures for people."""

from __future__ import annotations

import math


def number(value: float) -> str:
    """As many digits as there is sense in: `2e-05`, `0.41`, `7.1`, `123`, `12,300`."""
    if not math.isfinite(value):
        return "not a number"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    if 0 < abs(value) < 0.01:
        return f"{value:.0e}"
    return f"{value:.1f}" if abs(value) >= 1 else f"{value:.2f}"


def size(count_bytes: float) -> str:
    """Bytes: `11.9 MB`."""
    amount = float(count_bytes)
    for unit in ("B", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} B" if unit == "B" else f"{number(amount)} {unit}"
        amount /= 1000
    return f"{number(amount)} GB"
