"""The files of a model folder, found and read; a reason and a way out where one is not right."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from portside.errors import PortsideError

if TYPE_CHECKING:
    from pathlib import Path


def require(path: Path) -> Path:
    """The path itself, of a file that has to be there."""
    if not path.is_file():
        raise PortsideError(
            f"cannot serve `{path.parent}`: it has no `{path.name}`",
            hint="add the file, or an `inference.py` with `load_model` and `predict`",
        )
    return path


def read_json(path: Path) -> object:
    """The value in a JSON file."""
    try:
        return json.loads(require(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PortsideError(f"cannot read `{path}`: {error}") from error


def read_object(path: Path) -> dict[str, Any]:
    """The object in a JSON file."""
    value = read_json(path)
    if not isinstance(value, dict):
        raise PortsideError(f"cannot read `{path}`: it is not a JSON object")
    return value


def read_optional(path: Path) -> dict[str, Any]:
    """The object in a JSON file, empty where there is no such file."""
    return read_object(path) if path.exists() else {}


def find_onnx(model_dir: Path) -> Path:
    """The one graph of a model folder."""
    # Names with a leading dot are what a Mac leaves in archives (`._model.onnx`).
    found = sorted(
        path
        for pattern in ("*.onnx", "onnx/*.onnx")
        for path in model_dir.glob(pattern)
        if not path.name.startswith(".")
    )
    match found:
        case [path]:
            return path
        case []:
            raise PortsideError(
                f"cannot serve `{model_dir}`: no `*.onnx` there, nor in its `onnx` folder",
                hint="add the exported model, or an `inference.py` with `load_model` and `predict`",
            )
        case _:
            names = ", ".join(f"`{path.relative_to(model_dir)}`" for path in found)
            raise PortsideError(
                f"cannot serve `{model_dir}`: {len(found)} ONNX models, {names}",
                hint="keep the one to serve",
            )
