"""A request in the one spelling that both ends of AWS Signature Version 4 agree on.

What a client signs are bytes, so text is turned back into them as it was read, in
Latin-1. Nothing raises: a character that no wire can have carried becomes `?`.
Source: AWS General Reference, "Create a canonical request".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from portside.local.protocol.message import Request

_BUCKET_IN_HOST: Final = re.compile(r"(?P<bucket>.+)\.(?P<host>localhost(?::[0-9]+)?)")
"""For clients that ask for http://bucket.localhost:PORT."""


def canonical_request(
    request: Request, signed_headers: Sequence[str], *, body_hash: str, s3: bool
) -> bytes:
    """What is digested and signed; `s3` for that service, whose paths are taken as they are."""
    headers = [f"{name}:{_value(request, name)}\n" for name in signed_headers]
    lines = [
        request.method,
        canonical_path(request.path, s3=s3),
        canonical_query(request.query),
        "".join(headers),
        ";".join(signed_headers),
        body_hash,
    ]
    return _wire("\n".join(lines))


def canonical_path(path: str, *, s3: bool) -> str:
    """S3 keys keep their slashes and dots; all other services sign a tidied path, encoded twice."""
    if s3:
        return "/".join(_encode(part) for part in path.split("/"))
    segments: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            segments = segments[:-1]
        elif segment not in {"", "."}:
            segments.append(segment)
    tidied = "/" + "/".join(segments)
    if path.endswith("/") and segments:
        tidied += "/"
    return quote(_wire(tidied), safe="/~")


def canonical_query(query: str) -> str:
    """The query sorted, without the signature that may be in it."""
    pairs = [
        (_encode(name), _encode(value))
        for name, value in _split(query)
        if name != "X-Amz-Signature"
    ]
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def query_pairs(query: str) -> list[tuple[str, str]]:
    """Names and values of a query, decoded."""
    return [(_decode(name), _decode(value)) for name, value in _split(query)]


def split_bucket(request: Request) -> tuple[str, str]:
    """Host and path of a request of S3, its bucket in the path even where the host named it."""
    host = request.header("host") or ""
    named = _BUCKET_IN_HOST.fullmatch(host)
    return (named["host"], f"/{named['bucket']}{request.path}") if named else (host, request.path)


def _value(request: Request, name: str) -> str:
    return ",".join(" ".join(value.split()) for key, value in request.headers if key == name)


def _split(query: str) -> list[tuple[str, str]]:
    return [(name, value) for name, _, value in (p.partition("=") for p in query.split("&") if p)]


def _encode(text: str) -> str:
    """Percent-encoded in AWS's one spelling, however it was encoded before."""
    return quote(unquote_to_bytes(_wire(text)), safe="~")


def _decode(text: str) -> str:
    return unquote_to_bytes(_wire(text)).decode(errors="replace")


def _wire(text: str) -> bytes:
    return text.encode("latin-1", "replace")
