"""Who we are, and what a registry asks for."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from portside.errors import BuildError, MissingToolError
from portside.image.challenge import Challenge, parse_challenge, read_token, token_request
from portside.image.credential import Credential, auth_files, find_credential


def write(folder: Path, **table: Any) -> list[Path]:
    file = folder / "config.json"
    file.write_text(json.dumps(table))
    return [file]


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_user_and_password_of_docker_login(tmp_path: Path) -> None:
    files = write(tmp_path, auths={"one.example": {"auth": encoded("ada:pass:word")}})

    found = find_credential("one.example", files)

    assert found == Credential(user="ada", password="pass:word")
    assert "pass:word" not in repr(found)
    assert find_credential("two.example", files) is None


def test_docker_hub_has_a_name_of_its_own(tmp_path: Path) -> None:
    files = write(tmp_path, auths={"https://index.docker.io/v1/": {"auth": encoded("a:b")}})

    assert find_credential("docker.io", files) == Credential(user="a", password="b")


def test_an_identity_token_wins_over_an_empty_auth(tmp_path: Path) -> None:
    entry = {"auth": encoded("x:"), "identitytoken": "renew"}
    files = write(tmp_path, auths={"one.example": entry})

    assert find_credential("one.example", files) == Credential(identity_token="renew")


def test_the_first_file_that_knows_counts(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    nothing = write(tmp_path / "one", auths={"one.example": {}})
    known = write(tmp_path, auths={"one.example": {"auth": encoded("a:b")}})

    assert find_credential("one.example", [tmp_path / "absent", *nothing, *known])


@pytest.mark.parametrize("text", ["{", "\xff"])
def test_a_broken_file_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "config.json"
    file.write_text(text, encoding="latin-1")

    with pytest.raises(BuildError, match=r"config\.json"):
        find_credential("one.example", [file])


def test_a_broken_credential_is_not_shown(tmp_path: Path) -> None:
    files = write(tmp_path, auths={"one.example": {"auth": "secret not base64!"}})

    with pytest.raises(BuildError, match="is not base64") as raised:
        find_credential("one.example", files)
    assert "secret" not in raised.value.message


@pytest.mark.parametrize("helper", ["not-there", "../../bin/sh"])
def test_a_helper_that_is_not_installed_is_named(tmp_path: Path, helper: str) -> None:
    files = write(tmp_path, credHelpers={"one.example": helper})

    with pytest.raises(MissingToolError, match="is not installed"):
        find_credential("one.example", files)


def test_where_credentials_lie(tmp_path: Path) -> None:
    environment = {"DOCKER_CONFIG": "/d", "XDG_RUNTIME_DIR": "/r", "REGISTRY_AUTH_FILE": "/a"}

    assert [str(path) for path in auth_files(environment, tmp_path)] == [
        "/a",
        "/d/config.json",
        "/r/containers/auth.json",
        f"{tmp_path}/.config/containers/auth.json",
    ]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ('Basic realm="x"', Challenge(scheme="basic", realm="x")),
        (
            'Bearer realm="https://a.example/t?x=1",service="s, t",scope="a"',
            Challenge(scheme="bearer", realm="https://a.example/t?x=1", service="s, t", scope="a"),
        ),
        ('bearer realm="a\\"b" , service=s', Challenge(scheme="bearer", realm='a"b', service="s")),
        ("Negotiate", None),
        ("", None),
    ],
)
def test_challenges(header: str, expected: Challenge | None) -> None:
    assert parse_challenge(header) == expected


def test_a_token_is_asked_for_with_user_and_scopes() -> None:
    challenge = Challenge(scheme="bearer", realm="https://a.example/t?x=1", service="s")

    request = token_request(challenge, ("repository:a:pull",), Credential(user="u", password="p"))

    query = parse_qs(urlsplit(request.url).query)
    assert query == {"x": ["1"], "scope": ["repository:a:pull"], "service": ["s"]}
    assert request.headers == {"Authorization": f"Basic {encoded('u:p')}"}
    assert token_request(challenge, (), None).headers == {}


def test_a_scope_of_the_registrys_own_is_asked_for_too() -> None:
    challenge = Challenge(scheme="bearer", realm="https://public.ecr.example/token/", scope="aws")

    url = token_request(challenge, ("repository:a:pull",), None).url

    assert parse_qs(urlsplit(url).query)["scope"] == ["repository:a:pull", "aws"]


def test_an_identity_token_is_sent_in_a_form() -> None:
    challenge = Challenge(scheme="bearer", realm="https://a.example/t", service="s")

    request = token_request(challenge, ("a", "b"), Credential(identity_token="renew"))

    assert request.form
    form = parse_qs(request.form.decode())
    assert form["refresh_token"] == ["renew"]
    assert form["scope"] == ["a b"]
    assert "renew" not in request.url


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"token": "abc"}', "abc"),
        (b'{"access_token": "abc"}', "abc"),
        (b'{"token": "a\\r\\nX: y"}', None),
        (b'{"token": 7}', None),
        (b"[]", None),
        (b"<html>", None),
    ],
)
def test_tokens(body: bytes, expected: str | None) -> None:
    assert read_token(body) == expected
