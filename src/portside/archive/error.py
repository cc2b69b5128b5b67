"""The one error of this part."""

from __future__ import annotations

from portside.errors import BuildError


class ArchiveError(BuildError):
    """An archive cannot be read, is refused, or cannot be written."""
