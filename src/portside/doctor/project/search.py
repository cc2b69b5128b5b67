"""Search a project's folders for what its code could mean by an import."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from portside.doctor.project.fact import LocalModule, Place
from portside.doctor.project.file import shown

_MOST_FOLDERS: Final = 200
"""That are searched; code lies near the top."""

_OF_OTHERS: Final = frozenset({"node_modules", "site-packages", "build", "dist"})


def local_modules(
    handler: Path, *, root: Path, folder: Path, model: Path | None
) -> dict[str, LocalModule]:
    """What has a name to import below `root`, and is not the model's; the nearest of each name."""
    found: dict[str, LocalModule] = {}
    for path in _python_paths(root, without=model):
        is_folder = path.suffix != ".py"
        is_plain = is_folder and not (path / "__init__.py").is_file()
        is_beside = path.parent == handler.parent
        module = LocalModule(
            where=shown(path, root, folder),
            place=Place.PLAIN_FOLDER if is_plain and is_beside else Place.ELSEWHERE,
        )
        found.setdefault(path.stem, module)
    return found


def _python_paths(root: Path, *, without: Path | None) -> Iterator[Path]:
    """Python files below a folder, and the folders that have some; the nearest first."""
    waiting, looked_at = [root], 0
    while waiting and looked_at < _MOST_FOLDERS:
        folder = waiting.pop(0)
        looked_at += 1
        try:
            with os.scandir(folder) as listed:
                entries = sorted(listed, key=lambda entry: entry.name)
        except OSError:
            continue
        files = [Path(entry) for entry in entries if entry.name.endswith(".py")]
        if files and folder != root:
            yield folder
        yield from (path for path in files if path.stem != "__init__" and path.is_file())
        waiting += [
            Path(entry) for entry in entries if _is_searched(entry) and Path(entry) != without
        ]


def _is_searched(entry: os.DirEntry[str]) -> bool:
    is_others = entry.name.startswith((".", "__")) or entry.name in _OF_OTHERS
    is_folder = not is_others and entry.is_dir(follow_symlinks=False)
    return is_folder and not Path(entry, "pyvenv.cfg").exists()
