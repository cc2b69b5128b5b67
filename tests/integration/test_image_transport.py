"""Calls to registries over real connections: tokens, redirects, failures, and hostile answers."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from portside.errors import BuildError, RemoteError
from portside.image.credential import Credential, find_credential
from portside.image.layout import Layout
from portside.image.oci import Descriptor, digest_of
from portside.image.publish import Distribution
from portside.image.reference import Reference
from portside.image.registry import Registry
from portside.image.transport import ATTEMPTS, BODY_BYTES, Transport, is_loopback, is_safe
from tests.integration.image_parts import Asked, Says, ScriptedRegistry

MANIFEST = b'{"schemaVersion": 2}'
TYPE = {"Content-Type": "application/vnd.oci.image.manifest.v1+json; charset=utf-8"}
BLOB = Descriptor(media_type="x", size=5, digest=digest_of(b"hello"))

Serve = Callable[[Callable[[Asked], Says]], ScriptedRegistry]


@pytest.fixture
def serve() -> Iterator[Serve]:
    with ExitStack() as stack:
        yield lambda answer: stack.enter_context(ScriptedRegistry(answer))


def connect(
    server: ScriptedRegistry, *, credential: Credential | None = None
) -> tuple[Registry, list[float]]:
    pauses: list[float] = []
    transport = Transport(server.host, credential=credential, sleep=pauses.append)
    return Registry(transport), pauses


def pull(server: ScriptedRegistry, *, credential: Credential | None = None) -> tuple[str, bytes]:
    registry, _ = connect(server, credential=credential)
    return registry.manifest("team/ner", "1")


# --- Who asks ---------------------------------------------------------------------------


def with_tokens(server: list[ScriptedRegistry]) -> Callable[[Asked], Says]:
    """A registry that gives out tokens by itself, and wants one each time."""

    def answer(asked: Asked) -> Says:
        if asked.path.startswith("/token"):
            return Says(body=json.dumps({"token": "for-" + asked.path.partition("?")[2]}).encode())
        if "authorization" in asked.headers:
            return Says(headers=TYPE, body=MANIFEST)
        realm = f'Bearer realm="http://{server[0].host}/token",service="s"'
        return Says(status=401, headers={"WWW-Authenticate": realm})

    return answer


def test_a_token_is_fetched_once_for_a_scope(serve: Serve) -> None:
    servers: list[ScriptedRegistry] = []
    servers.append(serve(with_tokens(servers)))
    registry, _ = connect(servers[0], credential=Credential(user="ada", password="p"))

    assert registry.manifest("team/ner", "1")[1] == MANIFEST
    assert registry.manifest("team/ner", "2")[1] == MANIFEST

    asked = servers[0].asked
    assert [call.path.partition("?")[0] for call in asked] == [
        "/v2/team/ner/manifests/1",
        "/token",
        "/v2/team/ner/manifests/1",
        "/v2/team/ner/manifests/2",
    ]
    assert asked[1].headers["authorization"].startswith("Basic ")
    assert "scope=repository%3Ateam%2Fner%3Apull" in asked[1].path
    assert asked[3].headers["authorization"].startswith("Bearer for-")


def test_without_a_login_a_token_is_asked_for_anonymously(serve: Serve) -> None:
    servers: list[ScriptedRegistry] = []
    servers.append(serve(with_tokens(servers)))

    pull(servers[0])

    assert "authorization" not in servers[0].asked[1].headers


def test_an_expired_token_is_renewed(serve: Serve) -> None:
    servers: list[ScriptedRegistry] = []
    given: list[str] = []

    def answer(asked: Asked) -> Says:
        if asked.path.startswith("/token"):
            given.append(f"t{len(given)}")
            return Says(body=json.dumps({"token": given[-1]}).encode())
        # The first token is good for one call.
        calls = [call for call in servers[0].asked if call.path.startswith("/v2/")]
        good = "Bearer t0" if len(calls) < 3 else "Bearer t1"
        if asked.headers.get("authorization") == good:
            return Says(headers=TYPE, body=MANIFEST)
        realm = f'Bearer realm="http://{servers[0].host}/token"'
        return Says(status=401, headers={"WWW-Authenticate": realm})

    servers.append(serve(answer))
    registry, _ = connect(servers[0])

    registry.manifest("team/ner", "1")
    assert registry.manifest("team/ner", "2")[1] == MANIFEST
    assert given == ["t0", "t1"]


def test_where_nobody_has_logged_in_the_message_says_how(serve: Serve) -> None:
    server = serve(lambda _: Says(status=401, headers={"WWW-Authenticate": 'Basic realm="x"'}))

    with pytest.raises(RemoteError, match="nobody has logged in") as raised:
        pull(server)

    assert raised.value.hint
    assert f"docker login {server.host}" in raised.value.hint


def test_a_wrong_password_is_said_in_the_registrys_words(serve: Serve) -> None:
    body = b'{"errors": [{"code": "UNAUTHORIZED", "message": "wrong\\u001b[31m password"}]}'
    challenge = {"WWW-Authenticate": 'Basic realm="x"'}
    server = serve(lambda _: Says(status=401, headers=challenge, body=body))

    with pytest.raises(RemoteError, match=r"401 UNAUTHORIZED: wrong\[31m password") as raised:
        pull(server, credential=Credential(user="ada", password="secret"))

    assert len(server.asked) == 2
    assert "secret" not in str(raised.value)


def test_a_token_from_an_address_without_tls_is_not_asked_for(serve: Serve) -> None:
    challenge = {"WWW-Authenticate": 'Bearer realm="http://registry.example/token"'}
    server = serve(lambda _: Says(status=401, headers=challenge))

    with pytest.raises(RemoteError, match="not encrypted"):
        pull(server, credential=Credential(user="ada", password="p"))


def test_a_helper_is_asked_for_the_credential(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helper = tmp_path / "docker-credential-test"
    helper.write_text(
        '#!/bin/sh\nread host\n[ "$host" = one.example ] && '
        'echo \'{"Username": "ada", "Secret": "s"}\' && exit\n'
        "echo credentials not found in native keychain; exit 1\n"
    )
    helper.chmod(helper.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    config = tmp_path / "config.json"
    config.write_text('{"credsStore": "test"}')

    assert find_credential("one.example", [config]) == Credential(user="ada", password="s")
    assert find_credential("two.example", [config]) is None


# --- Where to ---------------------------------------------------------------------------


def test_a_redirect_to_another_host_gets_no_credential(serve: Serve) -> None:
    store = serve(lambda _: Says(body=b"hello"))

    def answer(asked: Asked) -> Says:
        if "authorization" not in asked.headers:
            return Says(status=401, headers={"WWW-Authenticate": 'Basic realm="x"'})
        return Says(status=307, headers={"Location": f"http://{store.host}/signed?key=1"})

    registry, _ = connect(serve(answer), credential=Credential(user="ada", password="p"))

    assert b"".join(registry.blob("team/ner", BLOB)) == b"hello"
    (asked,) = store.asked
    assert "authorization" not in asked.headers


@pytest.mark.parametrize("to", ["http://registry.example/x", "file:///etc/passwd", "ftp://x/y"])
def test_a_redirect_out_of_tls_is_refused(serve: Serve, to: str) -> None:
    with pytest.raises(RemoteError, match="not encrypted"):
        pull(serve(lambda _: Says(status=302, headers={"Location": to})))


@pytest.mark.parametrize(
    ("registry", "to", "expected"),
    [
        ("registry.example", "https://store.example/x", True),
        ("registry.example", "http://store.example/x", False),
        ("registry.example", "http://127.0.0.1:8080/x", False),
        ("127.0.0.1:5000", "http://localhost:8080/x", True),
        ("127.0.0.1:5000", "http://store.example/x", False),
    ],
)
def test_only_a_registry_on_this_machine_leads_to_this_machine_without_tls(
    registry: str, to: str, expected: bool
) -> None:
    assert is_safe(to, registry=registry) is expected


def test_an_address_that_is_none_is_told(serve: Serve, blob_file: Path) -> None:
    with pytest.raises(RemoteError, match="names an address that is none"):
        pull(serve(lambda _: Says(status=302, headers={"Location": "http://[x"})))
    with pytest.raises(BuildError, match=r"began an upload at `http://\[x`"):
        send(serve(lambda _: Says(status=202, headers={"Location": "http://[x"})), blob_file)


def test_redirects_in_a_circle_end(serve: Serve) -> None:
    server = serve(lambda asked: Says(status=302, headers={"Location": asked.path}))

    with pytest.raises(RemoteError, match="redirects"):
        pull(server)

    assert len(server.asked) == 6


def test_a_proxy_is_gone_through_with_its_own_login(serve: Serve) -> None:
    proxy = serve(lambda _: Says(headers=TYPE, body=MANIFEST))
    registry = Registry(Transport("127.0.0.1:1", proxy=f"http://ada:p%40ss@{proxy.host}"))

    assert registry.manifest("team/ner", "1")[1] == MANIFEST

    (asked,) = proxy.asked
    assert asked.path == "http://127.0.0.1:1/v2/team/ner/manifests/1"
    assert asked.headers["proxy-authorization"] == Credential(user="ada", password="p@ss").basic


# --- What goes wrong ----------------------------------------------------------------------


@pytest.mark.parametrize("failure", [Says(status=503), Says(status=429), Says(hangs_up=True)])
def test_what_passes_is_tried_again(serve: Serve, failure: Says) -> None:
    answers = [failure, failure, Says(headers=TYPE, body=MANIFEST)]
    registry, pauses = connect(serve(lambda _: answers.pop(0)))

    assert registry.manifest("team/ner", "1")[1] == MANIFEST
    assert pauses == [0.5, 1.0]


def test_what_stays_is_told_with_a_way_on(serve: Serve) -> None:
    server = serve(lambda _: Says(status=500, body=b"<h1>broken</h1>"))

    with pytest.raises(RemoteError, match=r"500 HTTP500: <h1>broken") as raised:
        pull(server)

    assert len(server.asked) == ATTEMPTS
    assert raised.value.hint


def test_a_name_that_is_not_there_is_not_tried_again(serve: Serve) -> None:
    server = serve(lambda _: Says(status=404))

    with pytest.raises(RemoteError, match="404"):
        pull(server)

    assert len(server.asked) == 1


def test_nobody_listening_is_told(serve: Serve) -> None:
    with ScriptedRegistry(lambda _: Says()) as server:
        pass

    with pytest.raises(RemoteError, match="no whole answer") as raised:
        pull(server)

    assert raised.value.hint
    assert f"http://{server.host}/v2/" in raised.value.hint


def test_a_manifest_that_is_cut_short_is_told(serve: Serve) -> None:
    with pytest.raises(RemoteError, match="no whole answer"):
        pull(serve(lambda _: Says(headers=TYPE, body=MANIFEST, hangs_up=True)))


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost:5000", True),
        ("127.0.0.2", True),
        ("[::1]:5000", True),
        ("127.0.0.1.example", False),
        ("localhost.example:5000", False),
        ("10.0.0.1", False),
    ],
)
def test_only_this_machine_is_spoken_to_without_tls(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_a_manifest_of_any_size_is_not_read(serve: Serve) -> None:
    server = serve(lambda _: Says(headers=TYPE, body=b" " * (BODY_BYTES + 1)))

    with pytest.raises(BuildError, match="has over"):
        pull(server)


@pytest.mark.parametrize(
    "says", [Says(body=b"hello!"), Says(body=b"HELLO"), Says(body=b"hello", hangs_up=True)]
)
def test_a_blob_that_is_not_as_announced_is_not_kept(
    serve: Serve, tmp_path: Path, says: Says
) -> None:
    registry, _ = connect(serve(lambda _: says))
    layout = Layout(tmp_path)

    with pytest.raises((BuildError, RemoteError)):
        layout.receive(BLOB, registry.blob("team/ner", BLOB), source="there")

    assert list(layout.blobs.iterdir()) == []


# --- Pushing ----------------------------------------------------------------------------


def send(server: ScriptedRegistry, path: Path) -> list[int]:
    registry, _ = connect(server)
    heard: list[int] = []
    target = Reference(registry=server.host, repository="team/ner", tag="1")
    Distribution(registry=registry, target=target).send(BLOB, path, heard.append)
    return heard


@pytest.fixture
def blob_file(tmp_path: Path) -> Path:
    (tmp_path / "blob").write_bytes(b"hello")
    return tmp_path / "blob"


def test_a_blob_goes_in_one_body_to_the_address_that_was_given(
    serve: Serve, blob_file: Path
) -> None:
    def answer(asked: Asked) -> Says:
        if asked.method == "POST":
            return Says(status=202, headers={"Location": "/elsewhere?state=a%3D"})
        return Says(status=201)

    server = serve(answer)

    assert sum(send(server, blob_file)) == 5
    _, put = server.asked
    assert put.path == f"/elsewhere?state=a%3D&digest={BLOB.digest.replace(':', '%3A')}"
    assert put.body == b"hello"
    assert "transfer-encoding" not in put.headers


UNKNOWN = b'{"errors": [{"code": "UNKNOWN"}]}'


@pytest.mark.parametrize("failure", [Says(hangs_up=True), Says(status=500, body=UNKNOWN)])
def test_a_broken_upload_begins_anew(serve: Serve, blob_file: Path, failure: Says) -> None:
    puts = [failure, Says(status=201)]
    begun: list[str] = []

    def answer(asked: Asked) -> Says:
        if asked.method == "POST":
            begun.append(f"/upload/{len(begun)}")
            return Says(status=202, headers={"Location": begun[-1]})
        return puts.pop(0)

    server = serve(answer)

    heard = send(server, blob_file)

    assert [call.path.partition("?")[0] for call in server.asked if call.method == "PUT"] == begun
    assert len(begun) == 2
    assert sum(heard) == 5


def test_a_refused_blob_is_sent_once(serve: Serve, blob_file: Path) -> None:
    def answer(asked: Asked) -> Says:
        if asked.method == "POST":
            return Says(status=202, headers={"Location": "/upload"})
        return Says(status=400, body=b'{"errors": [{"code": "DIGEST_INVALID"}]}')

    server = serve(answer)

    with pytest.raises(RemoteError, match="DIGEST_INVALID"):
        send(server, blob_file)

    assert [call.method for call in server.asked] == ["POST", "PUT"]


def test_a_registry_that_cannot_mount_is_told_to_forget_the_upload(serve: Serve) -> None:
    def answer(asked: Asked) -> Says:
        if asked.method == "POST":
            return Says(status=202, headers={"Location": "/upload"})
        return Says(status=204)

    server = serve(answer)
    registry, _ = connect(server)

    assert registry.mount("team/ner", BLOB, origin="library/python") is False
    assert [call.method for call in server.asked] == ["POST", "DELETE"]
    assert "from=library%2Fpython" in server.asked[0].path
