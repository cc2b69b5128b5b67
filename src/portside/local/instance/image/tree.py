"""The layers of an image, one over the other, as a folder that can be a process's root.

    layer ─▶ gunzip ─▶ digest of the tar ─▶ members ─┬─ file, folder, link: put there
                                                     ├─ whiteout: takes away what lower layers put
                                                     └─ device, pipe: left out

A layer may be any tar, from anybody. So every name is read as it would be in the root that is
being made: `/` is that root, `..` ends there, a link on the way is followed inside it. Nothing is
written, linked to or removed anywhere else. Of modes the nine bits of access stay (and the sticky
one of folders), and owners are the caller's. Whiteouts: OCI image specification 1.1, "Layer".
"""

from __future__ import annotations

import errno
import os
import shutil
import tarfile
import zlib
from collections import deque
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from portside.archive import ArchiveError, Limits
from portside.local.instance.image.layer_stream import Counted, Header, PlainTar

if TYPE_CHECKING:
    from collections.abc import Iterable

LIMITS: Final = Limits(members=1_000_000)
"""A Debian with PyTorch has some 50,000."""

_WHITEOUT: Final = ".wh."
_OPAQUE: Final = ".wh..wh..opq"
_RESERVED: Final = ".wh..wh."
"""What aufs, where whiteouts come from, kept for itself."""

_LINKS: Final = 40
"""Most symbolic links on the way to a file: MAXSYMLINKS of Linux."""

_DEPTH: Final = 128
"""Most parts of a path, ours: a folder some hundreds deep cannot be removed by what calls itself
for each level."""

_CHUNK_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerFile:
    """A layer's gzipped tar, and the digest of the tar within."""

    path: Path
    diff_id: str


def apply_layers(layers: Iterable[LayerFile], root: Path, *, limits: Limits = LIMITS) -> None:
    """Unpack layers, lowest first, into the empty folder `root`; raises `ArchiveError`.

    Where it fails, `root` is left as far as it was made.
    """
    counted = Counted(limits)
    for layer in layers:
        try:
            with closing(PlainTar(layer.path, counted)) as plain:
                _apply(plain, _Layer(root), counted)
                plain.check(layer.diff_id)
        except ArchiveError as error:
            raise ArchiveError(f"layer `{layer.path.name}`: {error.message}") from error
        except (tarfile.TarError, zlib.error, EOFError, ValueError, RecursionError) as error:
            raise ArchiveError(f"layer `{layer.path.name}` is no gzipped tar: {error}") from error
        except OSError as error:
            raise ArchiveError(f"layer `{layer.path.name}`: {error.strerror or error}") from error


def inside(root: Path, name: str, *, follows: bool = True) -> Path:
    """Where `name` lies in `root`, with every link on the way read as inside of it.

    `follows`: whether that also goes for the last part. Raises `ArchiveError`.
    """
    found: list[str] = []
    parts, links = deque(name.split("/")), 0
    while parts:
        part = parts.popleft()
        if part == "..":
            del found[-1:]
        elif part not in {"", "."}:
            path = root.joinpath(*found, part)
            if (parts or follows) and path.is_symlink():
                links += 1
                target = path.readlink().as_posix()
                if links > _LINKS:
                    raise ArchiveError(f"`{_short(name)}`: {os.strerror(errno.ELOOP)}")
                if target.startswith("/"):
                    found.clear()
                parts.extendleft(reversed(target.split("/")))
            else:
                found.append(part)
    if len(found) > _DEPTH:
        raise ArchiveError(f"`{_short(name)}` has a path of over {_DEPTH} parts")
    return root.joinpath(*found)


def make_folder(root: Path, name: str) -> Path:
    """The folder `name` of `root`, made where it is missing, in the place of what is none."""
    path = inside(root, name)
    if not path.is_dir():
        for parent in reversed(path.relative_to(root).parents):
            _make_way(root / parent)
        _make_way(path)
    return path


def make_file(root: Path, name: str) -> None:
    """A plain file `name` of `root`, empty, in the place of what is none."""
    folder, _, base = name.rpartition("/")
    path = make_folder(root, folder) / base
    if path.is_symlink() or not path.is_file():
        _remove(path)
        path.touch()


