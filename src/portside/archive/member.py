"""A member of an archive, and the names that one may have."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from portside.archive.error import ArchiveError

if TYPE_CHECKING:
    from pathlib import Path

NAME_PART_BYTES: Final = 255
"""Longest part of a path: NAME_MAX of Linux; and SageMaker's limit too (BC S3ModelDataSource)."""

NAME_PARTS: Final = 64
"""Most parts of a path, ours: artifacts have a handful, and a folder some hundreds deep cannot be
walked or removed by what calls itself for each level, as `shutil.rmtree` does.
"""

_UNWANTED: Final = re.compile(r"[\x00-\x1f\x7f\\\ud800-\udfff]")
"""Control characters, the separator of Windows, and what is left of bytes that are not UTF-8."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A file for an archive: its name there (`/` between the parts) and where it lies."""

    name: str
    source: Path


def checked_name(name: str) -> str:
    """`name` without `.` parts, or an `ArchiveError` where it could leave the folder.

    The root folder itself (`./`) is the empty string.
    """
    if name.startswith("/"):
        raise ArchiveError(f"member `{name}` has an absolute path")
    if _UNWANTED.search(name):
        raise ArchiveError(
            f"member {name!r} has a backslash, a control character or broken UTF-8 in its name"
        )
    parts = [part for part in name.split("/") if part not in {"", "."}]
    if ".." in parts:
        raise ArchiveError(f"member `{name}` leads out of the folder")
    if len(parts) > NAME_PARTS:
        raise ArchiveError(f"member `{name[:40]}…` has a path of over {NAME_PARTS} parts")
    if any(len(part.encode()) > NAME_PART_BYTES for part in parts):
        raise ArchiveError(f"member `{name[:40]}…` has a name of over {NAME_PART_BYTES} bytes")
    return "/".join(parts)
