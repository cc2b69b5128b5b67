"""The one image that needs no registry: Portside's own serving runtime.

    {account}.dkr.ecr.{region}.amazonaws.com/portside-runtime[:TAG|@sha256:…]

holds `portside.serving` and nothing else, of whatever account, region and tag.
Where instances are processes it is the Portside that is installed here.
"""

from __future__ import annotations

import hashlib
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Final

from portside.contract import SERVE_ARGUMENT
from portside.errors import BuildError
from portside.image.reference import Reference, parse

COMMAND: Final = (sys.executable, "-m", "portside.serving", SERVE_ARGUMENT)
"""What starts it. The argument replaces CMD, as on SageMaker."""


class ImageMissingError(Exception):
    """There is no such image to start an instance from."""


def is_ecr(image: str) -> bool:
    """Whether an image's name is one of ECR's."""
    reference = _reference(image)
    return reference is not None and reference.is_ecr


def is_runtime(image: str) -> bool:
    """Whether an image's name is one of the runtime's."""
    reference = _reference(image)
    return reference is not None and reference.is_runtime


def resolve(image: str) -> str:
    """The reference with the digest of what will run, as DescribeEndpoint shows it.

    Raises `ImageMissingError` for every image but the runtime's.
    """
    found = _reference(image)
    if found is None or not found.is_runtime:
        raise ImageMissingError(image)
    return str(replace(found, tag=None, digest=found.digest or _digest()))


def _reference(image: str) -> Reference | None:
    try:
        return parse(image)
    except BuildError:
        return None


@cache
def _digest() -> str:
    """The digest of the runtime's own files, so that it changes when they do."""
    root = Path(__file__).parents[2]
    content = hashlib.sha256()
    for path in (*sorted((root / "serving").rglob("*.py")), root / "contract.py"):
        content.update(path.relative_to(root).as_posix().encode() + b"\0")
        content.update(hashlib.sha256(path.read_bytes()).digest())
    return f"sha256:{content.hexdigest()}"
