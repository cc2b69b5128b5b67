"""NPZ: several numpy arrays by name, in a zip archive."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from portside.serving.codecs import npy
from portside.serving.codecs.media_type import MediaType
from portside.serving.error import (
    BodyTooLargeError,
    InvalidBodyError,
    PredictionFailedError,
    RequestError,
)

if TYPE_CHECKING:
    from portside.serving.codecs.npy import Array

_SUFFIX: Final = ".npy"
_DEFAULT_NAME: Final = "arr_0"
"""What `numpy.savez` calls an array without a name."""

_MAX_BYTES: Final = 256 * 1024 * 1024
"""Unpacked. Ten times the largest body that a real-time endpoint takes."""

_MAX_RATIO: Final = 100
"""Unpacked to packed. Sparse features reach some tens; zeros, as in a zip bomb, about 1000."""

_MAX_RATIO_FROM: Final = 1024 * 1024
"""Less than this, unpacked, does no harm at any ratio."""

_ENCRYPTED: Final = 0x1
"""In the general purpose flags (APPNOTE.TXT, section 4.4.4)."""


def read(body: bytes, _media_type: MediaType) -> dict[str, Array]:
    """The arrays by name."""
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            members = archive.infolist()
            _check(members, size_bytes=len(body))
            return {
                member.filename.removesuffix(_SUFFIX): npy.parse(
                    _unpack(archive, member), what=f"`{member.filename}` in the body"
                )
                for member in members
            }
    except RequestError:
        raise
    # A broken archive makes `zipfile`, `zlib` and `struct` raise all kinds of exceptions.
    except Exception as error:
        raise InvalidBodyError(f"the body is not NPZ: {error}") from error


def _check(members: list[zipfile.ZipInfo], *, size_bytes: int) -> None:
    """All that can be told before a byte is unpacked."""
    unpacked = sum(member.file_size for member in members)
    limit = min(_MAX_BYTES, max(_MAX_RATIO_FROM, size_bytes * _MAX_RATIO))
    if unpacked > limit:
        raise BodyTooLargeError(f"the body unpacks to {unpacked} bytes, and may to {limit}")
    if len({member.filename for member in members}) < len(members):
        raise InvalidBodyError("the body is not NPZ: two arrays have one name")
    for member in members:
        is_deflated = member.compress_type in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
        if not is_deflated or member.flag_bits & _ENCRYPTED:
            raise InvalidBodyError(
                f"cannot unpack `{member.filename}` in the body; use `numpy.savez_compressed`"
            )
        if not member.filename.endswith(_SUFFIX):
            raise InvalidBodyError(
                f"the body is not NPZ: `{member.filename}` in it is no array, `…{_SUFFIX}`"
            )


def _unpack(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    # Without a size `zipfile` would unpack whatever is there, and only then cut it to what the
    # archive announces: see `ZipExtFile._read1`.
    with archive.open(member) as file:
        return file.read(member.file_size)


def write(value: object, _media_type: MediaType) -> bytes:
    """A dict of arrays; a single array is called as `numpy.savez` would."""
    arrays = value if isinstance(value, Mapping) else {_DEFAULT_NAME: value}
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            where = f"`result[{name!r}]`" if arrays is value else "the result"
            # Made by hand, because `writestr` would stamp the time into equal answers.
            member = zipfile.ZipInfo(f"{name}{_SUFFIX}")
            try:
                archive.writestr(member, npy.dump(array, what=where))
            except ValueError as error:
                raise PredictionFailedError(f"cannot write {where} as NPZ: {error}") from error
    return file.getvalue()
