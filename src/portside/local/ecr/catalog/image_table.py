"""Images: their manifests, the parts that these name, and the tags that name them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from portside.local.state.database import column, transaction, writing

if TYPE_CHECKING:
    import sqlite3

_IMAGE: Final = "digest, media_type, manifest, size, artifact_type, pushed_ms"


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A manifest as it was pushed; `size` is what its config and layers have together."""

    digest: str
    media_type: str
    manifest: bytes
    size: int
    artifact_type: str | None
    pushed_ms: int


class ImageTable:
    """Images, by repository and digest. What writes raises `StateFileError`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def add(self, repository: str, image: Image, *, parts: frozenset[str], tag: str | None) -> None:
        """Keep an image, and let a tag name it from now on."""
        with transaction(self._connection):
            added = self._connection.execute(
                "INSERT OR IGNORE INTO image VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    repository,
                    image.digest,
                    image.media_type,
                    image.manifest,
                    image.size,
                    image.artifact_type,
                    image.pushed_ms,
                ),
            )
            if added.rowcount:
                self._connection.executemany(
                    "INSERT INTO image_part VALUES (?, ?, ?)",
                    [(repository, image.digest, part) for part in parts],
                )
            if tag is not None:
                self._connection.execute(
                    "INSERT OR REPLACE INTO image_tag VALUES (?, ?, ?)",
                    (repository, tag, image.digest),
                )

    def find(self, repository: str, digest: str) -> Image | None:
        """The image with this digest."""
        row = self._connection.execute(
            f"SELECT {_IMAGE} FROM image WHERE repository = ? AND digest = ?",  # noqa: S608  a constant
            (repository, digest),
        ).fetchone()
        return None if row is None else _image(row)

    def tagged(self, repository: str, tag: str) -> str | None:
        """The digest of the image that a tag names."""
        row = self._connection.execute(
            "SELECT image FROM image_tag WHERE repository = ? AND tag = ?", (repository, tag)
        ).fetchone()
        return None if row is None else str(row[0])

    def tags_of(self, repository: str, digest: str) -> list[str]:
        """The tags that name an image."""
        return column(
            self._connection,
            "SELECT tag FROM image_tag WHERE repository = ? AND image = ? ORDER BY tag",
            repository,
            digest,
        )

    def tag_page(self, repository: str, *, after: str, limit: int) -> list[str]:
        """The tags of a repository that come after one, in order."""
        return column(
            self._connection,
            "SELECT tag FROM image_tag WHERE repository = ? AND tag > ? ORDER BY tag LIMIT ?",
            repository,
            after,
            limit,
        )

    def page(
        self, repository: str, *, after: str, limit: int, is_tagged: bool | None = None
    ) -> list[Image]:
        """Those whose digests come after one, in order."""
        rows = self._connection.execute(
            f"SELECT {_IMAGE} FROM image WHERE repository = ?1 AND digest > ?2"  # noqa: S608  a constant
            " AND (?3 IS NULL OR ?3 = EXISTS (SELECT 1 FROM image_tag"
            " WHERE repository = ?1 AND image = digest)) ORDER BY digest LIMIT ?4",
            (repository, after, is_tagged, limit),
        )
        return [_image(row) for row in rows]

    def id_page(
        self, repository: str, *, after: str, limit: int, is_tagged: bool | None = None
    ) -> list[tuple[str, str]]:
        """Digest and tag, for every tag of every image; an empty tag for an image without.

        In the order of both with a space between, after one of these.
        """
        rows = self._connection.execute(
            "SELECT digest, ifnull(tag, '') AS name FROM image LEFT JOIN image_tag AS named"
            " ON named.repository = image.repository AND named.image = image.digest"
            " WHERE image.repository = ?1 AND digest || ' ' || name > ?2"
            " AND (?3 IS NULL OR ?3 = (name != '')) ORDER BY digest, name LIMIT ?4",
            (repository, after, is_tagged, limit),
        )
        return rows.fetchall()

    def has_any(self, repository: str) -> bool:
        """Whether there is any image."""
        return bool(self.page(repository, after="", limit=1))

    def holders(self, repository: str, digest: str) -> list[str]:
        """The digests of the images whose manifests name this one."""
        return column(
            self._connection,
            "SELECT image FROM image_part WHERE repository = ? AND digest = ?",
            repository,
            digest,
        )

    def remove_tag(self, repository: str, tag: str) -> None:
        """Forget a tag; the image stays."""
        with writing():
            self._connection.execute(
                "DELETE FROM image_tag WHERE repository = ? AND tag = ?", (repository, tag)
            )

    def remove(self, repository: str, digest: str) -> list[str]:
        """Forget an image with its tags, and the layers that no other image of the repository has.

        Returns the digests of those layers.
        """
        orphans = column(
            self._connection,
            "SELECT digest FROM image_part AS mine WHERE repository = ?1 AND image = ?2"
            " AND NOT EXISTS (SELECT 1 FROM image_part AS other WHERE other.repository = ?1"
            " AND other.digest = mine.digest AND other.image != ?2)",
            repository,
            digest,
        )
        with transaction(self._connection):
            self._connection.executemany(
                "DELETE FROM layer WHERE repository = ? AND digest = ?",
                [(repository, orphan) for orphan in orphans],
            )
            self._connection.execute(
                "DELETE FROM image WHERE repository = ? AND digest = ?", (repository, digest)
            )
        return orphans


def _image(row: tuple[Any, ...]) -> Image:
    digest, media_type, manifest, size, artifact_type, pushed_ms = row
    return Image(
        digest=digest,
        media_type=media_type,
        manifest=manifest,
        size=size,
        artifact_type=artifact_type,
        pushed_ms=pushed_ms,
    )
