"""What was found in a checkpoint folder, in a line for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from portside.artifact.folder.weights import Kind
from portside.artifact.quantity import size

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from portside.artifact.folder.content import File
    from portside.artifact.folder.safetensors_file import Tensor
    from portside.artifact.folder.weights import Model

_NAMES: Final = {
    Kind.ONNX: "ONNX",
    Kind.SAFETENSORS: "safetensors",
    Kind.TORCH_SCRIPT: "TorchScript",
    Kind.PICKLE: "pickled weights",
}

_STEPS: Final = ((1e9, "B"), (1e6, "M"), (1e3, "k"))


def summarize(
    model: Model,
    *,
    architecture: str | None = None,
    labels: Sequence[str] = (),
    tensors: Mapping[str, Tensor] | None = None,
) -> str:
    """`DistilBertForTokenClassification, safetensors in 3 shards, 66.4 M parameters, 9 labels`."""
    # A graph has its weights beside it, which are no shards.
    shards = 1 if model.kind is Kind.ONNX else len(model.weights)
    name = _NAMES[model.kind]
    parts = [
        architecture,
        f"{name} in {shards} shards" if shards > 1 else name,
        f"{_short(_parameters(tensors))} parameters" if tensors else _size(model.files),
        _labels(labels) if labels else None,
    ]
    return ", ".join(part for part in parts if part)


def summarize_for_code(kinds: Sequence[Kind], files: Sequence[File]) -> str:
    """`safetensors for your own code, 265.5 MB in 7 files`."""
    names = " and ".join(dict.fromkeys(_NAMES[kind] for kind in kinds)) or "no weights"
    many = "1 file" if len(files) == 1 else f"{len(files)} files"
    return f"{names} for your own code, {_size(files)} in {many}"


def _labels(labels: Sequence[str]) -> str:
    """`9 labels`; two of one name may be meant so, or a slip."""
    names = len(set(labels))
    of = "" if names == len(labels) else f" of {names} name{'s' if names > 1 else ''}"
    return f"{len(labels)} labels{of}"


def _parameters(tensors: Mapping[str, Tensor]) -> int:
    return sum(tensor.parameters for tensor in tensors.values())


def _size(files: Sequence[File]) -> str:
    return size(sum(file.size_bytes for file in files))


def _short(count: int) -> str:
    """Three digits or so: `66.4 M`."""
    for step, unit in _STEPS:
        if count >= step:
            return f"{count / step:.1f} {unit}"
    return str(count)
