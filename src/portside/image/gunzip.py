"""A gzipped tar on its way to `tarfile`: zlib-ng takes 40 % less time than Python's own gzip."""

from __future__ import annotations

import gzip
import tarfile
from typing import BinaryIO, Final, cast

from zlib_ng import gzip_ng, zlib_ng

NOT_A_TAR: Final[tuple[type[Exception], ...]] = (
    tarfile.TarError,
    gzip.BadGzipFile,
    EOFError,
    ValueError,  # of an extended header that makes no sense, a name with a null byte in it
    RecursionError,  # of a thousand extended headers: `tarfile` calls itself for each
    cast("type[Exception]", zlib_ng.error),  # its stub says that it is an instance
)
"""What is raised where a layer is not a gzipped tar, or only half of one."""


def gunzip(packed: BinaryIO) -> BinaryIO:
    """The bytes within; the caller closes both."""
    plain = gzip_ng.GzipNGFile(fileobj=packed, mode="rb")  # type: ignore[no-untyped-call] # no stub
    return cast("BinaryIO", plain)
