"""Layers: which repository may give away which blob."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from portside.local.state.database import column, transaction, writing

if TYPE_CHECKING:
    import sqlite3


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A blob that a repository has; its size in bytes."""

    digest: str
    size: int


class LayerTable:
    """Layers, by repository and digest. What writes raises `StateFileError`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def find(self, repository: str, digest: str) -> Layer | None:
        """The layer, where this repository has it."""
        row = self._connection.execute(
            "SELECT size FROM layer WHERE repository = ? AND digest = ?", (repository, digest)
        ).fetchone()
        return None if row is None else Layer(digest=digest, size=row[0])

    def add(self, repository: str, layer: Layer, *, now_ms: int, upload: str | None = None) -> None:
        """Note that a repository has a layer; the upload that brought it is over."""
        with transaction(self._connection):
            self._connection.execute(
                "INSERT OR REPLACE INTO layer VALUES (?, ?, ?, ?)",
                (repository, layer.digest, layer.size, now_ms),
            )
            self._connection.execute("DELETE FROM upload WHERE id = ?", (upload,))

    def is_needed(self, digest: str) -> bool:
        """Whether any repository has this layer."""
        found = self._connection.execute("SELECT 1 FROM layer WHERE digest = ? LIMIT 1", (digest,))
        return found.fetchone() is not None

    def digests(self) -> set[str]:
        """Of all layers of all repositories."""
        return set(column(self._connection, "SELECT DISTINCT digest FROM layer"))

    def remove_idle(self, *, before_ms: int) -> None:
        """Forget layers that no image names, and that came before then."""
        with writing():
            self._connection.execute(
                "DELETE FROM layer WHERE received_ms < ? AND NOT EXISTS (SELECT 1 FROM image_part"
                " AS part WHERE part.repository = layer.repository AND part.digest = layer.digest)",
                (before_ms,),
            )
