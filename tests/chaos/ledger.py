"""What was asked for and what was answered, so that at the end it can be told what must be there.

asked ─▶ answered well  ─▶ it is so
      ├▶ refused        ─▶ it is as it was
      └▶ cut off        ─▶ it may be either
"""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field

Thing = tuple[str, str]
"""Kind and name of a resource."""


@dataclass
class Ledger:
    """What each thing may be at the end; None stands for not there.

    Each thing is asked for by one caller alone, so that the order of answers is that of acts.
    """

    may_be: dict[Thing, set[str | None]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def will_be(self, thing: Thing, value: str | None) -> set[str | None]:
        """It is being asked for, so it may be this as well; what it could be before."""
        with self._lock:
            before = self.may_be.get(thing, {None})
            self.may_be[thing] = before | {value}
            return before

    def is_now(self, thing: Thing, *values: str | None) -> None:
        """It was answered: it is one of these and nothing else."""
        with self._lock:
            self.may_be[thing] = set(values)
            self.counts["acknowledged"] += 1

    def was_refused(self, thing: Thing, before: set[str | None]) -> None:
        """It was refused: it is what it was."""
        with self._lock:
            self.may_be[thing] = before
            self.counts["refused"] += 1

    def was_cut(self) -> None:
        """Nobody can tell what became of it."""
        with self._lock:
            self.counts["cut off"] += 1

    def count(self, what: str) -> None:
        """One more of something that changes nothing."""
        with self._lock:
            self.counts[what] += 1

    def note_wrong(self, what: str) -> None:
        """Something that must never happen."""
        with self._lock:
            self.wrong.append(what)

    def judge(self, found: dict[Thing, str]) -> list[str]:
        """Everything that is lost, invented or not what it should be."""
        faults = list(self.wrong)
        for thing, allowed in sorted(self.may_be.items()):
            now = found.get(thing)
            if now not in allowed:
                wanted = " or ".join(sorted(str(each) for each in allowed))
                faults.append(f"{thing[0]} {thing[1]} is {now}, and should be {wanted}")
        faults += [
            f"{kind} {name} was never asked for"
            for kind, name in sorted(found.keys() - self.may_be.keys())
        ]
        return faults
