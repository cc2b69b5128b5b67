"""Uploads: how far each blob on its way has come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from portside.local.state.database import writing

if TYPE_CHECKING:
    import sqlite3


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A blob on its way; `size` bytes of it were acknowledged."""

    id: str
    repository: str
    size: int = 0
    last_part_size: int = 0
    has_short_part: bool = False
    """Whether a part before the last one is shorter than ECR wants them."""


class UploadTable:
    """Uploads, by id. What writes raises `StateFileError`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def save(self, upload: Upload, *, now_ms: int) -> None:
        """Keep how far an upload has come; one of a repository that went meanwhile is dropped."""
        with writing():
            self._connection.execute(
                "INSERT OR REPLACE INTO upload SELECT ?, name, ?, ?, ?, ? FROM repository"
                " WHERE name = ?",
                (
                    upload.id,
                    upload.size,
                    upload.last_part_size,
                    upload.has_short_part,
                    now_ms,
                    upload.repository,
                ),
            )

    def find(self, upload_id: str, *, repository: str) -> Upload | None:
        """An upload to this repository."""
        row = self._connection.execute(
            "SELECT size, last_part_size, has_short_part FROM upload"
            " WHERE id = ? AND repository = ?",
            (upload_id, repository),
        ).fetchone()
        if row is None:
            return None
        size, last_part_size, has_short_part = row
        return Upload(
            id=upload_id,
            repository=repository,
            size=size,
            last_part_size=last_part_size,
            has_short_part=bool(has_short_part),
        )

    def remove(self, upload_id: str) -> None:
        """Forget an upload."""
        with writing():
            self._connection.execute("DELETE FROM upload WHERE id = ?", (upload_id,))

    def progress(self) -> dict[str, tuple[int, int]]:
        """The size and the time of the last change in milliseconds of every upload."""
        rows = self._connection.execute("SELECT id, size, changed_ms FROM upload")
        return {upload_id: (size, changed_ms) for upload_id, size, changed_ms in rows}
