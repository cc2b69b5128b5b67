"""The chaos test itself works: half a minute of it, and a ledger that can find fault."""

from __future__ import annotations

from tests.chaos.__main__ import run, small_disk
from tests.chaos.ledger import Ledger


def test_half_a_minute_of_trouble_loses_nothing() -> None:
    with small_disk() as (folder, is_small):
        ledger, faults = run(folder, is_small=is_small, seconds=25, seed=7)

    assert faults == []
    assert ledger.counts["acknowledged"] > 10
    assert ledger.counts["invocation: answered"] > 0


def test_what_is_lost_invented_or_changed_is_found() -> None:
    ledger = Ledger()
    for name, value in {"kept": "1", "lost": "1", "changed": "1"}.items():
        ledger.will_be(("object", name), value)
        ledger.is_now(("object", name), value)
    ledger.will_be(("object", "either"), "1")
    ledger.was_cut()
    before = ledger.will_be(("object", "refused"), "1")
    ledger.was_refused(("object", "refused"), before)

    there = {"kept": "1", "changed": "2", "invented": "1", "refused": "1"}
    faults = ledger.judge({("object", name): value for name, value in there.items()})

    assert faults == [
        "object changed is 2, and should be 1",
        "object lost is None, and should be 1",
        "object refused is 1, and should be None",
        "object invented was never asked for",
    ]
