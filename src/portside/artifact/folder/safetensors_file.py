"""What a safetensors file holds, told by its header alone: whole or not, which tensors, how large.

    8 bytes: length of the header │ JSON: {name: {dtype, shape, data_offsets}} │ the numbers

The format is that of https://github.com/huggingface/safetensors#format; the library
that reads it says of a truncated file only that its metadata are incomplete.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from portside.artifact.folder.json_file import read_object
from portside.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_LENGTH_BYTES: Final = 8
_LONGEST_HEADER: Final = 100_000_000
"""What the format allows, so that a broken length asks for no memory."""

_METADATA: Final = "__metadata__"

_BITS_BY_DTYPE: Final = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0"), 8),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 16),
    **dict.fromkeys(("U32", "I32", "F32"), 32),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 64),
}
"""Types that are not here are newer than this table; of those the size is not checked."""

_COPY_AGAIN: Final = "copy or download the file again, and compare its size with the original's"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """The shape of one array of weights."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def parameters(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file by name, none of them read.

    Raises `BuildError` where the file is truncated or its header is not what the format demands.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
            _check_length(path, length, size=size)
            header = _parse(path, file.read(length))
    except OSError as error:
        raise BuildError(f"cannot read `{path}`: {error.strerror}") from error
    _check_offsets(path, header, data_bytes=size - _LENGTH_BYTES - length)
    return {
        name: Tensor(dtype=entry["dtype"], shape=tuple(entry["shape"]))
        for name, entry in header.items()
    }


def read_shards(paths: Sequence[Path], index: Path | None) -> dict[str, Tensor]:
    """The tensors of a model in one or several files.

    Raises `BuildError` as `read_tensors` does, and where index and files disagree.
    """
    by_file = {path.name: read_tensors(path) for path in paths}
    if index is not None:
        for name, file in _weight_map(index).items():
            if name not in by_file.get(file, ()):
                raise BuildError(
                    f"cannot read `{index}`: it puts `{name}` into `{file}`, which has no such "
                    "tensor",
                    hint="take the index and its shards from the same `save_pretrained`",
                )
    return {name: tensor for tensors in by_file.values() for name, tensor in tensors.items()}


def _weight_map(index: Path) -> dict[str, str]:
    match read_object(index):
        case {"weight_map": dict(files)} if all(isinstance(f, str) for f in files.values()):
            return files
        case _:
            raise BuildError(
                f"cannot read `{index}`: it has no `weight_map`, which names the shard of each "
                "tensor",
                hint="save the model again with `save_pretrained`",
            )


def _check_length(path: Path, length: int, *, size: int) -> None:
    if size < _LENGTH_BYTES:
        raise BuildError(f"cannot read `{path}`: {size} bytes are no safetensors", hint=_COPY_AGAIN)
    if length > _LONGEST_HEADER:
        raise BuildError(
            f"cannot read `{path}`: it does not begin as a safetensors file does",
            hint="save the model again with `save_pretrained` or `safetensors.torch.save_file`",
        )
    if length > size - _LENGTH_BYTES:
        raise BuildError(
            f"cannot read `{path}`: it is truncated, its header alone takes {length} bytes "
            f"and the file has {size}",
            hint=_COPY_AGAIN,
        )


def _parse(path: Path, header: bytes) -> dict[str, Any]:
    """The entry of each tensor, of the types that the format demands."""
    try:
        entries = json.loads(header)
    except (ValueError, RecursionError) as error:
        raise BuildError(
            f"cannot read `{path}`: its header is not JSON: {error}", hint=_COPY_AGAIN
        ) from error
    if not isinstance(entries, dict):
        raise BuildError(f"cannot read `{path}`: its header is no object", hint=_COPY_AGAIN)
    entries.pop(_METADATA, None)
    for name, entry in entries.items():
        match entry:
            case {"dtype": str(), "shape": list(shape), "data_offsets": [int(), int()]} if all(
                isinstance(length, int) and length >= 0 for length in shape
            ):
                pass
            case _:
                raise BuildError(
                    f"cannot read `{path}`: its header says of `{name}` neither type, shape nor "
                    "place",
                    hint=_COPY_AGAIN,
                )
    return entries


def _check_offsets(path: Path, header: Mapping[str, Any], *, data_bytes: int) -> None:
    """The tensors lie one behind the other, from the first byte of the data to the last."""
    end = 0
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        begin, stop = entry["data_offsets"]
        bits = _BITS_BY_DTYPE.get(entry["dtype"])
        has_its_size = bits is None or (stop - begin) * 8 == math.prod(entry["shape"]) * bits
        if begin != end or stop < begin or not has_its_size:
            raise BuildError(
                f"cannot read `{path}`: its header puts `{name}` at bytes {begin} to {stop}, "
                "which does not fit its shape or the tensor before",
                hint=_COPY_AGAIN,
            )
        end = stop
    if data_bytes < end:
        raise BuildError(
            f"cannot read `{path}`: it is truncated, {data_bytes} of the {end} bytes of its "
            "tensors are there",
            hint=_COPY_AGAIN,
        )
    if data_bytes > end:
        raise BuildError(
            f"cannot read `{path}`: {data_bytes - end} bytes follow its last tensor",
            hint=_COPY_AGAIN,
        )
