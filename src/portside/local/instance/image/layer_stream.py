"""The bytes of a layer on their way to a tree: counted, digested, and no header believed."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from typing import TYPE_CHECKING, Final, Self

from portside.archive import ArchiveError

if TYPE_CHECKING:
    from pathlib import Path

    from portside.archive import Limits

_EXTENDED_BYTES: Final = 1024 * 1024
"""Longest extended header: a path has 4096 bytes at most, an attribute 64 KiB."""
_EXTENSIONS: Final = frozenset(
    {
        tarfile.XHDTYPE,
        tarfile.XGLTYPE,
        tarfile.SOLARIS_XHDTYPE,
        tarfile.GNUTYPE_LONGNAME,
        tarfile.GNUTYPE_LONGLINK,
    }
)
_CHUNK_BYTES: Final = 1024 * 1024


class Counted:
    """How much was unpacked so far, over all layers; raises `ArchiveError` where it is too much."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._members = 0
        self._packed_bytes = 0
        self._plain_bytes = 0

    def add_member(self) -> None:
        """One more file, folder, link or other thing."""
        self._members += 1
        if self._members > self._limits.members:
            raise ArchiveError(f"over {self._limits.members} files and folders")

    def add_packed(self, size: int) -> None:
        """Bytes that were read of a blob."""
        self._packed_bytes += size

    def add_plain(self, size: int) -> None:
        """Bytes that they became."""
        self._plain_bytes += size
        if self._plain_bytes > self._limits.total_bytes:
            raise ArchiveError(f"unpacks to over {self._limits.total_bytes} bytes")
        most = max(self._limits.ratio_from_bytes, self._limits.ratio * self._packed_bytes)
        if self._plain_bytes > most:
            raise ArchiveError(f"unpacks to over {self._limits.ratio} times its size")


class _Packed:
    """The layer's own bytes, counted."""

    def __init__(self, path: Path, counted: Counted) -> None:
        self._file = path.open("rb")
        self._counted = counted

    def read(self, size: int = -1, /) -> bytes:
        data = self._file.read(size)
        self._counted.add_packed(len(data))
        return data

    def seek(self, _offset: int, /) -> object:
        """Only there because `gzip` wants it of a file, for going back."""
        raise io.UnsupportedOperation

    def close(self) -> None:
        self._file.close()


class PlainTar:
    """The tar's bytes, counted and digested."""

    def __init__(self, path: Path, counted: Counted) -> None:
        self._packed = _Packed(path, counted)
        self._gzip = gzip.GzipFile(fileobj=self._packed, mode="rb")
        self._counted = counted
        self._sha256 = hashlib.sha256()

    def read(self, size: int, /) -> bytes:
        """The next bytes; fewer than asked for only at the end."""
        data: bytes = self._gzip.read(size)
        self._sha256.update(data)
        self._counted.add_plain(len(data))
        return data

    def check(self, diff_id: str) -> None:
        """Read what is left, and raise unless all of it has the digest that the config tells."""
        while self.read(_CHUNK_BYTES):
            pass
        if f"sha256:{self._sha256.hexdigest()}" != diff_id:
            raise ArchiveError(f"its tar is not `{diff_id}`, as the image's config has it")

    def close(self) -> None:
        """Let go of the file."""
        self._gzip.close()
        self._packed.close()


class Header(tarfile.TarInfo):
    """One that is broken is an error, and not the end; one that asks for much memory too."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """A header of its 512 bytes; raises `ArchiveError`."""
        try:
            header = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if not any(buf):
                raise
            raise ArchiveError(f"a tar header is broken: {error}") from error
        if header.type in _EXTENSIONS and header.size > _EXTENDED_BYTES:
            raise ArchiveError(f"an extended tar header of {header.size} bytes")
        return header
