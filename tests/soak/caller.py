"""Callers of all kinds, each a loop with a seed and an end; they run in processes of their own.

    good         texts, alone and several at once; each answer is held against the first one
    bad          bodies, types, paths and methods that are refused
    vanishing    hang up at any byte of the request, or while the answer is made
    slow writer  a byte now and then, and never the last one
    slow reader  much is asked for, little is read
    pinging      `/ping`, each on a new connection as the platform does
    control      the same, to a server that does nothing

None of them waits for longer than the server may take, and all pause between
requests: the machine is shared by callers and server, and what is looked for
are leaks and wrong answers, not speed.
"""

from __future__ import annotations

import json
import random
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tests.contract.wire import Answer, Target, Wire, WireError, request_bytes

MOST_KEPT: Final = 20
"""Descriptions of what went wrong that one caller keeps."""

TEXTS: Final = [
    f"{name} {verb} {place}{end}"
    for name in ("Ada Lovelace", "Dr. Grace Hopper", "Jean-Baptiste Poquelin", "李小龙", "Nobody")
    for verb in ("lives at", "wrote from", "has never been to")
    for place in ("10 Downing Street, London", "221B Baker St.", "New York, NY 10001")
    for end in (".", " and may be called at +44 20 7946 0958; write to ada@example.com! " * 3)
]

LONE: Final = json.dumps({"inputs": TEXTS[1]}).encode()
MANY: Final = json.dumps({"strings": TEXTS}).encode()

SCORE_TOLERANCE: Final = 1e-3
"""Between an answer alone and one in a batch, where sums are made in another order."""


