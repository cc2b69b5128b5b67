"""A JSON file of a checkpoint, read as the object that it has to be."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from portside.errors import BuildError

if TYPE_CHECKING:
    from pathlib import Path

_HINT = "copy the file again from where the model was trained"


def read_object(path: Path) -> dict[str, Any]:
    """The object in the JSON file `path`; raises `BuildError`."""
    try:
        value = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise BuildError(f"cannot read `{path}`: {error.strerror}") from error
    # Deep nesting ends in a RecursionError.
    except (ValueError, RecursionError) as error:
        raise BuildError(f"cannot read `{path}`: it is not JSON: {error}", hint=_HINT) from error
    if not isinstance(value, dict):
        raise BuildError(f"cannot read `{path}`: it is not a JSON object", hint=_HINT)
    return value
