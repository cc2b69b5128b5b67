"""The keys that open the gateway: the folder's own pair, and those that STS gives out.

    AssumeRole, GetSessionToken ──▶ moto ──▶ answer ──reissue──▶ the same, with keys of ours
    key and token of a request ──secret_of──▶ its secret, or why there is none

A session token is a ticket: it says for which key it is, for whom and until when, under a
seal that only this folder's secret makes, and the key's secret follows from the token. So
nothing is kept, every restart and every `kill -9` leaves them good, and whoever changes a
character of one has nothing. (moto gives all sessions one published secret.)
"""

from __future__ import annotations

import base64
import hmac
import json
import re
import secrets
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from portside.local.clock import Clock, milliseconds
from portside.local.data_folder import Keys
from portside.local.protocol.message import Response
from portside.local.signature.claim import Reason
from portside.local.signature.sigv4 import Caller

_KEY_PREFIX: Final = "PSIDSESS"
"""Tells it from the folder's own key, as AWS's ASIA from AKIA; of 20 characters as theirs."""
_CREDENTIALS: Final = re.compile(rb"<Credentials>.*?</Credentials>", re.DOTALL)
_EXPIRATION: Final = re.compile(rb"<Expiration>([^<]+)</Expiration>")
_ARN: Final = re.compile(rb"<Arn>([^<]+)</Arn>")
_USER_ID: Final = re.compile(rb"<UserId>[^<]+</UserId>")
_USER: Final = re.compile(
    rb"<(?:AssumedRole|Federated)User>.*?</(?:AssumedRole|Federated)User>", re.DOTALL
)
_SESSION_ID: Final = re.compile(rb"<(?:AssumedRoleId|FederatedUserId)>([^<]+)<")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ticket:
    """What a session token says; texts as they stood in XML."""

    access_key_id: str
    expires_ms: int
    arn: str
    """Whom its bearer acts as; empty for the account itself."""
    user_id: str


class KeyRing:
    """Knows every key by the folder's own; asks the clock whether a session is over."""

    def __init__(self, keys: Keys, *, clock: Clock) -> None:
        self._keys = keys
        self._clock = clock
        self._seal = _derive(keys.secret_access_key.encode(), "seal of session tokens")
        self._source = _derive(keys.secret_access_key.encode(), "secrets of sessions")

    def secret_of(self, access_key_id: str, *, token: str | None) -> str | Reason:
        """The secret of a key with its session token; the folder's own key has none."""
        if access_key_id == self._keys.access_key_id:
            return self._keys.secret_access_key if token is None else Reason.UNKNOWN_KEY
        if token is None:
            return Reason.UNKNOWN_KEY
        ticket = self._read(token)
        if ticket is None or ticket.access_key_id != access_key_id:
            return Reason.BAD_TOKEN
        if ticket.expires_ms <= self._clock.now_ms():
            return Reason.OLD_TOKEN
        return self._secret(token)

    def reissue(self, response: Response, *, caller: Caller) -> Response:
        """STS's answer with keys that this gateway accepts, and who the caller is."""
        if response.status != 200 or not isinstance(response.body, bytes):
            return response
        body = response.body
        if caller.token is not None and (ticket := self._read(caller.token)) is not None:
            body = _tell_identity(body, ticket)
        return replace(response, body=_CREDENTIALS.sub(lambda _: self._issue(body), body))

    def _issue(self, answer: bytes) -> bytes:
        user = _USER.search(answer)
        expiration = _first(_EXPIRATION, answer)
        ticket = _Ticket(
            access_key_id=_KEY_PREFIX + secrets.token_hex(6).upper(),
            expires_ms=milliseconds(datetime.fromisoformat(expiration)),
            arn=_first(_ARN, user[0]) if user else "",
            user_id=_first(_SESSION_ID, user[0]) if user else "",
        )
        token = self._write(ticket)
        return (
            f"<Credentials><AccessKeyId>{ticket.access_key_id}</AccessKeyId>"
            f"<SecretAccessKey>{self._secret(token)}</SecretAccessKey>"
            f"<SessionToken>{token}</SessionToken>"
            f"<Expiration>{expiration}</Expiration></Credentials>"
        ).encode()

    # --- Tickets -------------------------------------------------------------

    def _write(self, ticket: _Ticket) -> str:
        content = [ticket.access_key_id, ticket.expires_ms, ticket.arn, ticket.user_id]
        said = json.dumps(content).encode()
        return base64.b64encode(hmac.digest(self._seal, said, "sha256") + said).decode()

    def _read(self, token: str) -> _Ticket | None:
        """What a token says; None where it is not one of ours, to the last bit."""
        try:
            content = base64.b64decode(token, validate=True)
        except ValueError:
            return None
        seal, said = content[:32], content[32:]
        if not hmac.compare_digest(seal, hmac.digest(self._seal, said, "sha256")):
            return None
        access_key_id, expires_ms, arn, user_id = json.loads(said)
        return _Ticket(access_key_id=access_key_id, expires_ms=expires_ms, arn=arn, user_id=user_id)

    def _secret(self, token: str) -> str:
        return base64.b64encode(_derive(self._source, token))[:40].decode()


def _tell_identity(body: bytes, ticket: _Ticket) -> bytes:
    """GetCallerIdentity's answer for the bearer of a session; any other as it is."""
    if b"<GetCallerIdentityResult>" not in body or not ticket.arn:
        return body
    arn, user_id = f"<Arn>{ticket.arn}</Arn>", f"<UserId>{ticket.user_id}</UserId>"
    return _USER_ID.sub(lambda _: user_id.encode(), _ARN.sub(lambda _: arn.encode(), body))


def _first(pattern: re.Pattern[bytes], text: bytes) -> str:
    found = pattern.search(text)
    return found[1].decode() if found else ""


def _derive(key: bytes, purpose: str) -> bytes:
    return hmac.digest(key, f"portside {purpose}".encode(), "sha256")
