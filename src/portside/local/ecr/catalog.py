"""What the registry knows, in one SQLite file: repositories, layers, images, tags, uploads.

    repository ─┬─ layer        a blob that this repository may give away
                ├─ image ─┬─ image_part   what its manifest names: config, layers, other images
                │         └─ image_tag
                └─ upload       a blob on its way: how much of it has been acknowledged

The bytes of manifests stand here, those of layers in files. Every method is a finished
transaction, as in `state.store`, and all come from the event loop's thread.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

from portside.local.ecr.schema import MIGRATIONS
from portside.local.state.store import open_database, transaction, writing

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping
    from pathlib import Path

_IMAGE: Final = "digest, media_type, manifest, size, artifact_type, pushed_ms"


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A repository; `settings` are members of botocore's `Repository`, told as they were given."""

    name: str
    created_ms: int
    settings: dict[str, Any] = field(default_factory=dict)
    lifecycle_policy: str | None = None
    policy: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A blob that a repository has; its size in bytes."""

    digest: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A manifest as it was pushed; `size` is what its config and layers have together."""

    digest: str
    media_type: str
    manifest: bytes
    size: int
    artifact_type: str | None
    pushed_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A blob on its way; `size` bytes of it were acknowledged."""

    id: str
    repository: str
    size: int = 0
    last_part_size: int = 0
    has_short_part: bool = False
    """Whether a part before the last one is shorter than ECR wants them."""


class Catalog:
    """The rows, by repository and digest. What writes raises `StateFileError`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the file, made or brought up to date as needed; raises PortsideError."""
        return cls(open_database(path, migrations=MIGRATIONS))

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    # --- Repositories --------------------------------------------------------

    def add_repository(self, repository: Repository, *, tags: Mapping[str, str]) -> bool:
        """Keep a new repository; False where its name is taken."""
        if self.repository(repository.name) is not None:
            return False
        with transaction(self._connection):
            self._connection.execute(
                "INSERT INTO repository VALUES (?, ?, ?, NULL, NULL)",
                (repository.name, repository.created_ms, json.dumps(repository.settings)),
            )
            self._write_tags(repository.name, tags)
        return True

    def repository(self, name: str) -> Repository | None:
        """The repository of this name."""
        row = self._connection.execute(
            "SELECT * FROM repository WHERE name = ?", (name,)
        ).fetchone()
        return None if row is None else _repository(row)

    def repositories(self, *, after: str, limit: int) -> list[Repository]:
        """Those whose names come after one, in order."""
        rows = self._connection.execute(
            "SELECT * FROM repository WHERE name > ? ORDER BY name LIMIT ?", (after, limit)
        )
        return [_repository(row) for row in rows]

    def save_repository(self, repository: Repository) -> None:
        """Overwrite what is kept of a repository."""
        with writing():
            self._connection.execute(
                "UPDATE repository SET settings = ?, lifecycle_policy = ?, policy = ?"
                " WHERE name = ?",
                (
                    json.dumps(repository.settings),
                    repository.lifecycle_policy,
                    repository.policy,
                    repository.name,
                ),
            )

    def remove_repository(self, name: str) -> tuple[list[str], list[str]]:
        """Forget a repository with all in it; the digests that it had, and its uploads."""
        digests = self._column("SELECT digest FROM layer WHERE repository = ?", name)
        uploads = self._column("SELECT id FROM upload WHERE repository = ?", name)
        with writing():
            self._connection.execute("DELETE FROM repository WHERE name = ?", (name,))
        return digests, uploads

    def repository_tags(self, name: str) -> dict[str, str]:
        """The tags of a repository itself, by key."""
        rows = self._connection.execute(
            "SELECT key, value FROM repository_tag WHERE repository = ? ORDER BY key", (name,)
        )
        return dict(rows.fetchall())

    def add_repository_tags(self, name: str, tags: Mapping[str, str]) -> None:
        """Give a repository tags; a key that it has already takes the new value."""
        with transaction(self._connection):
            self._write_tags(name, tags)

    def remove_repository_tags(self, name: str, keys: list[str]) -> None:
        """Take tags from a repository; keys that it has not are passed over."""
        with transaction(self._connection):
            self._connection.executemany(
                "DELETE FROM repository_tag WHERE repository = ? AND key = ?",
                [(name, key) for key in keys],
            )

    def _write_tags(self, name: str, tags: Mapping[str, str]) -> None:
        self._connection.executemany(
            "INSERT OR REPLACE INTO repository_tag VALUES (?, ?, ?)",
            [(name, key, value) for key, value in tags.items()],
        )

    # --- Layers and uploads --------------------------------------------------

    def layer(self, repository: str, digest: str) -> Layer | None:
        """The layer, where this repository has it."""
        row = self._connection.execute(
            "SELECT size FROM layer WHERE repository = ? AND digest = ?", (repository, digest)
        ).fetchone()
        return None if row is None else Layer(digest=digest, size=row[0])

    def add_layer(
        self, repository: str, layer: Layer, *, now_ms: int, upload: str | None = None
    ) -> None:
        """Note that a repository has a layer; the upload that brought it is over."""
        with transaction(self._connection):
            self._connection.execute(
                "INSERT OR REPLACE INTO layer VALUES (?, ?, ?, ?)",
                (repository, layer.digest, layer.size, now_ms),
            )
            self._connection.execute("DELETE FROM upload WHERE id = ?", (upload,))

    def needs(self, digest: str) -> bool:
        """Whether any repository has this layer."""
        found = self._connection.execute("SELECT 1 FROM layer WHERE digest = ? LIMIT 1", (digest,))
        return found.fetchone() is not None

    def digests(self) -> set[str]:
        """Of all layers of all repositories."""
        return set(self._column("SELECT DISTINCT digest FROM layer"))

    def remove_idle_layers(self, *, before_ms: int) -> None:
        """Forget layers that no image names, and that came before then."""
        with writing():
            self._connection.execute(
                "DELETE FROM layer WHERE received_ms < ? AND NOT EXISTS (SELECT 1 FROM image_part"
                " AS part WHERE part.repository = layer.repository AND part.digest = layer.digest)",
                (before_ms,),
            )

    def save_upload(self, upload: Upload, *, now_ms: int) -> None:
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

    def upload(self, upload_id: str, *, repository: str) -> Upload | None:
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

    def remove_upload(self, upload_id: str) -> None:
        """Forget an upload."""
        with writing():
            self._connection.execute("DELETE FROM upload WHERE id = ?", (upload_id,))

    def uploads(self) -> dict[str, tuple[int, int]]:
        """The size and the time of the last change in milliseconds of every upload."""
        rows = self._connection.execute("SELECT id, size, changed_ms FROM upload")
        return {upload_id: (size, changed_ms) for upload_id, size, changed_ms in rows}

    # --- Images --------------------------------------------------------------

    def add_image(
        self, repository: str, image: Image, *, parts: frozenset[str], tag: str | None
    ) -> None:
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

    def image(self, repository: str, digest: str) -> Image | None:
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

    def image_tags(self, repository: str, digest: str) -> list[str]:
        """The tags that name an image."""
        return self._column(
            "SELECT tag FROM image_tag WHERE repository = ? AND image = ? ORDER BY tag",
            repository,
            digest,
        )

    def tags(self, repository: str, *, after: str, limit: int) -> list[str]:
        """The tags of a repository that come after one, in order."""
        return self._column(
            "SELECT tag FROM image_tag WHERE repository = ? AND tag > ? ORDER BY tag LIMIT ?",
            repository,
            after,
            limit,
        )

    def images(
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

    def image_ids(
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

    def has_images(self, repository: str) -> bool:
        """Whether there is any image."""
        return bool(self.images(repository, after="", limit=1))

    def holders(self, repository: str, digest: str) -> list[str]:
        """The digests of the images whose manifests name this one."""
        return self._column(
            "SELECT image FROM image_part WHERE repository = ? AND digest = ?", repository, digest
        )

    def remove_image_tag(self, repository: str, tag: str) -> None:
        """Forget a tag; the image stays."""
        with writing():
            self._connection.execute(
                "DELETE FROM image_tag WHERE repository = ? AND tag = ?", (repository, tag)
            )

    def remove_image(self, repository: str, digest: str) -> list[str]:
        """Forget an image with its tags, and the layers that no other image of the repository has.

        Returns the digests of those layers.
        """
        orphans = self._column(
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

    def _column(self, sql: str, *values: str | int) -> list[str]:
        return [row[0] for row in self._connection.execute(sql, values)]


def _repository(row: tuple[Any, ...]) -> Repository:
    name, created_ms, settings, lifecycle_policy, policy = row
    return Repository(
        name=name,
        created_ms=created_ms,
        settings=json.loads(settings),
        lifecycle_policy=lifecycle_policy,
        policy=policy,
    )


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
