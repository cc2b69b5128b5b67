"""Removal that stops nobody: what cannot be removed is left, and said in the log.

Folders are filled by models, archives and whoever holds the data folder, and may be
too deep for `shutil.rmtree` (which calls itself for each level) or not ours to remove.
"""

from __future__ import annotations

import logging
import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_log = logging.getLogger(__name__)


def remove(path: Path) -> None:
    """Remove a file, or a folder with all in it; nothing where there is neither."""
    try:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except (OSError, RecursionError) as error:
        _log.warning("could not remove %s: %s", path, error)
