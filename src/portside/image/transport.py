"""One registry's HTTP: every call goes through here, whatever it asks for.

    call ─▶ token ─▶ send ─┬─ 401          a token for it, once more
                           ├─ 307          along, up to five times; our name stays at our registry
                           ├─ 429, 5xx     once more after a pause, up to four times
                           ├─ expected     answer
                           └─ other        RemoteError: what was tried, the registry's own words

Nothing that a registry says is believed: bodies are bounded, a redirect or a token's address that
leaves TLS is refused, and credentials go to the registry's own host and to where it says that
tokens are, nowhere else.
"""

from __future__ import annotations

import ipaddress
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Final
from urllib.parse import unquote, urljoin, urlsplit

import urllib3
from urllib3.exceptions import HTTPError

from portside import __version__
from portside.errors import RemoteError
from portside.image.challenge import Challenge, parse_challenge, read_token, token_request
from portside.image.credential import Credential

ATTEMPTS: Final = 4
PAUSE_S: Final = 0.5
"""Before the second attempt; twice as long before each further one."""

REDIRECTS: Final = 5
BODY_BYTES: Final = 4 * 1024 * 1024
"""Most of an answer that is read into memory: a manifest is the largest."""

CHUNK_BYTES: Final = 256 * 1024
CONNECT_TIMEOUT_S, READ_TIMEOUT_S = 10.0, 120.0
"""A registry that checks a layer of gigabytes answers late."""

_AGENT: Final = f"portside/{__version__}"
_REDIRECTED: Final = frozenset({301, 302, 303, 307, 308})
_LATER: Final = frozenset({408, 429, 500, 502, 503, 504})
_AGAIN: Final = "run the same command again: it goes on from here"
_ANYTHING: Final[tuple[str, ...]] = ()
_HUB_HOST: Final = "registry-1.docker.io"


