"""The checkpoint as an instance finds it: packaged as `portside package` does, then unpacked."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.checkpoint import make_checkpoint
from bench.place import WORK, say
from portside import archive
from portside.artifact.bundle import package


@dataclass(frozen=True, slots=True, kw_only=True)
class Models:
    """Folders with the same model: the checkpoint, and both artifacts unpacked."""

    checkpoint: Path
    fp32: Path
    int8: Path


def make_models() -> Models:
    """Made anew from the checkpoint in each run; the slow steps are kept from run to run."""
    say("making the model")
    checkpoint = make_checkpoint(WORK)
    return Models(
        checkpoint=checkpoint,
        fp32=_unpacked(checkpoint, "fp32"),
        int8=_unpacked(checkpoint, "int8"),
    )


def _unpacked(checkpoint: Path, precision: Literal["fp32", "int8"]) -> Path:
    say(f"packaging it as {precision}")
    model = WORK / f"model-{precision}"
    output = WORK / f"model-{precision}.tar.gz"
    artifact = package(checkpoint, output=output, precision=precision)
    shutil.rmtree(model, ignore_errors=True)
    archive.unpack(artifact.path, model)
    return model
