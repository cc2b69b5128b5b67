"""Who we are at a registry: what `docker login` and `podman login` left on this machine.

    credHelpers[HOST], credsStore ─▶ docker-credential-NAME get     a keychain, ECR's helper, …
    auths[HOST].auth              ─▶ base64 of USER:PASSWORD
    auths[HOST].identitytoken     ─▶ a token to renew others by

The first file that knows the host counts. Source: docs.docker.com, "Credential stores", and
containers-auth.json(5).
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from portside.errors import BuildError, MissingToolError

_HELPER_TIMEOUT_S: Final = 60
"""A helper may ask its user to open a keychain."""

_TOKEN_USER: Final = "<token>"  # noqa: S105 - a mark: what follows is an identity token
_NOT_FOUND: Final = "credentials not found in native keychain"
_HELPER_NAME: Final = re.compile(r"[\w.-]+")
_HUB: Final = ("https://index.docker.io/v1/", "index.docker.io", "docker.io")


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """A user with a password, or an identity token; neither is ever shown."""

    user: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)

    @property
    def basic(self) -> str:
        """The value of an `Authorization` header."""
        return f"Basic {base64.b64encode(f'{self.user}:{self.password}'.encode()).decode()}"


def auth_files(environment: Mapping[str, str], home: Path) -> tuple[Path, ...]:
    """Where credentials may lie, in the order in which they count."""
    named = environment.get("REGISTRY_AUTH_FILE")
    runtime = environment.get("XDG_RUNTIME_DIR")
    docker = Path(environment.get("DOCKER_CONFIG") or home / ".docker")
    return (
        *((Path(named),) if named else ()),
        docker / "config.json",
        *((Path(runtime, "containers", "auth.json"),) if runtime else ()),
        home / ".config" / "containers" / "auth.json",
    )


def find_credential(registry: str, files: Iterable[Path]) -> Credential | None:
    """The credential for a registry's host; None where nobody has logged in."""
    names = _HUB if registry in _HUB else (registry, f"https://{registry}")
    for file in files:
        table = _read(file)
        for name in names:
            if found := _in_table(table, name):
                return found
    return None


def _read(file: Path) -> dict[str, Any]:
    try:
        table = json.loads(file.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError) as error:
        raise BuildError(
            f"cannot read the credentials in `{file}`: {error}",
            hint="mend the file, or log in anew with `docker login` or `podman login`",
        ) from error
    return table if isinstance(table, dict) else {}


def _in_table(table: Mapping[str, Any], name: str) -> Credential | None:
    helpers = table.get("credHelpers")
    if isinstance(helpers, dict) and isinstance(helper := helpers.get(name), str):
        return _from_helper(helper, name)
    auths = table.get("auths")
    entry = auths.get(name) if isinstance(auths, dict) else None
    if isinstance(entry, dict) and (found := _from_entry(entry, name)):
        return found
    if isinstance(store := table.get("credsStore"), str) and store:
        return _from_helper(store, name)
    return None


def _from_entry(entry: Mapping[str, Any], name: str) -> Credential | None:
    if isinstance(token := entry.get("identitytoken"), str) and token:
        return Credential(identity_token=token)
    if not isinstance(auth := entry.get("auth"), str) or not auth:
        return None
    try:
        text = base64.b64decode(auth, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise BuildError(
            f"the credential for `{name}` is not base64",
            hint=f"log in anew: `docker login {name}`",
        ) from error
    user, _, password = text.partition(":")
    return Credential(user=user, password=password.rstrip("\0"))


def _from_helper(helper: str, name: str) -> Credential | None:
    program = f"docker-credential-{helper}"
    path = shutil.which(program) if _HELPER_NAME.fullmatch(helper) else None
    if path is None:
        raise MissingToolError(
            f"the credential for `{name}` is kept by `{program}`, which is not installed",
            hint=f"install it, or log in without it: `podman login {name}`",
        )
    try:
        done = subprocess.run(
            [path, "get"],
            input=name,
            capture_output=True,
            text=True,
            check=False,
            timeout=_HELPER_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired as error:
        raise BuildError(
            f"`{program}` gave no answer in {_HELPER_TIMEOUT_S} s",
            hint=f"see what `echo {name} | {program} get` waits for",
        ) from error
    if done.returncode != 0:
        said = (done.stdout.strip() or done.stderr.strip()).splitlines()
        if said and _NOT_FOUND in said[0]:
            return None
        raise BuildError(
            f"`{program}` has no credential for `{name}`: {said[0] if said else 'it says nothing'}",
            hint=f"see what `echo {name} | {program} get` says",
        )
    return _from_answer(done.stdout, program)


def _from_answer(text: str, program: str) -> Credential:
    try:
        answer = json.loads(text)
        user, secret = str(answer["Username"]), str(answer["Secret"])
    except (ValueError, KeyError, TypeError) as error:
        raise BuildError(
            f"`{program}` gave an answer without a user and a secret",
            hint="sign in to the registry again, with `docker login` or `podman login`",
        ) from error
    if user == _TOKEN_USER:
        return Credential(identity_token=secret)
    return Credential(user=user, password=secret)
