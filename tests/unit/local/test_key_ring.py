"""Temporary credentials: what STS gives out opens the gateway until its time is over."""

from __future__ import annotations

import dataclasses
import re

import pytest

from portside.local.data_folder import Keys
from portside.local.protocol.message import Response
from portside.local.signature.claim import Reason
from portside.local.signature.key_ring import KeyRing
from portside.local.signature.sigv4 import Caller, Seed

KEYS = Keys(access_key_id="PSIDLOCALEXAMPLE1234", secret_access_key="a secret of the folder")
SEED = Seed(key=b"", timestamp="", scope="", signature="")
OWNER = Caller(access_key_id=KEYS.access_key_id, token=None, seed=SEED)

ASSUMED = b"""<AssumeRoleResponse><AssumeRoleResult><Credentials>
  <AccessKeyId>ASIAMOTO</AccessKeyId><SecretAccessKey>moto's</SecretAccessKey>
  <SessionToken>moto's</SessionToken><Expiration>2026-11-23T12:00:00.000000Z</Expiration>
</Credentials><AssumedRoleUser>
  <AssumedRoleId>AROAX:me</AssumedRoleId>
  <Arn>arn:aws:sts::000000000000:assumed-role/runs/me</Arn>
</AssumedRoleUser></AssumeRoleResult></AssumeRoleResponse>"""
IDENTITY = (
    b"<GetCallerIdentityResult><Arn>arn:aws:iam::000000000000:root</Arn>"
    b"<UserId>000000000000</UserId><Account>000000000000</Account></GetCallerIdentityResult>"
)
NOON_MS = 1_795_435_200_000
"""When these credentials expire."""


class Clock:
    def __init__(self) -> None:
        self.ms = NOON_MS - 1

    def now_ms(self) -> int:
        return self.ms

    def monotonic(self) -> float:
        raise NotImplementedError

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ring(clock: Clock) -> KeyRing:
    return KeyRing(KEYS, clock=clock)


def body_of(response: Response) -> bytes:
    assert isinstance(response.body, bytes)
    return response.body


def assume(ring: KeyRing) -> dict[str, str]:
    """What AssumeRole gives out, by the names of the response."""
    body = body_of(ring.reissue(Response(status=200, body=ASSUMED), caller=OWNER)).decode()
    assert "moto" not in body
    return dict(re.findall("<(AccessKeyId|SecretAccessKey|SessionToken)>([^<]+)<", body))


def secret_of(ring: KeyRing, session: dict[str, str]) -> str | Reason:
    return ring.secret_of(session["AccessKeyId"], token=session["SessionToken"])


def test_the_folders_own_key_comes_without_a_token(ring: KeyRing):
    assert ring.secret_of(KEYS.access_key_id, token=None) == KEYS.secret_access_key
    assert ring.secret_of(KEYS.access_key_id, token="left over") is Reason.UNKNOWN_KEY
    assert ring.secret_of("AKIAOTHER", token=None) is Reason.UNKNOWN_KEY


def test_what_is_given_out_is_known_again_after_a_restart(ring: KeyRing, clock: Clock):
    session = assume(ring)

    assert secret_of(ring, session) == session["SecretAccessKey"]
    assert secret_of(KeyRing(KEYS, clock=clock), session) == session["SecretAccessKey"]


def test_each_session_has_keys_of_its_own(ring: KeyRing):
    first, second = assume(ring), assume(ring)

    assert not set(first.values()) & set(second.values())
    assert ring.secret_of(first["AccessKeyId"], token=second["SessionToken"]) is Reason.BAD_TOKEN


def test_without_its_token_a_key_is_not_known(ring: KeyRing):
    assert ring.secret_of(assume(ring)["AccessKeyId"], token=None) is Reason.UNKNOWN_KEY


def test_a_changed_token_is_bad_wherever_it_is_changed(ring: KeyRing):
    session = assume(ring)
    token = session["SessionToken"].rstrip("=")
    for at, character in enumerate(token[:-1]):  # the last one may have bits that mean nothing
        other = token[:at] + ("A" if character != "A" else "B") + token[at + 1 :]
        changed = session | {"SessionToken": other + session["SessionToken"][len(token) :]}

        assert secret_of(ring, changed) is Reason.BAD_TOKEN


@pytest.mark.parametrize("token", ["", "?", "AAAA", "ä", "A" * 4096])
def test_a_token_that_is_none(ring: KeyRing, token: str):
    assert ring.secret_of("PSIDSESSEXAMPLE12345", token=token) is Reason.BAD_TOKEN


def test_another_folder_does_not_know_it(ring: KeyRing, clock: Clock):
    other = KeyRing(dataclasses.replace(KEYS, secret_access_key="another"), clock=clock)

    assert secret_of(other, assume(ring)) is Reason.BAD_TOKEN


def test_it_ends_when_it_says(ring: KeyRing, clock: Clock):
    session = assume(ring)

    clock.ms = NOON_MS

    assert secret_of(ring, session) is Reason.OLD_TOKEN


def test_its_bearer_is_told_that_he_acts_as_the_role(ring: KeyRing):
    session = assume(ring)
    caller = dataclasses.replace(OWNER, token=session["SessionToken"])
    answer = Response(status=200, body=IDENTITY)

    assert ring.reissue(answer, caller=OWNER) == answer
    told = body_of(ring.reissue(answer, caller=caller))

    assert b"<Arn>arn:aws:sts::000000000000:assumed-role/runs/me</Arn>" in told
    assert b"<UserId>AROAX:me</UserId><Account>000000000000</Account>" in told


def test_a_refusal_is_left_as_it_is(ring: KeyRing):
    refusal = Response(status=400, body=b"<Credentials></Credentials>")

    assert ring.reissue(refusal, caller=OWNER) is refusal
