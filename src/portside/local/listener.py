"""Where the gateway listens, and who may reach it there.

Models run with the rights of the user who started the local SageMaker, and whoever has
the keys can have it run what he likes. So it listens for this machine only, unless the
user says otherwise twice: with an option, and with keys that are the user's own choice.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from portside.errors import PortsideError, UsageError
from portside.local import DEFAULT_PORT
from portside.local.protocol.message import Request
from portside.local.signature.own_key import ACCESS_KEY_ID, SECRET_ACCESS_KEY

LOOPBACK: Final = "127.0.0.1"

_NO_ADDRESS: Final = {"0.0.0.0": LOOPBACK, "::": "::1"}  # noqa: S104  looked up, not bound here
"""Where to reach on this machine what listens on all addresses."""


def require_permission(host: str, *, allow_remote: bool, has_own_keys: bool) -> None:
    """Raise UsageError where other machines could reach `host` and nobody allowed them to."""
    if is_loopback(host):
        return
    if not allow_remote:
        raise UsageError(
            f"could not listen on `{host}`: other machines could reach it, "
            "and models run with your rights on this one",
            hint=f"add `--allow-remote` if they may, or use `--host {LOOPBACK}`",
        )
    if not has_own_keys:
        raise UsageError(
            f"could not listen on `{host}`: whoever has the keys can run code here, "
            "so they have to be of your choosing",
            hint=f"set `{ACCESS_KEY_ID}` and `{SECRET_ACCESS_KEY}` in the environment",
        )


def is_loopback(host: str) -> bool:
    """Whether a name or address, with or without brackets, is for this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def is_from_program(request: Request, *, loopback_only: bool) -> bool:
    """Whether no browser sent it, and it was meant for this machine (against DNS rebinding)."""
    host = (request.header("host") or "").rpartition(":")
    name = host[0] if host[2].isdecimal() else "".join(host)
    from_browser = request.header("origin") or request.header("sec-fetch-site")
    return not from_browser and (is_loopback(name) or not loopback_only)


@contextmanager
def listen(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that is bound; raises PortsideError where that cannot be."""
    with socket.socket(_family(host)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:  # a name that is not known is one of them
            raise _refusal(error, host=host, port=port) from error
        yield listener


def _refusal(error: OSError, *, host: str, port: int) -> PortsideError:
    if error.errno in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT} or isinstance(
        error, socket.gaierror
    ):
        return UsageError(
            f"could not listen on `{host}`: it is no address of this machine",
            hint=f"choose another with `--host`, such as `--host {LOOPBACK}`",
        )
    taken = error.errno == errno.EADDRINUSE
    reason = "another program uses it" if taken else error.strerror
    other = port + 1 if taken else DEFAULT_PORT
    return PortsideError(
        f"could not listen on port `{port}`: {reason}",
        hint=f"choose another with `portside local start --port {other}`",
    )


def address(host: str, port: int) -> str:
    """The URL at which programs on this machine reach what listens there."""
    reached = _NO_ADDRESS.get(host, host)
    return f"http://[{reached}]:{port}" if ":" in reached else f"http://{reached}:{port}"


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
