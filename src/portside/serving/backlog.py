"""What waits for a thread: requests as they came in, and their inputs once opened.

The only part of the batcher that the event loop and the handler's threads touch
at the same time, and so the only one with a lock.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from portside.serving.schedule import SPACING_S, Entry, Schedule

if TYPE_CHECKING:
    from portside.serving.invocation import BatchLimit
    from portside.serving.ticket import Ticket

_OPENED_AHEAD: Final = 4
"""Batches' worth of requests that a thread opens before it runs one: enough to choose inputs of
like size from, and not so many that a free core waits."""


class Backlog:
    """Requests and inputs that wait, for as many threads as the limit has runs."""

    def __init__(self, limit: BatchLimit) -> None:
        # Where each thread runs one request at a time, what it took ahead would wait for it alone.
        self._most = _OPENED_AHEAD * limit.inputs if limit.inputs > 1 else 1
        self._inbox: queue.SimpleQueue[Ticket | None] = queue.SimpleQueue()
        self._schedule = Schedule(limit)
        self._lock = threading.Lock()
        self._idle = 0
        self._is_closed = False

    @property
    def is_closed(self) -> bool:
        """Whether nothing will come any more."""
        return self._is_closed

    def put(self, ticket: Ticket) -> None:
        """Let a request wait to be opened."""
        self._inbox.put(ticket)

    def close(self) -> None:
        """Nothing will come any more; whoever waits is woken to find it out."""
        self._is_closed = True
        self._inbox.put(None)

    def take_tickets(self) -> list[Ticket]:
        """Requests to open; waits for one if there is nothing to run either."""
        tickets = self._take_waiting()
        if not tickets and not self._schedule and not self._is_closed:
            self._wait_into(tickets)
        return tickets

    def _take_waiting(self) -> list[Ticket]:
        tickets: list[Ticket] = []
        try:
            while len(tickets) < self._most:
                ticket = self._inbox.get_nowait()
                if ticket is not None:
                    tickets.append(ticket)
                elif self._is_closed:
                    self._inbox.put(None)  # the others have to find it too
                    break
        except queue.Empty:
            pass
        return tickets

    def _wait_into(self, tickets: list[Ticket]) -> None:
        with self._lock:
            self._idle += 1
        ticket = self._inbox.get()
        with self._lock:
            self._idle -= 1
        if ticket is not None:
            tickets.append(ticket)
        elif self._is_closed:
            self._inbox.put(None)  # for the next that waits

    def add(self, ticket: Ticket, sizes: Sequence[int]) -> None:
        """Let the inputs of an opened request wait to be run."""
        with self._lock:
            for index, size in enumerate(sizes):
                due = ticket.arrived + index * SPACING_S
                self._schedule.add(Entry(owner=ticket, index=index, size=size, due=due))

    def add_alone(self, entries: list[Entry]) -> None:
        """Let inputs wait to be run again, each by itself."""
        with self._lock:
            for entry in entries:
                self._schedule.add(
                    Entry(
                        owner=entry.owner,
                        index=entry.index,
                        size=entry.size,
                        due=entry.due,
                        is_alone=True,
                    )
                )

    def take_batch(self) -> list[Entry]:
        """The next batch of inputs whose callers still wait; none if there is nothing to run."""
        with self._lock:
            while entries := self._schedule.take(share=self._idle + 1):
                entries = [entry for entry in entries if not entry.owner.is_over]
                if entries:
                    break
            if self._idle and self._schedule:
                self._inbox.put(None)  # wakes another thread for the rest
        return entries

    def settle(
        self, batch: Sequence[Entry], outputs: Sequence[Any], *, elapsed_s: float
    ) -> list[Ticket]:
        """Give each input's output to its request; those that now have all of theirs.

        Two threads may have run inputs of one request at the same time; one of
        them gets it back.
        """
        complete = []
        with self._lock:
            for ticket in {entry.owner for entry in batch}:
                ticket.predict_s += elapsed_s
                ticket.batch_size = max(ticket.batch_size, len(batch))
            for entry, output in zip(batch, outputs, strict=True):
                ticket = entry.owner
                ticket.outputs[entry.index] = output
                ticket.missing -= 1
                ticket.cost_s += elapsed_s / len(batch)
                if ticket.missing == 0:
                    complete.append(ticket)
        return complete
