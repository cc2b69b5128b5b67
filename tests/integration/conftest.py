"""What several tests of real processes share."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def bench_is_importable(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The benchmark lies beside the package, and is forgotten again."""
    monkeypatch.syspath_prepend(ROOT)
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "bench"]:
        del sys.modules[name]
