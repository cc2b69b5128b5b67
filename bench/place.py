"""Where the benchmark keeps what it makes, and how it says what it is doing."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
WORK: Final = ROOT / "build" / "bench"


def say(text: str) -> None:
    """A line of progress, on stderr."""
    print(f"bench: {text}", file=sys.stderr, flush=True)
