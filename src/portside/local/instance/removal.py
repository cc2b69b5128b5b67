"""Removal that stops nobody: what cannot be removed is left, and said in the log.

Folders are filled by models, archives and whoever holds the data folder, and may be
too deep for `shutil.rmtree` (which calls itself for each level) or not ours to remove.
"""

from __future__ import annotations

import logging
import os
import shutil
from contextlib import suppress
from pathlib import Path

_log = logging.getLogger(__name__)


def remove(path: Path) -> None:
    """Remove a file, or a folder with all in it; nothing where there is neither."""
    try:
        if path.is_dir():
            _remove_tree(path)
        else:
            path.unlink(missing_ok=True)
    except (OSError, RecursionError) as error:
        _log.warning("could not remove %s: %s", path, error)


def _remove_tree(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except PermissionError:  # an instance, or overlayfs for it, has closed folders of ours
        for place, names, _ in os.walk(folder):
            for name in names:
                path = Path(place, name)
                with suppress(OSError):
                    if not path.is_symlink():
                        path.chmod(0o700)
        shutil.rmtree(folder)