def _make_way(folder: Path) -> None:
    if not folder.is_dir():
        _remove(folder)
        folder.mkdir(mode=0o755)
        folder.chmod(0o755)


# --- The members -------------------------------------------------------------


def _apply(plain: PlainTar, layer: _Layer, counted: Counted) -> None:
    source: Any = plain  # `tarfile` reads a stream from whatever has `read`
    with tarfile.open(
        fileobj=source, mode="r|", tarinfo=Header, bufsize=64 * tarfile.RECORDSIZE
    ) as tar:
        while (member := tar.next()) is not None:
            counted.add_member()
            layer.put(member, tar.extractfile(member) if member.isreg() else None)
            tar.members = []  # type: ignore[attr-defined]  # it would keep every header to the end


class _Layer:
    """One layer on its way into the root.

    `_own` are the paths that this layer has put there: a whiteout takes away what is of lower ones.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._own: set[Path] = set()
        self._last: tuple[str, Path] | None = None

    def put(self, member: tarfile.TarInfo, content: IO[bytes] | None) -> None:
        """Do what a member asks for; `content` is a file to read from, of a plain file's."""
        folder, _, base = member.name.rstrip("/").rpartition("/")
        if base in {"", ".", ".."}:
            if member.isdir() and base != "..":
                return  # the root itself
            raise ArchiveError(f"a member is named `{_short(member.name)}`")
        parent = self._parent(folder)
        if base.startswith(_WHITEOUT):
            self._white_out(parent, base)
            return
        path = parent / base
        if member.isdir():
            self._make_folder(path, member.mode)
        elif content is not None:
            if member.issparse():  # some bytes that become a full disk; no builder makes them
                raise ArchiveError(f"`{_short(member.name)}` is a sparse file")
            self._remove_old(path)
            _write(path, content, member.mode)
        elif member.issym():
            self._remove_old(path)
            path.symlink_to(member.linkname)
        elif member.islnk():
            self._link(path, member.linkname)
        else:  # a device or a pipe, which no model needs and not everybody may make
            return
        self._note(path)

    def _parent(self, folder: str) -> Path:
        """Members of one folder follow each other as a rule."""
        if self._last is None or self._last[0] != folder:
            self._last = folder, make_folder(self._root, folder)
        return self._last[1]

    def _note(self, path: Path) -> None:
        while path != self._root and path not in self._own:
            self._own.add(path)
            path = path.parent

    def _make_folder(self, path: Path, mode: int) -> None:
        if path.is_symlink() or not path.is_dir():
            self._remove_old(path)
            path.mkdir()
        path.chmod(mode & 0o1777 | 0o700)  # we have to be able to write to it, and to remove it

    def _link(self, path: Path, target: str) -> None:
        existing = inside(self._root, target, follows=False)
        if not existing.is_symlink() and not existing.is_file():
            raise ArchiveError(f"`{_short(path.name)}` is a link to `{_short(target)}`, no file")
        if existing != path:
            self._remove_old(path)
            os.link(existing, path, follow_symlinks=False)

    def _white_out(self, parent: Path, base: str) -> None:
        if base == _OPAQUE:
            self._clear(parent)
        elif not base.startswith(_RESERVED):
            name = base.removeprefix(_WHITEOUT)
            if name in {"", ".", ".."}:
                raise ArchiveError(f"a whiteout is named `{base}`")
            self._take_away(parent / name)

    def _take_away(self, path: Path) -> None:
        if path not in self._own:
            self._remove_old(path)
        elif path.is_dir() and not path.is_symlink():
            self._clear(path)

    def _clear(self, folder: Path) -> None:
        for path in list(folder.iterdir()):
            self._take_away(path)

    def _remove_old(self, path: Path) -> None:
        if path.is_symlink() or path.is_dir():
            self._last = None  # the way to the last folder may lead over it
        _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _write(path: Path, content: IO[bytes], mode: int) -> None:
    with path.open("xb") as file:
        shutil.copyfileobj(content, file, _CHUNK_BYTES)
        os.fchmod(file.fileno(), mode & 0o777 | 0o400)


def _short(name: str) -> str:
    return ascii(name[:80])[1:-1]
