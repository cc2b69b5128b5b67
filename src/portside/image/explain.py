"""What an image's bytes are spent on, as a tree in text, and as values for programs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from portside.image.build import Image
from portside.image.check import IMAGE_BYTES
from portside.image.layer import Layer

PARTS: Final = 8
"""Of a layer, before the rest is summed up."""

_WIDTH: Final = 44


def tree(image: Image, *, size: Callable[[float], str]) -> Iterator[str]:
    """The lines of the tree; `size` writes a number of bytes for people."""
    packed = sum(layer.blob.size for layer in image.layers)
    unpacked = sum(layer.size_bytes for layer in image.layers)
    share = f"{100 * unpacked / IMAGE_BYTES:.1f} % of the {size(IMAGE_BYTES)} that SageMaker starts"
    yield f"{image.name} for {image.platform}: {size(unpacked)}, {share}; {size(packed)} packed"
    for number, layer in enumerate(image.layers, 1):
        is_last = number == len(image.layers)
        yield from _branch(layer, is_last=is_last, image=image, size=size)


def _branch(
    layer: Layer, *, is_last: bool, image: Image, size: Callable[[float], str]
) -> Iterator[str]:
    stem, below = ("└── ", "    ") if is_last else ("├── ", "│   ")
    state = "" if layer.blob.digest in image.made else "  (unchanged)"
    figures = f"{size(layer.size_bytes):>9} {size(layer.blob.size):>9} packed"
    yield f"{stem}{layer.kind:{_WIDTH - 4}}{figures}{state}"
    parts = sorted(layer.parts, key=lambda part: (-part.size_bytes, part.name))
    shown, rest = parts[:PARTS], parts[PARTS:]
    lines = [(f"{part.name} {part.version}".strip(), part.size_bytes) for part in shown]
    if rest:
        lines.append((f"{len(rest)} more", sum(part.size_bytes for part in rest)))
    for number, (name, size_bytes) in enumerate(lines, 1):
        twig = "└── " if number == len(lines) else "├── "
        yield f"{below}{twig}{name[: _WIDTH - 9]:{_WIDTH - 8}}{size(size_bytes):>9}"


def as_value(image: Image) -> dict[str, Any]:
    """The image for programs: digests, sizes in bytes, layers from the base upwards."""
    return {
        "digest": image.digest,
        "media_type": image.manifest.media_type,
        "platform": str(image.platform),
        "base": image.base and {"name": image.base.name, "digest": image.base.digest},
        "size_bytes": sum(layer.size_bytes for layer in image.layers),
        "packed_bytes": sum(layer.blob.size for layer in image.layers),
        "layers": [
            {
                "kind": str(layer.kind),
                "digest": layer.blob.digest,
                "size_bytes": layer.size_bytes,
                "packed_bytes": layer.blob.size,
                "unchanged": layer.blob.digest not in image.made,
                "parts": [
                    {"name": part.name, "version": part.version, "size_bytes": part.size_bytes}
                    for part in layer.parts
                ],
            }
            for layer in image.layers
        ],
    }
