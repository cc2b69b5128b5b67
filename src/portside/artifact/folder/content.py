"""What lies in a checkpoint folder: files to take, and leftovers of training to leave."""

from __future__ import annotations

import errno
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
    "__MACOSX": "of the system",
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
    "Thumbs.db": "of the system",
    "desktop.ini": "of the system",
    "*.pyc": "cache",
    # Kernels that onnxruntime's TensorRT backend tuned for the GPU of the machine that made them.
    "TensorrtExecutionProvider_*": "cache",
    "*.crdownload": "half a download",
    "*.incomplete": "half a download",
    "*.part": "half a download",
    "*.partial": "half a download",
    "*.tmp": "half a download",
    "*.log": "training log",
    "events.out.tfevents*": "training log",
    "optimizer*": "optimizer state",
    # Not `scheduler*`: a diffusion model keeps its own scheduler's settings under that name.
    "scheduler*.pt": "optimizer state",
    "scheduler*.bin": "optimizer state",
    "scaler.pt": "optimizer state",
    # DeepSpeed puts its script beside `global_step*`, to gather the weights from there.
    "zero_to_fp32.py": "optimizer state",
    "rng_state*": "random number state",
    "random_states_*.pkl": "random number state",
    "trainer_state.json": "trainer state",
    "training_args.bin": "trainer state",
    "*.tar": "archive",
    "*.tar.*": "archive",
    "*.tgz": "archive",
    "*.zip": "archive",
}
_LEFTOVERS_IN_CODE: Final = frozenset({"hidden", "cache", "of the system"})
"""Under `code/` everything else is the user's own, whatever it is called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file of the folder: `path` within it, `source` on this machine, behind all links."""

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
    """Sort a folder's files; raises `BuildError`.

    Links are followed where they stay in the folder, and what they lead to is
    taken under their names: SageMaker refuses an artifact with links in it (DG
    deploy-model-troubleshoot). A link that leads out of the folder could bring in
    any file of this machine, and is an error; so is one that leads nowhere or
    in a circle.
    """
    root = Path(os.path.realpath(folder))
    try:
        found = list(_walk(folder, PurePosixPath(), around=(root,)))
    except OSError as error:
        raise BuildError(
            f"cannot read `{folder}`: {error}", hint="check that every file there can be read"
        ) from error
    except BuildError as error:
        raise BuildError(f"cannot package `{folder}`: {error.message}", hint=error.hint) from error
    return Content(
        folder=folder,
        files=tuple(item for item in found if isinstance(item, File)),
        left_out=tuple(item for item in found if isinstance(item, LeftOut)),
    )


def _walk(
    folder: Path, path: PurePosixPath, *, around: tuple[Path, ...]
) -> Iterator[File | LeftOut]:
    """What lies in `folder`, which goes by `path` in the content.

    `around` are the folders that are being walked, behind all links: the root
    first, `folder` last.
    """
    with os.scandir(folder) as scan:
        entries = sorted(scan, key=lambda entry: entry.name)
    for entry in entries:
        name = path / entry.name
        source = Path(entry.path)
        if reason := _leftover(source, name):
            yield LeftOut(path=name, size_bytes=_size(entry), reason=reason)
            continue
        real = around[-1] / entry.name
        if entry.is_symlink():
            source = real = _followed(source, name, around=around)
        if source.is_dir():
            yield from _walk(source, name, around=(*around, real))
        elif source.is_file():
            yield File(path=name, source=source, size_bytes=source.stat().st_size)
        else:
            raise BuildError(f"`{name}` is neither a file nor a folder", hint=f"remove `{source}`")


def _leftover(source: Path, path: PurePosixPath) -> str | None:
    """Why it is left out, or None."""
    patterns = _LEFTOVER_FOLDERS if source.is_dir() else _LEFTOVER_FILES
    reason = next((why for glob, why in patterns.items() if fnmatchcase(path.name, glob)), None)
    in_code = path.parts[0] == contract.CODE_DIR_NAME
    return reason if not in_code or reason in _LEFTOVERS_IN_CODE else None


def _size(entry: os.DirEntry[str]) -> int:
    if not entry.is_dir(follow_symlinks=False):
        return entry.stat(follow_symlinks=False).st_size
    with os.scandir(entry) as entries:
        return sum(_size(child) for child in entries)


def _followed(link: Path, path: PurePosixPath, *, around: tuple[Path, ...]) -> Path:
    """What `link` leads to, behind all further links; raises `BuildError`."""
    remove = f"remove `{link}`"
    try:
        # Not `Path.resolve`, which makes another error of a circle before Python 3.13.
        target = Path(os.path.realpath(link, strict=True))
    except FileNotFoundError as error:
        raise BuildError(
            f"`{path}` is a link to `{link.readlink()}`, which is not there", hint=remove
        ) from error
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise BuildError(f"`{path}` is a link that leads in a circle", hint=remove) from error
    if not target.is_relative_to(around[0]):
        raise BuildError(
            f"`{path}` is a link out of the folder, to `{target}`",
            hint="package a copy that has the files in place of the links: "
            f"`cp -rL {around[0]} COPY`",
        )
    if target in around:
        raise BuildError(
            f"`{path}` is a link that leads in a circle, to a folder around it", hint=remove
        )
    return target
