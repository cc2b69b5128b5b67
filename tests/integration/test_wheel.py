"""What people install: everything that runs, nothing that was fetched."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_wheel_holds_what_is_needed_and_no_more(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir"]
    subprocess.run([*command, str(tmp_path), str(ROOT)], check=True, capture_output=True)

    (wheel,) = tmp_path.glob("portside-*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())

    assert names >= {
        "portside/py.typed",
        "portside/console/page.html",
        "portside/cli/example_ner/portside.toml",
        "portside/cli/example_ner/fetch_model.py",
        "portside/serving/__main__.py",
        "portside/local/__main__.py",
    }
    assert not [name for name in names if "model.onnx" in name or "__pycache__" in name]
    assert wheel.stat().st_size < 1_000_000
