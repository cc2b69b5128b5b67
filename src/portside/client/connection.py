"""How long the way to an API takes: name, TCP and TLS, with a connection of its own."""

from __future__ import annotations

import time
from collections.abc import Callable
from http.client import HTTPConnection, HTTPSConnection
from typing import Final
from urllib.parse import urlsplit

_TIMEOUT_S: Final = 5.0
"""Nobody waits longer for a figure; where a proxy is the only way out it is not to be had."""


def measure_connect_ms(url: str, *, clock: Callable[[], float] = time.monotonic) -> float | None:
    """Milliseconds until a connection stands, which is closed again; None where none came about.

    botocore does not tell how long its own took, so this is another one to the same place.
    """
    parts = urlsplit(url)
    scheme = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = scheme(parts.hostname or "", parts.port, timeout=_TIMEOUT_S)
    began_s = clock()
    try:
        connection.connect()
    except OSError:
        return None
    finally:
        connection.close()
    return (clock() - began_s) * 1000
