"""Which files of a checkpoint hold the model."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from portside import contract

if TYPE_CHECKING:
    from collections.abc import Iterable

    from portside.artifact.content import File

ONNX: Final = ".onnx"
SAFETENSORS: Final = ".safetensors"

_SHARD: Final = re.compile(r"-\d{5}-of-\d{5}(?=\.safetensors$)")
"""`model-00001-of-00003.safetensors`: how transformers names the parts of one model."""

_PICKLES: Final = ("*.bin", "*.ckpt", "*.joblib", "*.pickle", "*.pkl", "*.pt", "*.pth")
_OTHER_FRAMEWORKS: Final = ("*.h5", "*.msgpack", "*.ot")


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One model: the file that names it, and all files that belong to it."""

    main: File
    files: tuple[File, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """All weights of a checkpoint, by what they are."""

    onnx: tuple[Model, ...]
    safetensors: tuple[Model, ...]
    pickles: tuple[File, ...]
    other_frameworks: tuple[File, ...]


def read_weights(files: Iterable[File]) -> Weights:
    """Sort out the weights; what lies under `code/` is the user's own and not looked at."""
    own = [file for file in files if file.path.parts[0] != contract.CODE_DIR_NAME]
    return Weights(
        onnx=tuple(_onnx(file, own) for file in own if file.path.suffix == ONNX),
        safetensors=_safetensors(own),
        pickles=_matching(own, _PICKLES),
        other_frameworks=_matching(own, _OTHER_FRAMEWORKS),
    )


def _onnx(main: File, files: list[File]) -> Model:
    """With its external data: `model.onnx_data`, `model.onnx_data_1`, `model.onnx.data`."""
    beside = (file for file in files if file.path.parent == main.path.parent)
    data = (f"{main.path.name}_data", f"{main.path.name}.data")
    return Model(
        main=main, files=(main, *(file for file in beside if file.path.name.startswith(data)))
    )


def _safetensors(files: list[File]) -> tuple[Model, ...]:
    """Single files, and sharded models with their index."""
    shards: dict[str, list[File]] = {}
    for file in files:
        if file.path.suffix == SAFETENSORS:
            shards.setdefault(_SHARD.sub("", str(file.path)), []).append(file)
    index = ".index.json"
    indexes = {
        str(file.path).removesuffix(index): file for file in files if file.path.name.endswith(index)
    }
    return tuple(
        Model(main=parts[0], files=(*parts, *([indexes[name]] if name in indexes else [])))
        for name, parts in shards.items()
    )


def _matching(files: list[File], patterns: tuple[str, ...]) -> tuple[File, ...]:
    return tuple(
        file for file in files if any(fnmatchcase(file.path.name, glob) for glob in patterns)
    )