class PassingError(RemoteError):
    """What may go well the next time: no whole answer, or one that says that it is not for good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request: `path` is below `/v2/`, or a whole address that the registry named itself."""

    method: str
    path: str
    doing: str
    """For messages, after "could not": `push the blob sha256:…`."""
    scopes: tuple[str, ...]
    expected: frozenset[int]
    headers: dict[str, str] = field(default_factory=dict)
    body: Callable[[], BinaryIO] | None = None
    size_bytes: int = 0
    repeats: bool = True
    """Whether it may be sent again after a failure in the middle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a registry said: header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes
    url: str


class Transport:
    """Calls to one registry, through a `proxy` if one is named; several threads may share it."""

    def __init__(
        self,
        registry: str,
        *,
        credential: Credential | None = None,
        proxy: str | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.registry = registry
        host = _HUB_HOST if registry in {"docker.io", "index.docker.io"} else registry
        self._root = f"{'http' if is_loopback(host) else 'https'}://{host}"
        self._credential = credential
        self._pool = _pool(proxy)
        self._sleep = sleep
        self._lock = threading.Lock()
        self._authorizations: dict[tuple[str, ...], str] = {}

    def send(self, call: Call) -> Answer:
        """The answer to a call, its body in memory; raises `RemoteError`."""
        with self._sent(call) as (response, url):
            return _answer(response, url)

    def stream(self, call: Call) -> Iterator[bytes]:
        """The body of an answer, in chunks; raises `RemoteError`, in the middle too."""
        with self._sent(call) as (response, _):
            yield from response.stream(CHUNK_BYTES, decode_content=False)

    @contextmanager
    def _sent(self, call: Call) -> Iterator[tuple[urllib3.BaseHTTPResponse, str]]:
        try:
            response, url = self._with_patience(call)
        except ValueError as error:  # of `urlsplit`, for what the registry calls an address
            reason = f"it names an address that is none: {error}"
            raise self._error(call, reason, code="BadAddress") from error
        try:
            if response.status not in call.expected:
                raise self._refused(call, _answer(response, url))
            yield response, url
        except HTTPError as error:  # in the middle of the body
            raise self._unreachable(call, error) from error
        finally:
            # One that was read to its end is back in the pool; of any other the rest is not read.
            response.close()

    def _with_patience(self, call: Call) -> tuple[urllib3.BaseHTTPResponse, str]:
        for attempt in range(ATTEMPTS - 1 if call.repeats else 0):
            with suppress(HTTPError):
                response, url = self._authorized(call)
                if response.status not in _LATER:
                    return response, url
                response.close()
            self._sleep(PAUSE_S * 2**attempt)
        try:
            return self._authorized(call)
        except HTTPError as error:
            raise self._unreachable(call, error) from error

    # --- Who asks -------------------------------------------------------------------

    def _authorized(self, call: Call) -> tuple[urllib3.BaseHTTPResponse, str]:
        used = self._authorization(call)
        response, url = self._along_redirects(call, used)
        if response.status != 401:
            return response, url
        challenge = parse_challenge(response.headers.get("WWW-Authenticate", ""))
        if challenge is None or urlsplit(url).netloc != urlsplit(self._root).netloc:
            return response, url
        response.close()
        authorization = self._renewed(call, challenge, used)
        if authorization is None:
            raise self._not_logged_in(call)
        return self._along_redirects(call, authorization)

    def _renewed(self, call: Call, challenge: Challenge, used: str | None) -> str | None:
        """A fresh value for `Authorization`; threads that wait for one share it."""
        with self._lock:
            known = self._authorization(call)
            if known is not None and known != used:
                return known
            authorization = self._answer_to(call, challenge)
            if authorization is not None:
                # A password is good for everything, a token for what it was asked for.
                is_basic = challenge.scheme == "basic"
                self._authorizations[_ANYTHING if is_basic else call.scopes] = authorization
            return authorization

    def _authorization(self, call: Call) -> str | None:
        known = self._authorizations
        return known.get(call.scopes) or known.get(_ANYTHING)

    def _answer_to(self, call: Call, challenge: Challenge) -> str | None:
        if challenge.scheme == "basic":
            return self._credential.basic if self._credential else None
        self._check_safe(challenge.realm, call)
        wanted = token_request(challenge, call.scopes, self._credential)
        response = self._pool.request(
            "POST" if wanted.form else "GET",
            wanted.url,
            headers=wanted.headers,
            body=wanted.form,
            redirect=False,
            preload_content=False,
        )
        with response:
            answer = _answer(response, wanted.url)
        token = read_token(answer.body) if answer.status == 200 else None
        if token is None:
            raise self._refused(call, answer)
        return f"Bearer {token}"

    # --- One request ----------------------------------------------------------------

    def _along_redirects(
        self, call: Call, authorization: str | None
    ) -> tuple[urllib3.BaseHTTPResponse, str]:
        url = urljoin(f"{self._root}/v2/", call.path)
        for _ in range(REDIRECTS + 1):
            self._check_safe(url, call)
            response = self._request(call, url, authorization)
            location = response.headers.get("Location")
            if response.status not in _REDIRECTED or location is None:
                return response, url
            response.close()
            url = urljoin(url, location)
        raise self._error(call, f"over {REDIRECTS} redirects", code="TooManyRedirects")

    def _request(self, call: Call, url: str, authorization: str | None) -> urllib3.BaseHTTPResponse:
        headers = {**call.headers, "User-Agent": _AGENT}
        if authorization and urlsplit(url).netloc == urlsplit(self._root).netloc:
            headers["Authorization"] = authorization
        if call.method in {"POST", "PUT"}:
            headers["Content-Length"] = str(call.size_bytes)
        body = call.body() if call.body else None
        try:
            return self._pool.request(
                call.method,
                url,
                headers=headers,
                body=body,
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
        finally:
            if body is not None:
                body.close()

    def _check_safe(self, url: str, call: Call) -> None:
        if is_safe(url, registry=self.registry):
            return
        parts = urlsplit(url)
        raise self._error(
            call,
            f"it leads to `{parts.scheme}://{parts.netloc}`, which is not encrypted",
            code="NotEncrypted",
            hint="use a registry with TLS; without it only one on this machine is spoken to",
        )

    # --- What went wrong ------------------------------------------------------------

    def _unreachable(self, call: Call, error: HTTPError) -> RemoteError:
        return self._error(
            call,
            f"no whole answer: {str(error).rpartition(': ')[2]}",
            code="Unreachable",
            hint=f"see whether `{self._root}/v2/` can be reached, then {_AGAIN}",
            kind=PassingError,
        )

    def _not_logged_in(self, call: Call) -> RemoteError:
        return self._error(
            call,
            "it asks for a user, and nobody has logged in",
            code="Unauthorized",
            hint=f"log in: `docker login {self.registry}` or `podman login {self.registry}`",
        )

    def _refused(self, call: Call, answer: Answer) -> RemoteError:
        code, reason = _reason(answer)
        hints = {
            401: f"log in anew: `docker login {self.registry}`; a password of ECR's lasts 12 hours",
            403: f"log in as somebody who may: `docker login {self.registry}`",
            404: "check the name; ECR and some others want the repository to be made first",
            413: "the registry, or a proxy before it, takes no body of this size",
            429: f"wait a minute, then {_AGAIN}",
        }
        return self._error(
            call,
            reason,
            code=code,
            hint=hints.get(answer.status, _AGAIN),
            kind=PassingError if answer.status in _LATER else RemoteError,
        )

    def _error(
        self,
        call: Call,
        reason: str,
        *,
        code: str,
        hint: str | None = None,
        kind: type[RemoteError] = RemoteError,
    ) -> RemoteError:
        return kind(
            f"could not {call.doing} at `{self.registry}`: {reason}",
            service=self.registry,
            operation=call.method,
            code=code,
            hint=hint,
        )


def _pool(proxy: str | None) -> urllib3.PoolManager:
    settings: dict[str, Any] = {
        "retries": False,
        "maxsize": 8,
        "blocksize": CHUNK_BYTES,
        "timeout": urllib3.Timeout(connect=CONNECT_TIMEOUT_S, read=READ_TIMEOUT_S),
    }
    if proxy is None:
        return urllib3.PoolManager(**settings)
    parts = urlsplit(proxy)
    if parts.username:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        settings["proxy_headers"] = urllib3.make_headers(proxy_basic_auth=login)
    return urllib3.ProxyManager(proxy, **settings)


def is_safe(url: str, *, registry: str) -> bool:
    """Whether a registry may lead us to an address: by TLS, or from this machine to this machine.

    One that is elsewhere has no business with what listens here.
    """
    parts = urlsplit(url)
    is_here = is_loopback(registry) and is_loopback(parts.netloc)
    return parts.scheme == "https" or (parts.scheme == "http" and is_here)


def is_loopback(host: str) -> bool:
    """Whether a registry is on this machine, and needs no TLS."""
    name = urlsplit(f"//{host}").hostname or ""
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:  # another name: `127.0.0.1.example` is somebody else's
        return False


def _answer(response: urllib3.BaseHTTPResponse, url: str) -> Answer:
    return Answer(
        status=response.status,
        headers={name.lower(): value for name, value in response.headers.items()},
        body=_body(response),
        url=url,
    )


def _body(response: urllib3.BaseHTTPResponse) -> bytes:
    """Up to one byte over the bound; read until nothing comes, because only that shows a cut."""
    body = bytearray()
    while len(body) <= BODY_BYTES and (data := response.read(BODY_BYTES + 1 - len(body))):
        body += data
    return bytes(body)


def _reason(answer: Answer) -> tuple[str, str]:
    """The registry's own code and words, with nothing in them that a terminal would obey."""
    code, words = f"HTTP{answer.status}", ""
    try:
        first = json.loads(answer.body)["errors"][0]
        code = str(first.get("code") or code)[:60]
        words = str(first.get("message") or "")
    except (ValueError, LookupError, TypeError, AttributeError):
        words = answer.body[:200].decode("utf-8", "replace").strip()
    shown = "".join(letter for letter in words[:200] if letter.isprintable())
    return code, f"{answer.status} {code}" + (f": {shown}" if shown else "")
