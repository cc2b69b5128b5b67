"""What lies in a checkpoint folder: files to take, and leftovers of training to leave."""

from __future__ import annotations

import os
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from portside import contract
from portside.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Iterator

EARLIER_CHECKPOINT: Final = "earlier checkpoint"

_LEFTOVER_FOLDERS: Final = {
    ".*": "hidden",
    "__pycache__": "cache",
    "checkpoint-*": EARLIER_CHECKPOINT,
    "global_step*": "optimizer state",
    "optimizer*": "optimizer state",
    "lightning_logs": "training log",
    "mlruns": "training log",
    "runs": "training log",
    "wandb": "training log",
}
_LEFTOVER_FILES: Final = {
    ".*": "hidden",
    "*.pyc": "cache",
    "*.log": "training log",
    "events.out.tfevents*": "training log",
    "optimizer*": "optimizer state",
    # Not `scheduler*`: a diffusion model keeps its own scheduler's settings under that name.
    "scheduler*.pt": "optimizer state",
    "scheduler*.bin": "optimizer state",
    "scaler.pt": "optimizer state",
    "rng_state*": "random number state",
    "trainer_state.json": "trainer state",
    "training_args.bin": "trainer state",
    "*.tar": "archive",
    "*.tar.*": "archive",
    "*.tgz": "archive",
    "*.zip": "archive",
}
_LEFTOVERS_IN_CODE: Final = frozenset({"hidden", "cache"})
"""Under `code/` everything else is the user's own, whatever it is called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A regular file of the folder: `path` within it, `source` on this machine."""

    path: PurePosixPath
    source: Path
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A file, or a folder with all that is in it, that does not go into the artifact."""

    path: PurePosixPath
    size_bytes: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """A folder's files, each either to take or left out; both sorted by path."""

    folder: Path
    files: tuple[File, ...]
    left_out: tuple[LeftOut, ...]


def read_content(folder: Path) -> Content:
    """Sort a folder's files; raises `BuildError` at a link among those to take.

    Links are refused because SageMaker refuses an artifact with links in it
    (DG deploy-model-troubleshoot) and a link can bring in any file of this machine.
    """
    try:
        found = list(_walk(folder, folder))
    except OSError as error:
        raise BuildError(
            f"cannot read `{folder}`: {error}", hint="check that every file there can be read"
        ) from error
    return Content(
        folder=folder,
        files=tuple(item for item in found if isinstance(item, File)),
        left_out=tuple(item for item in found if isinstance(item, LeftOut)),
    )


def _walk(folder: Path, root: Path) -> Iterator[File | LeftOut]:
    with os.scandir(folder) as scan:
        entries = sorted(scan, key=lambda entry: entry.name)
    for entry in entries:
        source = Path(entry.path)
        path = PurePosixPath(source.relative_to(root))
        if reason := _leftover(entry, path):
            yield LeftOut(path=path, size_bytes=_size(entry), reason=reason)
        elif entry.is_symlink():
            raise BuildError(
                f"cannot package `{root}`: `{path}` is a link",
                hint=f"copy the folder with its links resolved: `cp -rL {root} COPY`",
            )
        elif entry.is_dir():
            yield from _walk(source, root)
        elif entry.is_file():
            yield File(path=path, source=source, size_bytes=entry.stat().st_size)
        else:
            raise BuildError(
                f"cannot package `{root}`: `{path}` is neither a file nor a folder",
                hint=f"remove `{source}`",
            )


def _leftover(entry: os.DirEntry[str], path: PurePosixPath) -> str | None:
    """Why it is left out, or None."""
    patterns = _LEFTOVER_FOLDERS if entry.is_dir() else _LEFTOVER_FILES
    reason = next((why for glob, why in patterns.items() if fnmatchcase(entry.name, glob)), None)
    in_code = path.parts[0] == contract.CODE_DIR_NAME
    return reason if not in_code or reason in _LEFTOVERS_IN_CODE else None


def _size(entry: os.DirEntry[str]) -> int:
    if not entry.is_dir(follow_symlinks=False):
        return entry.stat(follow_symlinks=False).st_size
    with os.scandir(entry) as entries:
        return sum(_size(child) for child in entries)
