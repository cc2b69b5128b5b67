"""Who may reach the gateway: this machine, and others only where the user said so twice."""

from __future__ import annotations

import socket

import pytest

from portside.errors import PortsideError, UsageError
from portside.local import listener

EVERYWHERE = "0.0.0.0"  # noqa: S104  nothing is bound to it


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "[::1]", "localhost"])
def test_this_machine_needs_no_permission(host: str):
    listener.require_permission(host, allow_remote=False, has_own_keys=False)


@pytest.mark.parametrize("host", [EVERYWHERE, "::", "192.168.1.5", "example.com", "localhost.evil"])
def test_others_need_two(host: str):
    with pytest.raises(UsageError, match=f"`{host}`: other machines could reach it") as refused:
        listener.require_permission(host, allow_remote=False, has_own_keys=True)
    assert "--allow-remote" in str(refused.value.hint)
    with pytest.raises(UsageError, match="of your choosing") as refused:
        listener.require_permission(host, allow_remote=True, has_own_keys=False)
    assert "PORTSIDE_SECRET_ACCESS_KEY" in str(refused.value.hint)

    listener.require_permission(host, allow_remote=True, has_own_keys=True)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:4566"),
        (EVERYWHERE, "http://127.0.0.1:4566"),
        ("::", "http://[::1]:4566"),
        ("192.168.1.5", "http://192.168.1.5:4566"),
    ],
)
def test_how_programs_on_this_machine_reach_it(host: str, url: str):
    assert listener.address(host, 4566) == url


def test_a_port_that_is_taken_is_named_with_the_next():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with (
            pytest.raises(PortsideError, match=f"`{port}`: another program") as refused,
            listener.listen("127.0.0.1", port),
        ):
            pass

    assert refused.value.hint == f"choose another with `portside local start --port {port + 1}`"


@pytest.mark.parametrize("host", ["203.0.113.1", "2001:db8::1"])
def test_an_address_of_another_machine_is_named(host: str):
    with (
        pytest.raises(UsageError, match=f"`{host}`: it is no address of this machine"),
        listener.listen(host, 0),
    ):
        pass
