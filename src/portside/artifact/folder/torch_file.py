"""What a file of torch's or a pickle is, told by its first bytes and its table of contents.

    zip with */constants.pkl    TorchScript: read by an unpickler that knows tensors only
    zip with */data.pkl         what `torch.save` wrote: a pickle
    0x80, protocol              a pickle as such, among them torch's files of before 2020

Nothing is unpickled here, nor by anything else without `allow_pickle`.
"""

from __future__ import annotations

import zipfile
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from portside.errors import BuildError

if TYPE_CHECKING:
    from pathlib import Path

_ZIP: Final = b"PK\x03\x04"
_PICKLES: Final = tuple(bytes([0x80, protocol]) for protocol in range(2, 6))
"""How protocols 2 to 5 begin, https://docs.python.org/3/library/pickletools.html."""


class TorchFile(StrEnum):
    """What a file turns out to be."""

    TORCH_SCRIPT = "TorchScript"
    PICKLE = "pickle"
    OTHER = "other"


def read_kind(path: Path) -> TorchFile:
    """What the file `path` is; raises `BuildError` for a zip that is cut off."""
    with path.open("rb") as file:
        start = file.read(len(_ZIP))
    if start.startswith(_PICKLES):
        return TorchFile.PICKLE
    if start != _ZIP:
        return TorchFile.OTHER
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name.rpartition("/")[2] for name in archive.namelist()}
    except (zipfile.BadZipFile, OSError) as error:
        raise BuildError(
            f"cannot read `{path}`: it is truncated: {error}",
            hint="copy or download the file again, and compare its size with the original's",
        ) from error
    # `torch.jit.save` writes both.
    if "constants.pkl" in names:
        return TorchFile.TORCH_SCRIPT
    return TorchFile.PICKLE if "data.pkl" in names else TorchFile.OTHER
