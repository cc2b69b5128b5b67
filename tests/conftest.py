"""What all tests may share: the trained model, fetched once per checkout."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Two tests run at once on two cores: threads of torch that wait for each other there by spinning
# take many times as long. Processes that tests start inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def rampart_model() -> Path:
    """The folder of the NER model of `examples/ner`."""
    folder = ROOT / ".portside" / "models" / "rampart"
    script = ROOT / "examples" / "ner" / "fetch_model.py"
    done = subprocess.run(
        [sys.executable, str(script), str(folder)], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        pytest.skip(f"the trained model cannot be fetched: {done.stderr.strip()}")
    return folder
