"""The one image that needs no registry: Portside's own serving runtime.

    {account}.dkr.ecr.{region}.amazonaws.com/portside-runtime[:TAG|@sha256:…]

holds `portside.serving` and nothing else, of whatever account, region and tag.
Where instances are processes it is the Portside that is installed here.
"""

from __future__ import annotations

import hashlib
import re
import sys
from functools import cache
from pathlib import Path
from typing import Final

from portside.contract import RUNTIME_REPOSITORY, SERVE_ARGUMENT

ECR_IMAGE: Final = re.compile(
    r"(?P<registry>\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(\.cn)?)"
    r"/(?P<repository>[a-z0-9]+([._/-][a-z0-9]+)*)"
    r"(:(?P<tag>[\w][\w.-]{0,127})|@(?P<digest>sha256:[0-9a-f]{64}))?"
)
"""An image reference of ECR: BC ecr RepositoryName; tag and digest as `docker pull` has them."""

COMMAND: Final = (sys.executable, "-m", "portside.serving", SERVE_ARGUMENT)
"""What starts it. The argument replaces CMD, as on SageMaker."""


class ImageMissingError(Exception):
    """There is no such image to start an instance from."""


def resolve(image: str) -> str:
    """The reference with the digest of what will run, as DescribeEndpoint shows it.

    Raises `ImageMissingError` for every image but the runtime's.
    """
    found = ECR_IMAGE.fullmatch(image)
    if found is None or found["repository"] != RUNTIME_REPOSITORY:
        raise ImageMissingError(image)
    return f"{found['registry']}/{found['repository']}@{found['digest'] or _digest()}"


@cache
def _digest() -> str:
    """The digest of the runtime's own files, so that it changes when they do."""
    root = Path(__file__).parents[1]
    content = hashlib.sha256()
    for path in (*sorted((root / "serving").rglob("*.py")), root / "contract.py"):
        content.update(path.relative_to(root).as_posix().encode() + b"\0")
        content.update(hashlib.sha256(path.read_bytes()).digest())
    return f"sha256:{content.hexdigest()}"
