"""`/ping`: the one answer that SageMaker keeps or replaces an instance by."""

from __future__ import annotations

import time
from contextlib import ExitStack

import pytest

from tests.contract.conftest import Note
from tests.contract.load import load, probe
from tests.contract.wire import Target

PING_TIMEOUT_S = 2.0
"""For one attempt. Developer Guide, your-algorithms-inference-code."""

CONNECT_TIMEOUT_S = 0.25
"""To accept a connection. The same page."""


@pytest.mark.must
def test_ping_is_200(target: Target):
    assert target.ping().status == 200


@pytest.mark.should
def test_ping_may_be_a_post(target: Target):
    assert target.ask("POST", "/ping").status == 200


@pytest.mark.must
def test_ping_ignores_headers_that_it_does_not_know(target: Target):
    headers = {"User-Agent": "AHC/2.0", "Accept": "*/*", "X-Amzn-Whatever": "a, b;c=d"}

    assert target.ask("GET", "/ping", headers=headers).status == 200


@pytest.mark.must
def test_connections_are_accepted_within_250_ms(target: Target):
    for _ in range(5):
        with target.connect() as wire:
            assert wire.connect_s < CONNECT_TIMEOUT_S


@pytest.mark.must
def test_every_ping_is_answered_within_2_s_while_all_cores_predict(target: Target, note: Note):
    with load(target) as seen:
        pings = []
        connects_s = []
        for _ in range(60):
            started = time.monotonic()
            with target.connect() as wire:
                connects_s.append(wire.connect_s)
                status = wire.ask("GET", "/ping").status
            pings.append((status, time.monotonic() - started))
            time.sleep(0.02)

    slowest_s = max(seconds for _, seconds in pings)
    note(f"slowest of {len(pings)} pings under load: {1000 * slowest_s:.1f} ms")
    assert {status for status, _ in pings} == {200}
    assert slowest_s < PING_TIMEOUT_S
    assert max(connects_s) < CONNECT_TIMEOUT_S
    assert seen.statuses == {200}
    assert not seen.errors


@pytest.mark.should
def test_ping_is_answered_while_a_hundred_connections_idle(target: Target):
    with ExitStack() as idle:
        for _ in range(100):
            idle.enter_context(target.connect())

        answers = probe(target.ping, times=5)

    assert {answer.status for answer in answers} == {200}


@pytest.mark.should
def test_ping_is_answered_while_requests_arrive_slowly(target: Target):
    with ExitStack() as slow:
        for _ in range(20):
            wire = slow.enter_context(target.connect())
            wire.send(target.invocation()[:-1])

        answers = probe(target.ping, times=5)

    assert {answer.status for answer in answers} == {200}
