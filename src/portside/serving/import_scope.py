"""One model's own modules, kept apart from those of the same name that another one brings.

Every `inference.py` is called `inference`, and so may be what lies beside it.
While a model loads, its folder comes first on `sys.path`; afterwards whatever
was imported from there is forgotten by Python's import system and lives on in
the model's functions alone. So such a function can import no neighbor any more:
imports of a model's own modules belong at the top of its files.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def import_scope(model_dir: Path) -> Iterator[None]:
    """Forget afterwards what was imported from a folder; one at a time in a process."""
    try:
        yield
    finally:
        _forget(model_dir)


def _forget(folder: Path) -> None:
    prefixes = tuple(f"{path}{os.sep}" for path in (folder.absolute(), folder.resolve()))

    def lies_there(path: object) -> bool:
        return isinstance(path, str) and f"{path}{os.sep}".startswith(prefixes)

    for name, module in list(sys.modules.items()):
        if any(lies_there(path) for path in _places(module)):
            del sys.modules[name]
    sys.path[:] = [entry for entry in sys.path if not lies_there(entry)]
    for entry in list(sys.path_importer_cache):
        if lies_there(entry):
            del sys.path_importer_cache[entry]


def _places(module: object) -> Iterator[object]:
    """The file of a module, the folders of a package; looked up without waking lazy modules."""
    names: dict[str, Any] = getattr(module, "__dict__", {})
    yield names.get("__file__")
    try:
        yield from names.get("__path__") or ()
    except TypeError:  # a module may be any object, with anything for a path
        return
