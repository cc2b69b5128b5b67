"""Which files of a checkpoint hold models, and which files belong to one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from portside import contract
from portside.artifact.folder.onnx_file import read_external_data
from portside.artifact.folder.torch_file import TorchFile, read_kind
from portside.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from portside.artifact.folder.content import File


class Kind(StrEnum):
    """What a checkpoint's model is."""

    ONNX = "onnx"
    SAFETENSORS = "safetensors"
    TORCH_SCRIPT = "torchscript"
    PICKLE = "pickle"
    CODE = "code"
    """No weights: the user's code is all there is, or knows where to find them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One model: the file that names it, and all files that belong to it."""

    kind: Kind
    main: File
    files: tuple[File, ...]

    @property
    def weights(self) -> tuple[File, ...]:
        """The files but the index of a sharded model."""
        return tuple(file for file in self.files if not file.path.name.endswith(INDEX))


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """All weights of a checkpoint, by what they are."""

    onnx: tuple[Model, ...]
    safetensors: tuple[Model, ...]
    torch_scripts: tuple[Model, ...]
    pickles: tuple[Model, ...]
    """Of torch; any other pickle is a model of one file too, which only code can read."""
    other_frameworks: tuple[File, ...]

    @property
    def models(self) -> tuple[Model, ...]:
        """All of them, those first that are served if nobody says which."""
        return (*self.onnx, *self.safetensors, *self.torch_scripts, *self.pickles)


INDEX: Final = ".index.json"
"""Behind the name of a sharded model: which shard a tensor lies in."""

_SHARD: Final = re.compile(r"-\d{5}-of-(\d{5})(?=\.(safetensors|bin)$)")
"""`model-00001-of-00003.safetensors`: how transformers names the parts of one model."""

_TRANSFORMERS_PICKLE: Final = "pytorch_model*.bin"
_TORCH_FILES: Final = ("*.ckpt", "*.pt", "*.pth")
_PICKLES: Final = ("*.joblib", "*.pickle", "*.pkl")
_OTHER_FRAMEWORKS: Final = ("*.h5", "*.msgpack", "*.ot")

_LFS_POINTER: Final = b"version https://git-lfs.github.com/spec/"
"""How the file begins that git leaves in the place of a large one."""


def read_weights(files: Iterable[File]) -> Weights:
    """Sort out the weights; what lies under `code/` is the user's own and not looked at.

    Raises `BuildError` where part of a model is missing, or a file is not what it is called.
    """
    own = [file for file in files if file.path.parts[0] != contract.CODE_DIR_NAME]
    by_kind: dict[Kind, list[File]] = {}
    for file in own:
        if kind := _kind(file):
            _check_is_there(file)
            by_kind.setdefault(kind, []).append(file)
    return Weights(
        onnx=tuple(_onnx(file, own) for file in by_kind.get(Kind.ONNX, ())),
        safetensors=_sharded(Kind.SAFETENSORS, by_kind.get(Kind.SAFETENSORS, ()), own),
        torch_scripts=tuple(
            Model(kind=Kind.TORCH_SCRIPT, main=file, files=(file,))
            for file in by_kind.get(Kind.TORCH_SCRIPT, ())
        ),
        pickles=_sharded(Kind.PICKLE, by_kind.get(Kind.PICKLE, ()), own),
        other_frameworks=tuple(file for file in own if _matches(file, _OTHER_FRAMEWORKS)),
    )


def is_duplicate(pickle: Model, weights: Weights) -> bool:
    """Whether the same weights lie beside these in a safe form, as their names tell."""
    safe = {_stem(model.main) for model in (*weights.safetensors, *weights.onnx)}
    stem = _stem(pickle.main)
    is_named = fnmatchcase(pickle.main.path.name, _TRANSFORMERS_PICKLE)
    return stem in safe or (is_named and stem.parent in {each.parent for each in safe})


def _stem(file: File) -> PurePosixPath:
    """Its path without number and suffix; a graph in `onnx/` is of the folder around that."""
    path = PurePosixPath(_SHARD.sub("", str(file.path))).with_suffix("")
    return path.parent.parent / path.name if path.parent.name == "onnx" else path


# --- What a file is -------------------------------------------------------------


def _kind(file: File) -> Kind | None:
    """What model or part of one a file is; None for any other file."""
    match file.path.suffix:
        case ".onnx":
            return Kind.ONNX
        case ".safetensors":
            return Kind.SAFETENSORS
    if _matches(file, _PICKLES):
        return Kind.PICKLE
    if _matches(file, _TORCH_FILES):
        is_script = read_kind(file.source) is TorchFile.TORCH_SCRIPT
        return Kind.TORCH_SCRIPT if is_script else Kind.PICKLE
    if file.path.suffix == ".bin":
        is_named = fnmatchcase(file.path.name, _TRANSFORMERS_PICKLE)
        # Any other may be anything: a fastText model, a table of numbers.
        return Kind.PICKLE if is_named or read_kind(file.source) is TorchFile.PICKLE else None
    return None


def _matches(file: File, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(file.path.name, glob) for glob in patterns)


def _check_is_there(file: File) -> None:
    with file.source.open("rb") as opened:
        start = opened.read(len(_LFS_POINTER))
    if start == _LFS_POINTER:
        raise BuildError(
            f"cannot read `{file.source}`: it is not the weights but the pointer that git keeps "
            "in their place",
            hint=f"fetch the weights: `git -C {file.source.parent} lfs pull`",
        )


# --- Which files belong together ------------------------------------------------


def _onnx(main: File, files: Sequence[File]) -> Model:
    """With the files that it keeps weights in."""
    by_path = {file.path: file for file in files}
    found = [main]
    for location, size in read_external_data(main.source).items():
        path = main.path.parent / location
        data = by_path.get(path)
        if data is None:
            raise BuildError(
                f"cannot read `{main.source}`: its weights lie in `{location}` beside it, "
                "and there is no such file",
                hint=f"copy `{location}` into `{main.source.parent}`",
            )
        if data.size_bytes < size:
            raise BuildError(
                f"cannot read `{data.source}`: it is truncated, {data.size_bytes} bytes of the "
                f"{size} that `{main.path.name}` reads are there",
                hint=f"copy `{location}` again from where the graph was exported",
            )
        found.append(data)
    return Model(kind=Kind.ONNX, main=main, files=tuple(found))


def _sharded(kind: Kind, parts: Sequence[File], files: Sequence[File]) -> tuple[Model, ...]:
    """Single files, and the parts of sharded models with their index."""
    by_path = {str(file.path): file for file in files}
    shards_by_name: dict[str, list[File]] = {}
    for file in parts:
        shards_by_name.setdefault(_SHARD.sub("", str(file.path)), []).append(file)
    return tuple(
        Model(kind=kind, main=shards[0], files=_whole(shards, by_path.get(f"{name}{INDEX}")))
        for name, shards in shards_by_name.items()
    )


def _whole(shards: Sequence[File], index: File | None) -> tuple[File, ...]:
    """The shards with their index, none of them missing."""
    first = shards[0]
    numbers = _SHARD.search(first.path.name)
    # An index beside a single file is left from when that was sharded.
    if numbers is None:
        return tuple(shards)
    count = int(numbers[1])
    there = {shard.path.name for shard in shards}
    for number in range(1, count + 1):
        name = _SHARD.sub(f"-{number:05}-of-{count:05}", first.path.name)
        if name not in there:
            raise BuildError(
                f"cannot read `{first.source.parent}`: the weights are in {count} shards, "
                f"and `{name}` is missing",
                hint=f"copy `{name}` from where the model was saved",
            )
    return (*shards, index) if index else tuple(shards)