@dataclass(slots=True)
class Tally:
    """What one caller did, and what it did not like."""

    kind: str
    requests: int = 0
    seconds: list[float] = field(default_factory=list)
    """Of each answer, where they are timed."""
    wrong: list[str] = field(default_factory=list)

    def complain(self, text: str) -> None:
        """Note what went wrong."""
        if len(self.wrong) < MOST_KEPT:
            self.wrong.append(f"{self.kind}: {text}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """What a caller is told."""

    kind: str
    target: Target
    truth: Mapping[str, Any]
    """The answer to each text, asked for alone and in peace."""
    until: float
    """On the clock `time.monotonic`, which all processes of a machine share."""
    seed: int


def run_callers(errands: Sequence[Errand]) -> list[Tally]:
    """Run callers at the same time, each in a thread; to be called in a process of its own."""
    tallies = [Tally(kind=errand.kind) for errand in errands]
    threads = [
        threading.Thread(target=_run, args=(errand, tally), daemon=True)
        for errand, tally in zip(errands, tallies, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return tallies


def _run(errand: Errand, tally: Tally) -> None:
    draw = random.Random(errand.seed)  # noqa: S311 - repeatable, not secret
    while time.monotonic() < errand.until:
        try:
            _CALLERS[errand.kind](errand, draw, tally)
        except (OSError, WireError) as error:
            tally.complain(f"{type(error).__name__}: {error}")
            time.sleep(0.1)


# --- Good -----------------------------------------------------------------------


def _good(errand: Errand, draw: random.Random, tally: Tally) -> None:
    with errand.target.connect() as wire:
        for _ in range(draw.randint(1, 20)):
            texts = draw.choices(TEXTS, k=draw.choice((1, 1, 1, 2, 8)))
            answer = _ask(wire, json.dumps({"strings": texts}).encode())
            tally.requests += 1
            tally.seconds.append(answer.seconds)
            if answer.status != 200:
                tally.complain(f"status {answer.status}: {answer.text[:200]}")
            elif not is_same(json.loads(answer.body), [errand.truth[text] for text in texts]):
                tally.complain(f"another answer to {texts}: {answer.text[:500]}")
            time.sleep(draw.uniform(0, 0.1))


def _ask(wire: Wire, body: bytes) -> Answer:
    headers = {"Content-Type": "application/json"}
    return wire.ask("POST", "/invocations", headers=headers, body=body)


def is_same(one: Any, other: Any) -> bool:
    """Whether two answers say the same, but for the last digits of numbers."""
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) < SCORE_TOLERANCE
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(is_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(is_same, one, other))
    return bool(one == other)


# --- Bad ------------------------------------------------------------------------

_REFUSED: Final = (
    ("POST", "/invocations", {}, b"{", 400),
    ("POST", "/invocations", {}, b'{"neither": 1}', 400),
    ("POST", "/invocations", {}, b'{"inputs": ' * 500, 400),
    ("POST", "/invocations", {"Content-Type": "application/x-npy"}, b"\x93NUMPY", 400),
    ("POST", "/invocations", {"Content-Type": "application/x-other"}, b"a", 415),
    ("POST", "/invocations", {"Accept": "application/x-other"}, b'{"inputs": "a"}', 406),
    ("POST", "/invocations", {"Content-Length": str(2**40)}, b"", 413),
    ("GET", "/invocations", {}, b"", 405),
    ("GET", "/no/such/path", {}, b"", 404),
    ("GET", "/ping", {"X-Long": "a" * 2**17}, b"", 431),
    ("GET", "no-path\0", {}, b"", 400),
)


def _bad(errand: Errand, draw: random.Random, tally: Tally) -> None:
    method, path, headers, body, status = draw.choice(_REFUSED)
    answer = errand.target.ask(method, path, headers=headers, body=body)
    tally.requests += 1
    if answer.status != status:
        tally.complain(f"{answer.status} and not {status} to {method} {path}: {answer.text[:200]}")
    time.sleep(draw.uniform(0, 0.05))


def _vanishing(errand: Errand, draw: random.Random, tally: Tally) -> None:
    request = _request(MANY if draw.random() < 0.1 else LONE)
    with errand.target.connect() as wire:
        wire.send(request[: draw.choice((1, 40, len(request) // 2, len(request)))])
        time.sleep(draw.uniform(0, 0.05))
        if draw.random() < 0.5:
            # Without a word: the server gets a reset in place of an end.
            wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([1, *[0] * 7]))
    tally.requests += 1


def _slow_writer(errand: Errand, draw: random.Random, tally: Tally) -> None:
    request = _request(LONE)
    wires = [errand.target.connect() for _ in range(20)]
    try:
        for byte in request[: draw.randint(1, 40)]:
            for wire in wires:
                wire.send(bytes([byte]))
            time.sleep(0.25)
            if time.monotonic() > errand.until:
                break
    finally:
        for wire in wires:
            wire.close()
    tally.requests += len(wires)


def _slow_reader(errand: Errand, draw: random.Random, tally: Tally) -> None:
    with errand.target.connect(receive_bytes=4096) as wire:
        wire.send(_request(MANY) + request_bytes("GET", "/metrics") * 50)
        for _ in range(draw.randint(5, 20)):
            if draw.random() < 0.5 and time.monotonic() < errand.until:
                wire.socket.recv(1000)
                time.sleep(0.2)
    tally.requests += 51


def _request(body: bytes) -> bytes:
    headers = {"Content-Type": "application/json"}
    return request_bytes("POST", "/invocations", headers=headers, body=body)


# --- Ping -----------------------------------------------------------------------


def _pinging(errand: Errand, draw: random.Random, tally: Tally) -> None:
    started = time.monotonic()
    status = errand.target.ping().status
    tally.seconds.append(time.monotonic() - started)
    tally.requests += 1
    if status != 200:
        tally.complain(f"status {status}")
    time.sleep(draw.uniform(0.01, 0.05))


_CALLERS: Final[Mapping[str, Callable[[Errand, random.Random, Tally], None]]] = {
    "good": _good,
    "bad": _bad,
    "vanishing": _vanishing,
    "slow writer": _slow_writer,
    "slow reader": _slow_reader,
    "pinging": _pinging,
    "control": _pinging,
}
