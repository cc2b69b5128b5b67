"""Who may pull and push: passwords that GetAuthorizationToken gives out, and links to layers.

    password   what AWS is told by docker login, for twelve hours
    link       one layer of one repository, for an hour

Both are a time under a seal that only this folder's secret makes, so nothing is kept, and every
restart leaves them good.
"""

from __future__ import annotations

import base64
import hmac
import json
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from portside.local.clock import Clock
    from portside.local.data_folder import Keys

USER: Final = "AWS"
"""The one user name. ECR user guide, "Private registry authentication"."""
PASSWORD_S: Final = 12 * 3600
"""BC AuthorizationData.expiresAt."""
LINK_S: Final = 3600
"""As long as the links to S3 hold that ECR gives out."""


class Verdict(Enum):
    """What becomes of somebody's credentials."""

    WELCOME = auto()
    UNKNOWN = auto()
    EXPIRED = auto()


class Login:
    """Gives out passwords and links by the folder's own secret, and knows them again."""

    def __init__(self, keys: Keys, *, clock: Clock) -> None:
        self._seal = hmac.digest(
            keys.secret_access_key.encode(), b"portside passwords of the registry", "sha256"
        )
        self._clock = clock

    def password(self) -> tuple[str, int]:
        """A password, and until when it is good in milliseconds since 1970."""
        expires_ms = self._clock.now_ms() + PASSWORD_S * 1000
        said = json.dumps(["password", expires_ms]).encode()
        return base64.urlsafe_b64encode(self._sealed(said) + said).decode(), expires_ms

    def check(self, authorization: str | None) -> Verdict:
        """Whether a header `Authorization` has a password of ours."""
        scheme, _, credentials = (authorization or "").partition(" ")
        if scheme.lower() != "basic":
            return Verdict.UNKNOWN
        try:
            user, _, password = base64.b64decode(credentials, validate=True).partition(b":")
            content = base64.b64decode(password, altchars=b"-_", validate=True)
        except ValueError:
            return Verdict.UNKNOWN
        seal, said = content[:32], content[32:]
        if user != USER.encode() or not hmac.compare_digest(seal, self._sealed(said)):
            return Verdict.UNKNOWN
        _, expires_ms = json.loads(said)
        return Verdict.WELCOME if self._clock.now_ms() < expires_ms else Verdict.EXPIRED

    def link_query(self, repository: str, digest: str) -> str:
        """What makes the address of a layer a link that needs no password."""
        expires_s = self._clock.now_ms() // 1000 + LINK_S
        return f"expires={expires_s}&signature={self._link_seal(repository, digest, expires_s)}"

    def check_link(self, query: dict[str, str], *, repository: str, digest: str) -> Verdict:
        """Whether a query is one of ours for this layer."""
        expires = query.get("expires", "")
        if not (expires.isascii() and expires.isdecimal() and len(expires) <= 12):
            return Verdict.UNKNOWN
        seal = self._link_seal(repository, digest, int(expires))
        if not hmac.compare_digest(seal.encode(), query.get("signature", "").encode()):
            return Verdict.UNKNOWN
        return Verdict.WELCOME if self._clock.now_ms() < int(expires) * 1000 else Verdict.EXPIRED

    def _link_seal(self, repository: str, digest: str, expires_s: int) -> str:
        said = json.dumps(["link", repository, digest, expires_s]).encode()
        return self._sealed(said).hex()

    def _sealed(self, said: bytes) -> bytes:
        return hmac.digest(self._seal, said, "sha256")
