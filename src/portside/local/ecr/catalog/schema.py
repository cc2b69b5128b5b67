"""The layout of the registry's index, and the steps from each of its earlier layouts."""

from __future__ import annotations

from typing import Final

_FIRST: Final = """
    CREATE TABLE repository (
        name TEXT PRIMARY KEY,
        created_ms INTEGER NOT NULL,
        settings TEXT NOT NULL,
        lifecycle_policy TEXT,
        policy TEXT
    ) WITHOUT ROWID;
    CREATE TABLE repository_tag (
        repository TEXT NOT NULL REFERENCES repository (name) ON DELETE CASCADE,
        key TEXT NOT NULL,
        value TEXT NOT NULL,
        PRIMARY KEY (repository, key)
    ) WITHOUT ROWID;
    CREATE TABLE layer (
        repository TEXT NOT NULL REFERENCES repository (name) ON DELETE CASCADE,
        digest TEXT NOT NULL,
        size INTEGER NOT NULL,
        received_ms INTEGER NOT NULL,
        PRIMARY KEY (repository, digest)
    ) WITHOUT ROWID;
    CREATE INDEX layer_by_digest ON layer (digest);
    CREATE TABLE image (
        repository TEXT NOT NULL REFERENCES repository (name) ON DELETE CASCADE,
        digest TEXT NOT NULL,
        media_type TEXT NOT NULL,
        manifest BLOB NOT NULL,
        size INTEGER NOT NULL,
        artifact_type TEXT,
        pushed_ms INTEGER NOT NULL,
        PRIMARY KEY (repository, digest)
    );
    CREATE TABLE image_part (
        repository TEXT NOT NULL,
        image TEXT NOT NULL,
        digest TEXT NOT NULL,
        PRIMARY KEY (repository, image, digest),
        FOREIGN KEY (repository, image) REFERENCES image (repository, digest) ON DELETE CASCADE
    ) WITHOUT ROWID;
    CREATE INDEX image_part_by_digest ON image_part (repository, digest);
    CREATE TABLE image_tag (
        repository TEXT NOT NULL,
        tag TEXT NOT NULL,
        image TEXT NOT NULL,
        PRIMARY KEY (repository, tag),
        FOREIGN KEY (repository, image) REFERENCES image (repository, digest) ON DELETE CASCADE
    ) WITHOUT ROWID;
    CREATE INDEX image_tag_by_image ON image_tag (repository, image);
    CREATE TABLE upload (
        id TEXT PRIMARY KEY,
        repository TEXT NOT NULL REFERENCES repository (name) ON DELETE CASCADE,
        size INTEGER NOT NULL,
        last_part_size INTEGER NOT NULL,
        has_short_part INTEGER NOT NULL,
        changed_ms INTEGER NOT NULL
    ) WITHOUT ROWID;
"""

MIGRATIONS: Final[tuple[tuple[int, str], ...]] = ((1, _FIRST),)
"""What made the file what it is, oldest first. Never edited: a change is a new line."""
