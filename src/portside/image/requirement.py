"""What is to be installed in an image: the user's requirements, and those of Portside's serving.

`requirements.txt` is taken as it is, of a `pyproject.toml` the project's dependencies, of a
`uv.lock` every version and digest in it.
"""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from portside.archive import digest
from portside.errors import BuildError

SERVE_EXTRA: Final = "serve"

_EXTRA_MARKER: Final = re.compile(r"""extra\s*==\s*['"](?P<name>[^'"]+)['"]""")
_ALWAYS: Final = "python_version >= '3'"

_INCLUDED: Final = re.compile(r"\s*(?:-[rc][\s=]*|--(?:requirement|constraint)[\s=]+)(?P<file>\S+)")


def serving_requirements() -> tuple[str, ...]:
    """What the serving runtime needs, as the installed Portside's own metadata name it."""
    return tuple(
        _EXTRA_MARKER.sub(_ALWAYS, line)
        for line in importlib.metadata.requires("portside") or ()
        if (marker := _EXTRA_MARKER.search(line)) and marker["name"] == SERVE_EXTRA
    )


def digests(requirements: Path) -> Iterator[tuple[str, str]]:
    """Each file that the requirements are read from, with its SHA-256 in hex."""
    waiting = [requirements, *_settings(requirements.parent)]
    seen = set[Path]()
    while waiting:
        file = waiting.pop().resolve()
        if file in seen:
            continue
        seen.add(file)
        yield file.name, _digest(file)
        if file.name == "uv.lock":
            waiting.append(file.with_name("pyproject.toml"))
        elif file.suffix not in {".toml", ".whl"}:
            waiting += _named_in(file)


def _settings(folder: Path) -> Iterator[Path]:
    """Where `uv` finds settings of its own: an index, above all."""
    if (own := folder / "uv.toml").is_file():
        yield own
    project = folder / "pyproject.toml"
    if project.is_file() and b"[tool.uv" in project.read_bytes():
        yield project


def _named_in(file: Path) -> Iterator[Path]:
    """The files that one names: other requirements, and wheels that are there."""
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        found = _INCLUDED.match(line)
        if found and "://" not in found["file"]:
            yield file.parent / found["file"]
        for word in line.split():
            wheel = file.parent / word.removeprefix("file://")
            if word.endswith(".whl") and wheel.is_file():
                yield wheel


def _digest(file: Path) -> str:
    try:
        return digest(file)
    except OSError as error:
        raise BuildError(
            f"cannot read the requirements `{file}`: {error.strerror}",
            hint="name a `requirements.txt`, a `pyproject.toml` or a `uv.lock` that is there",
        ) from error
