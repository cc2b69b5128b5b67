"""Which inputs make the next batch; a plain value that knows no threads and no clock.

    The next batch grows around the input that is due first, by its neighbors in
    size, so that little is padded and nothing waits for ever: whatever else
    arrives, the input that is due first is in the batch.

An input is due when its request arrived. Of a request with many inputs each is
due a little later than the one before, so that others pass between them instead
of waiting for the whole of it.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from portside.serving.invocation import BatchLimit

SPACING_S: Final = 0.005
"""How much later each further input of one request is due: about the time that one takes."""

_RUN_TOKENS: Final = 30
"""What a run costs whatever is in it, in tokens: shared by its inputs, it makes up for some
padding. Measured: see `docs/decisions/0007-backend-settings.md`."""


@dataclass(slots=True, eq=False)
class Entry:
    """An input that waits, with whom it belongs to."""

    owner: Any
    index: int
    """Its place among the owner's inputs."""
    size: int
    """In tokens."""
    due: float
    """On the clock of whoever adds it, in seconds."""
    is_alone: bool = False
    """Whether it must not share a batch, because one that it shared failed."""
    is_taken: bool = False


_size = attrgetter("size")


class Schedule:
    """The inputs that wait, by age and by size."""

    def __init__(self, limit: BatchLimit) -> None:
        self._limit = limit
        self._by_age: list[tuple[float, int, Entry]] = []
        self._by_size: list[Entry] = []
        self._number = count()
        self._waiting = 0

    def __len__(self) -> int:
        return self._waiting

    def add(self, entry: Entry) -> None:
        """Let an input wait for its batch."""
        heappush(self._by_age, (entry.due, next(self._number), entry))
        if not entry.is_alone and self._limit.inputs > 1:
            insort(self._by_size, entry, key=_size)
        self._waiting += 1

    def take(self, *, share: int = 1) -> list[Entry]:
        """The next batch, or none; `share` is how many runs are free to take what waits.

        With two free runs and six inputs each gets three: two cores that work
        beat one that works on a larger batch.
        """
        while self._by_age:
            first = heappop(self._by_age)[2]
            if not first.is_taken:
                break
        else:
            return []
        batch = [first]
        if not first.is_alone and self._limit.inputs > 1:
            batch = self._around(first, most=min(self._limit.inputs, -(-self._waiting // share)))
        for entry in batch:
            entry.is_taken = True
        self._waiting -= len(batch)
        if not self._waiting:
            self._by_age.clear()  # what was taken by its size would be kept until it is due
        return batch

    def _around(self, first: Entry, *, most: int) -> list[Entry]:
        """The run of neighbors in size that contains `first` and pads the least, cut out.

        It grows for as long as an input costs the less beside its own tokens.
        """
        entries = self._by_size
        low = bisect_left(entries, first.size, key=_size)
        while entries[low] is not first:
            low += 1
        high = low + 1
        padding = 0
        while (inputs := high - low) < most:
            # By how much more is padded, with the next longer input and with the next shorter one.
            more: list[tuple[int, bool]] = []
            largest = entries[high - 1].size
            if high < len(entries) and self._fits(inputs + 1, entries[high].size):
                more.append((inputs * (entries[high].size - largest), False))
            if low > 0 and self._fits(inputs + 1, largest):
                more.append((largest - entries[low - 1].size, True))
            if not more:
                break
            added, is_shorter = min(more)
            if (_RUN_TOKENS + padding + added) * inputs > (_RUN_TOKENS + padding) * (inputs + 1):
                break
            padding += added
            if is_shorter:
                low -= 1
            else:
                high += 1
        batch = entries[low:high]
        del entries[low:high]
        return batch

    def _fits(self, inputs: int, size: int) -> bool:
        """Whether so many inputs, padded to `size`, stay within the limit."""
        return inputs * size <= self._limit.tokens
