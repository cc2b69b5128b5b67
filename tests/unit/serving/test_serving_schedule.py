"""Laws of the schedule: whatever waits is run once, in fair order and within the limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from portside.serving.invocation import BatchLimit
from portside.serving.schedule import _RUN_TOKENS, Entry, Schedule


@dataclass(frozen=True)
class Take:
    """A thread that is free asks for a batch, `share - 1` others are free as well."""

    share: int


def make_entry(size: int, due: float = 0.0, *, is_alone: bool = False, owner: Any = None) -> Entry:
    return Entry(owner=owner, index=0, size=size, due=due, is_alone=is_alone)


LIMITS = st.builds(
    BatchLimit, inputs=st.integers(1, 8), tokens=st.integers(1, 200), runs=st.just(1)
)
ENTRIES = st.builds(
    make_entry,
    st.integers(0, 60),
    st.integers(0, 20).map(float),
    is_alone=st.booleans(),
)
STEPS = st.lists(st.one_of(ENTRIES, st.builds(Take, st.integers(1, 4))), max_size=60)


def is_shareable(entry: Entry, limit: BatchLimit) -> bool:
    return not entry.is_alone and limit.inputs > 1


@given(LIMITS, STEPS)
def test_each_input_is_in_one_batch_and_the_limits_hold(limit: BatchLimit, steps: list[Any]):
    schedule = Schedule(limit)
    waiting: list[Entry] = []  # in the order in which they came
    for step in [*steps, *[Take(1)] * len(steps)]:
        if isinstance(step, Entry):
            schedule.add(step)
            waiting.append(step)
            continue
        batch = schedule.take(share=step.share)
        check_batch(batch, waiting, limit, step.share)
        for entry in batch:
            waiting.remove(entry)  # fails for one that was taken before
        assert len(schedule) == len(waiting)
    assert waiting == []
    assert schedule.take() == []


def check_batch(batch: list[Entry], waiting: list[Entry], limit: BatchLimit, share: int) -> None:
    if not waiting:
        assert batch == []
        return
    first = min(waiting, key=lambda entry: entry.due)  # of equals the one that came first
    assert first in batch
    if len(batch) > 1:
        assert all(is_shareable(entry, limit) for entry in batch)
        assert len(batch) <= limit.inputs
        assert len(batch) <= -(-len(waiting) // share)
        assert len(batch) * max(entry.size for entry in batch) <= limit.tokens
    check_neighbors(batch, waiting, limit)


def check_neighbors(batch: list[Entry], waiting: list[Entry], limit: BatchLimit) -> None:
    """Nothing was left out that would have been padded less than what is in."""
    shareable = [entry for entry in waiting if is_shareable(entry, limit)]
    sizes = sorted(entry.size for entry in batch)
    left = [entry.size for entry in shareable if entry not in batch]
    assert not [size for size in left if sizes[0] < size < sizes[-1]]


@given(st.integers(2, 8), st.integers(1, 50), st.integers(1, 30))
def test_a_batch_of_equals_is_as_large_as_the_limit_allows(inputs: int, size: int, waiting: int):
    schedule = Schedule(BatchLimit(inputs=inputs))
    for _ in range(waiting):
        schedule.add(make_entry(size))

    assert len(schedule.take()) == min(inputs, waiting)


@given(st.lists(st.integers(1, 80), min_size=1, max_size=30))
def test_no_smaller_batch_around_the_first_would_cost_less_an_input(sizes: list[int]):
    schedule = Schedule(BatchLimit(inputs=8))
    for due, size in enumerate(sizes):
        schedule.add(make_entry(size, float(due)))

    batch = sorted(entry.size for entry in schedule.take())

    def cost(part: list[int]) -> float:
        padding = sum(part[-1] - size for size in part)
        return (_RUN_TOKENS + padding) / len(part)

    if len(batch) > 1:
        at = batch.index(sizes[0])
        assert cost(batch) <= cost(batch[at : at + 1])
        assert cost(batch) <= max(cost(batch[1:]), cost(batch[:-1]))


def test_a_long_input_does_not_pad_short_ones():
    schedule = Schedule(BatchLimit(inputs=8))
    for due, size in enumerate([10, 12, 100, 11]):
        schedule.add(make_entry(size, float(due)))

    batches = [[entry.size for entry in schedule.take()] for _ in range(2)]

    assert batches == [[10, 11, 12], [100]]


def test_neighbors_in_size_run_together():
    schedule = Schedule(BatchLimit(inputs=3))
    for size, due in [(10, 0.0), (50, 0.1), (11, 0.2), (49, 0.3), (9, 0.4), (51, 0.5)]:
        schedule.add(make_entry(size, due))

    batches = [[entry.size for entry in schedule.take()] for _ in range(3)]

    assert batches == [[9, 10, 11], [49, 50, 51], []]


def test_what_is_due_first_goes_first_however_long_it_is():
    schedule = Schedule(BatchLimit(inputs=2, tokens=100))
    schedule.add(make_entry(80, 0.0))
    for due in range(1, 5):
        schedule.add(make_entry(5, float(due)))

    assert [entry.size for entry in schedule.take()] == [80]


def test_an_input_over_the_limit_runs_alone():
    schedule = Schedule(BatchLimit(inputs=4, tokens=10))
    schedule.add(make_entry(30))
    schedule.add(make_entry(30, 1.0))

    assert [len(schedule.take()) for _ in range(3)] == [1, 1, 0]


def test_free_runs_share_what_waits():
    schedule = Schedule(BatchLimit(inputs=8, runs=2))
    for due in range(6):
        schedule.add(make_entry(5, float(due)))

    assert [len(schedule.take(share=2)), len(schedule.take(share=1))] == [3, 3]


def test_what_was_taken_is_not_kept():
    schedule = Schedule(BatchLimit(inputs=4))
    owners = [object(), object()]
    for owner in owners:
        schedule.add(make_entry(5, owner=owner))

    schedule.take()

    assert not schedule._by_age  # it refers to the owners, and so to the bodies of requests
    assert not schedule._by_size
