"""The local ECR put together: a folder becomes a registry with its operations and its `/v2/`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from portside.errors import PortsideError
from portside.local.ecr import services
from portside.local.ecr.blob_store import BlobStore
from portside.local.ecr.catalog.catalog import Catalog
from portside.local.ecr.distribution.distribution import Distribution
from portside.local.ecr.distribution.distribution_blob import Blobs
from portside.local.ecr.distribution.distribution_manifest import Manifests
from portside.local.ecr.image import Images
from portside.local.ecr.image_store import ImageStore
from portside.local.ecr.login import Login
from portside.local.ecr.lookup import Lookup
from portside.local.ecr.refusal import Words
from portside.local.ecr.sweep import sweep
from portside.local.ecr.upload import Uploads

if TYPE_CHECKING:
    from pathlib import Path

    from portside.local.clock import Clock
    from portside.local.data_folder import Keys


class EcrRegistry:
    """The registry of one account and region; `address` is its host and port."""

    def __init__(
        self,
        catalog: Catalog,
        blobs: BlobStore,
        *,
        keys: Keys,
        account: str,
        region: str,
        address: str,
        clock: Clock,
    ) -> None:
        self._catalog = catalog
        self._login = login = Login(keys, clock=clock)
        words = Words(account=account)
        lookup = Lookup(catalog.repositories, words=words)
        self.uploads = uploads = Uploads(catalog, blobs, words=words, clock=clock)
        """Blobs on their way in."""
        images = Images(catalog, blobs, words=words, clock=clock)
        self.images = ImageStore(
            catalog.images, blobs, account=account, region=region, address=address
        )
        """Finds images by name."""
        self.distribution = Distribution(
            catalog,
            manifests=Manifests(images),
            blobs=Blobs(catalog, blobs, uploads=uploads, clock=clock),
            lookup=lookup,
            login=login,
            address=address,
        )
        """Answers `/v2/`."""
        self.operations = services.operations(
            catalog,
            blobs,
            images=images,
            uploads=uploads,
            login=login,
            lookup=lookup,
            words=words,
            clock=clock,
            address=address,
        )
        """By the names that botocore has for ECR's operations."""

    @classmethod
    def open(
        cls, folder: Path, *, keys: Keys, account: str, region: str, address: str, clock: Clock
    ) -> Self:
        """The registry in a folder, made as needed; raises PortsideError."""
        try:
            blobs = BlobStore(folder)
            catalog = Catalog.open(folder / "index.sqlite3")
            sweep(catalog, blobs, now_ms=clock.now_ms())
        except OSError as error:
            raise PortsideError(
                f"could not use `{folder}` for images: {error.strerror}",
                hint="mend it, or name another folder with `--data DIR`",
            ) from error
        return cls(
            catalog,
            blobs,
            keys=keys,
            account=account,
            region=region,
            address=address,
            clock=clock,
        )

    def password(self) -> str:
        """One that is good under `/v2/` for half a day."""
        return self._login.password()[0]

    def close(self) -> None:
        """Close the index."""
        self._catalog.close()
