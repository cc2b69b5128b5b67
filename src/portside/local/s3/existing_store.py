"""An object store that was there before us, and stays when we go: `--s3 URL`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import urlsplit

from portside.errors import UsageError
from portside.local.data_folder import Keys
from portside.local.signature.own_key import store_keys


@dataclass(frozen=True, slots=True, kw_only=True)
class ExistingStore:
    """A `Source` of objects that needs no starting; whether it answers is seen when asked."""

    takes_any_host: ClassVar[bool] = False
    address: str
    """Scheme and host, without a path."""
    keys: Keys

    @property
    def state(self) -> str:
        """Where it is, for nothing else is known of it."""
        return f"passed on to {self.address}"

    @property
    def absence(self) -> str:
        """What is said when it does not answer."""
        return f"The object store at {self.address} does not answer."

    async def start(self) -> None:
        """It runs already."""

    async def stop(self) -> None:
        """It goes on without us."""

    async def url(self) -> str:
        """Its address."""
        return self.address


def at(url: str, environment: Mapping[str, str]) -> ExistingStore:
    """The store at a URL, with keys from the environment; raises UsageError without them."""
    try:
        parts = urlsplit(url.rstrip("/"))
        is_address = parts.scheme in {"http", "https"} and bool(parts.hostname)
        more = parts.path or parts.query or parts.fragment or parts.username or parts.port == 0
    except ValueError:  # of brackets, or of the port
        is_address, more = False, ""
    if not is_address or more:
        raise UsageError(
            f"could not use `{url}` as the object store: it is not of the form http://HOST:PORT",
            hint="name it without a path, and its keys in the environment, as in "
            "`--s3 http://127.0.0.1:9000`",
        )
    return ExistingStore(address=url.rstrip("/"), keys=store_keys(environment))
