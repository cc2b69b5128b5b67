"""Keys that the user brings, in the environment: a command line is for everybody to read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from portside.errors import UsageError
from portside.local.data_folder import Keys

ACCESS_KEY_ID: Final = "PORTSIDE_ACCESS_KEY_ID"
SECRET_ACCESS_KEY: Final = "PORTSIDE_SECRET_ACCESS_KEY"  # noqa: S105  a variable's name
"""The keys that the gateway is to accept, in place of those that it draws."""
S3_ACCESS_KEY_ID: Final = "PORTSIDE_S3_ACCESS_KEY_ID"
S3_SECRET_ACCESS_KEY: Final = "PORTSIDE_S3_SECRET_ACCESS_KEY"  # noqa: S105  a variable's name
"""The keys of the store of `--s3 URL`."""

_MIN_ID: Final = 16
"""Of an access key's id on AWS. API Reference of IAM, AccessKey."""
_MIN_SECRET: Final = 32
"""Ours: what nobody tries out. AWS's own have 40 characters."""
_ID: Final = re.compile(r"[A-Za-z0-9_]{1,128}")
"""The characters of ids on AWS; a slash would end the id in a credential scope."""
_SECRET: Final = re.compile(r"[!-~]+")


def gateway_keys(environment: Mapping[str, str]) -> Keys | None:
    """The gateway's keys, where the user chose them; raises UsageError for weak ones."""
    names = (ACCESS_KEY_ID, SECRET_ACCESS_KEY)
    if not any(environment.get(name) for name in names):
        return None
    keys = _read(environment, *names)
    for name, value, least in zip(
        names, (keys.access_key_id, keys.secret_access_key), (_MIN_ID, _MIN_SECRET), strict=True
    ):
        if len(value) < least:
            raise UsageError(
                f"could not use the key in `{name}`: "
                f"it has {len(value)} characters, and {least} are the least",
                hint="draw one: `openssl rand -hex 20`",
            )
    return keys


def store_keys(environment: Mapping[str, str]) -> Keys:
    """The keys of an object store that is there already; raises UsageError without them."""
    return _read(environment, S3_ACCESS_KEY_ID, S3_SECRET_ACCESS_KEY)


def _read(environment: Mapping[str, str], id_name: str, secret_name: str) -> Keys:
    for name, pattern in ((id_name, _ID), (secret_name, _SECRET)):
        value = environment.get(name, "")
        if not value:
            raise UsageError(
                f"could not use keys of your own: `{name}` is not set",
                hint=f"set both `{id_name}` and `{secret_name}` in the environment",
            )
        if not pattern.fullmatch(value):
            raise UsageError(
                f"could not use the key in `{name}`: it has characters that no key of AWS has",
                hint=f"set `{name}` to letters and digits",
            )
    return Keys(access_key_id=environment[id_name], secret_access_key=environment[secret_name])
