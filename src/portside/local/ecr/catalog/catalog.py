"""What the registry knows, in one SQLite file: repositories, layers, images, tags, uploads.

    repository ─┬─ layer        a blob that this repository may give away
                ├─ image ─┬─ image_part   what its manifest names: config, layers, other images
                │         └─ image_tag
                └─ upload       a blob on its way: how much of it has been acknowledged

The bytes of manifests stand here, those of layers in files. Every method of a table is a
finished transaction, and all come from the event loop's thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from portside.local.ecr.catalog.image_table import ImageTable
from portside.local.ecr.catalog.layer_table import LayerTable
from portside.local.ecr.catalog.repository_table import RepositoryTable
from portside.local.ecr.catalog.schema import MIGRATIONS
from portside.local.ecr.catalog.upload_table import UploadTable
from portside.local.state.database import open_database

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path


class Catalog:
    """The tables of the registry's index."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.repositories = RepositoryTable(connection)
        self.layers = LayerTable(connection)
        self.uploads = UploadTable(connection)
        self.images = ImageTable(connection)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the file, made or brought up to date as needed; raises PortsideError."""
        return cls(open_database(path, migrations=MIGRATIONS))

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
