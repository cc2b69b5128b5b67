"""Which tags a resource gets and loses, and which are others' (pure).

A cost tool, or somebody by hand, may tag what Portside made. Such tags stay: what goes is what an
earlier config had set, which a tag of its own keeps, written in the same call as they are.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Final

from portside.deploy.desired.resources import TAG_KEYS, TAG_VERIFIED

_DIGITS: Final = 6
"""Characters of a key's digest, 36 bits: as many as let those of the 40 tags that a config may set
fit a tag's value (`contract.TAG_VALUE_LENGTH`)."""

_OWN: Final = "portside:"


def recorded(tags: Mapping[str, str]) -> dict[str, str]:
    """A config's tags, with the one that keeps which they are."""
    digests = "".join(_digest(key) for key in sorted(tags))
    return {**tags, **({TAG_KEYS: digests} if digests else {})}


def added(wanted: Mapping[str, str], now: Mapping[str, str]) -> dict[str, str]:
    """The tags that are new, or have another value."""
    return {key: value for key, value in wanted.items() if now.get(key) != value}


def removed(wanted: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """The keys of those that are no longer wanted and were set by Portside, or by its config.

    Which config an endpoint was verified with is nobody's wish, and stays.
    """
    record = now.get(TAG_KEYS, "")
    known = {record[first : first + _DIGITS] for first in range(0, len(record), _DIGITS)}
    return sorted(
        key
        for key in now
        if key not in wanted
        and key != TAG_VERIFIED
        and (key.startswith(_OWN) or _digest(key) in known)
    )


def _digest(key: str) -> str:
    """In letters, digits, `-` and `_`, all of which a tag's value may have."""
    return base64.urlsafe_b64encode(hashlib.sha256(key.encode()).digest())[:_DIGITS].decode()
