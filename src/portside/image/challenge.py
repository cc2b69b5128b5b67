"""What a registry asks for with a 401, and the token that answers it.

    WWW-Authenticate: Basic realm="…"                                    user and password
    WWW-Authenticate: Bearer realm="URL",service="…",scope="…"           a token from that URL

Source: RFC 9110 11.6.1; distribution/distribution, docs/spec/auth/token.md.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from portside.image.credential import Credential

CLIENT: Final = "portside"

_SCHEME: Final = re.compile(r"\s*(?P<scheme>[A-Za-z]+)\s*(?P<rest>.*)", re.DOTALL)
_PARAMETER: Final = re.compile(
    r'\s*,?\s*(?P<name>[A-Za-z_]+)\s*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>[^\s,"]+))'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """How a registry wants to be told who asks; the scheme in lower case."""

    scheme: str
    realm: str = ""
    service: str = ""
    scope: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRequest:
    """How to ask for a token: a GET, or a POST with `form` where there is an identity token."""

    url: str
    headers: dict[str, str] = field(repr=False)
    form: bytes | None = field(default=None, repr=False)


def parse_challenge(header: str) -> Challenge | None:
    """The challenge of a `WWW-Authenticate` header; None for what is neither Basic nor Bearer."""
    match = _SCHEME.fullmatch(header)
    if match is None or match["scheme"].lower() not in {"basic", "bearer"}:
        return None
    values = {
        found["name"].lower(): re.sub(r"\\(.)", r"\1", found["quoted"] or found["plain"] or "")
        for found in _PARAMETER.finditer(match["rest"])
    }
    return Challenge(
        scheme=match["scheme"].lower(),
        realm=values.get("realm", ""),
        service=values.get("service", ""),
        scope=values.get("scope", ""),
    )


def token_request(
    challenge: Challenge, scopes: tuple[str, ...], credential: Credential | None
) -> TokenRequest:
    """The request for a token that allows `scopes`; without a credential anonymously.

    What the registry itself names is asked for as well: ECR Public calls its only scope `aws`.
    """
    if challenge.scope and challenge.scope not in scopes:
        scopes = (*scopes, challenge.scope)
    if credential is not None and credential.identity_token:
        form = {
            "grant_type": "refresh_token",
            "service": challenge.service,
            "client_id": CLIENT,
            "scope": " ".join(scopes),
            "refresh_token": credential.identity_token,
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return TokenRequest(url=challenge.realm, headers=headers, form=urlencode(form).encode())
    parts = urlsplit(challenge.realm)
    query = parse_qsl(parts.query) + [("scope", scope) for scope in scopes]
    if challenge.service:
        query.append(("service", challenge.service))
    url = urlunsplit(parts._replace(query=urlencode(query)))
    return TokenRequest(url=url, headers={"Authorization": credential.basic} if credential else {})


def read_token(body: bytes) -> str | None:
    """The token in an answer; registries call it by either name."""
    try:
        answer = json.loads(body)
    except ValueError:
        return None
    if not isinstance(answer, dict):
        return None
    token = answer.get("token") or answer.get("access_token")
    # It becomes a header: nothing that could end the line.
    return token if isinstance(token, str) and re.fullmatch(r"[\x21-\x7e]+", token) else None
