"""Which file in a model folder is TorchScript, told without torch.

Both `torch.jit.save` and `torch.save` write zip archives. TorchScript has
`constants.pkl` in it, weights alone do not: so what a trainer leaves beside a
model (`optimizer.pt`, `rng_state.pth`) is not taken for the model.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Final

from portside.errors import PortsideError

_SUFFIXES: Final = (".pt", ".pth")

_DEFAULT_NAME: Final = "model.pt"
"""Wins where there are several; AWS's PyTorch container looks for it first."""

_MARK: Final = "constants.pkl"


def find_torch_script(model_dir: Path) -> Path | None:
    """The TorchScript file of a model folder; None without one."""
    scripts = [path for path in _torch_files(model_dir) if _is_torch_script(path)]
    named = [path for path in scripts if path.name == _DEFAULT_NAME]
    match named or scripts:
        case [path]:
            return path
        case []:
            return None
        case _:
            names = ", ".join(f"`{path.name}`" for path in scripts)
            raise PortsideError(
                f"cannot serve `{model_dir}`: {len(scripts)} TorchScript files, {names}",
                hint=f"keep the one to serve, or call it `{_DEFAULT_NAME}`",
            )


def check_weights(model_dir: Path) -> None:
    """Refuse a folder with a file of torch's that is no TorchScript, and nothing to go with it."""
    if (model_dir / "config.json").exists():
        return
    for path in _torch_files(model_dir):
        raise PortsideError(
            f"cannot serve `{path}`: it is not TorchScript, so only its own code can read it",
            hint="save the model with `torch.jit.save(torch.jit.script(model), path)`, "
            "or add an `inference.py` with `load_model` and `predict`",
        )


def _torch_files(model_dir: Path) -> list[Path]:
    # Names with a leading dot are what a Mac leaves in archives (`._model.pt`).
    return sorted(
        path
        for path in (model_dir.iterdir() if model_dir.is_dir() else ())
        if path.suffix in _SUFFIXES and not path.name.startswith(".")
    )


def _is_torch_script(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith(f"/{_MARK}") for name in archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False
