"""Keys from the environment: both or none, and none that can be guessed."""

from __future__ import annotations

import pytest

from portside.errors import UsageError
from portside.local.data_folder import Keys
from portside.local.s3 import existing_store
from portside.local.signature import own_key

ID, SECRET = "MYOWNKEY12345678", "0123456789abcdef0123456789abcdef"
STORE = {"PORTSIDE_S3_ACCESS_KEY_ID": "minio", "PORTSIDE_S3_SECRET_ACCESS_KEY": "minio123"}


def chosen(access_key_id: str, secret_access_key: str) -> dict[str, str]:
    return {
        "PORTSIDE_ACCESS_KEY_ID": access_key_id,
        "PORTSIDE_SECRET_ACCESS_KEY": secret_access_key,
    }


def test_keys_of_16_and_32_characters_are_taken():
    keys = own_key.gateway_keys(chosen(ID, SECRET))

    assert keys == Keys(access_key_id=ID, secret_access_key=SECRET)


@pytest.mark.parametrize("environment", [{}, chosen("", "")])
def test_who_brings_none_gets_those_that_are_drawn(environment: dict[str, str]):
    assert own_key.gateway_keys(environment) is None


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        (chosen(ID, ""), "`PORTSIDE_SECRET_ACCESS_KEY` is not set"),
        (chosen("", SECRET), "`PORTSIDE_ACCESS_KEY_ID` is not set"),
        (chosen(ID[1:], SECRET), "it has 15 characters, and 16 are the least"),
        (chosen(ID, SECRET[1:]), "it has 31 characters, and 32 are the least"),
        (chosen("a/key/with/slashes", SECRET), "characters that no key of AWS has"),
        (chosen(ID, SECRET + " "), "characters that no key of AWS has"),
    ],
)
def test_what_is_wrong_is_named_and_no_secret_shown(environment: dict[str, str], said: str):
    with pytest.raises(UsageError, match=said) as refused:
        own_key.gateway_keys(environment)

    assert SECRET not in f"{refused.value.message} {refused.value.hint}"


@pytest.mark.parametrize("url", ["http://127.0.0.1:9000", "https://s3.eu-west-1.amazonaws.com/"])
def test_a_store_is_named_by_its_url_alone(url: str):
    store = existing_store.at(url, STORE)

    assert store.address == url.rstrip("/")
    assert store.keys == Keys(access_key_id="minio", secret_access_key="minio123")
    assert "minio123" not in store.state


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:9000",
        "ftp://127.0.0.1",
        "http://",
        "http://127.0.0.1/bucket",
        "http://key:secret@127.0.0.1",
        "http://127.0.0.1?x=1",
        "http://127.0.0.1:port",
        "http://[::1",
    ],
)
def test_what_is_no_address_of_a_store_is_refused(url: str):
    with pytest.raises(UsageError, match="it is not of the form http://HOST:PORT"):
        existing_store.at(url, STORE)


def test_a_store_needs_keys():
    with pytest.raises(UsageError, match="`PORTSIDE_S3_ACCESS_KEY_ID` is not set"):
        existing_store.at("http://127.0.0.1:9000", {})
