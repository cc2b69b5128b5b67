"""What an instance counts, in the text format of Prometheus.

Written here, because a request may cost a few microseconds in all: a counter is
an integer and an observation a bisection, without locks, all in the event loop.
The format: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from portside.serving.memory import resident_bytes

if TYPE_CHECKING:
    from portside.serving.outcome import Outcome

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS: Final = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
    1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
)  # fmt: skip
_COUNTS: Final = (1, 2, 4, 8, 16, 32, 64, 128)
_TOKENS: Final = (8, 16, 32, 64, 128, 256, 512, 1024, 4096, 16384)


class Histogram:
    """Observations counted by the bound that they do not exceed."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, values: Iterable[float]) -> None:
        """Count observations."""
        bounds, counts, total = self._bounds, self._counts, self._sum
        for value in values:
            counts[bisect_left(bounds, value)] += 1
            total += value
        self._sum = total

    def lines(self, name: str, labels: str = "") -> Iterator[str]:
        """Its samples; `labels` as they stand between the braces, with a comma at the end."""
        bounds = [*(f"{bound:g}" for bound in self._bounds), "+Inf"]
        for bound, count in zip(bounds, accumulate(self._counts), strict=True):
            yield f'{name}_bucket{{{labels}le="{bound}"}} {count}'
        braces = f"{{{labels.rstrip(',')}}}" if labels else ""
        yield f"{name}_sum{braces} {self._sum}"
        yield f"{name}_count{braces} {sum(self._counts)}"


class Metrics:
    """All that one instance counts."""

    def __init__(self) -> None:
        self._statuses: Counter[int] = Counter()
        self._total = Histogram(_SECONDS)
        self._decode = Histogram(_SECONDS)
        self._queue = Histogram(_SECONDS)
        self._predict = Histogram(_SECONDS)
        self._encode = Histogram(_SECONDS)
        self._batch = Histogram(_COUNTS)
        self._tokens = Histogram(_TOKENS)
        self._by_stage = (
            self._decode,
            self._queue,
            self._predict,
            self._encode,
            self._batch,
            self._tokens,
        )
        """In the order of `Stages`."""

    def count(self, ended: Sequence[Outcome]) -> None:
        """Count requests for a prediction, however they ended; the stages of those that have any.

        Many at a time: see `outcome`.
        """
        self._statuses.update([outcome.status for outcome in ended])
        self._total.observe([outcome.total_s for outcome in ended])
        stages = [outcome.stages for outcome in ended if outcome.stages is not None]
        for histogram, values in zip(self._by_stage, zip(*stages, strict=True), strict=False):
            histogram.observe(values)

    def text(self, *, in_flight: int, is_ready: bool) -> str:
        """All metrics, with the gauges as they are now."""
        return "\n".join([*self._lines(in_flight=in_flight, is_ready=is_ready), ""])

    def _lines(self, *, in_flight: int, is_ready: bool) -> Iterator[str]:
        yield "# HELP portside_requests_total Requests for a prediction, by the status they got."
        yield "# TYPE portside_requests_total counter"
        for status, count in sorted(self._statuses.items()):
            yield f'portside_requests_total{{status="{status}"}} {count}'
        yield "# HELP portside_request_seconds From a request's arrival to its answer."
        yield "# TYPE portside_request_seconds histogram"
        yield from self._total.lines("portside_request_seconds")
        yield "# HELP portside_stage_seconds The stages of requests that were answered."
        yield "# TYPE portside_stage_seconds histogram"
        stages = {
            "decode": self._decode,
            "queue": self._queue,
            "predict": self._predict,
            "encode": self._encode,
        }
        for stage, histogram in stages.items():
            yield from histogram.lines("portside_stage_seconds", f'stage="{stage}",')
        yield "# HELP portside_batch_inputs Inputs in the largest batch that a request was part of."
        yield "# TYPE portside_batch_inputs histogram"
        yield from self._batch.lines("portside_batch_inputs")
        yield "# HELP portside_request_tokens Tokens of a request."
        yield "# TYPE portside_request_tokens histogram"
        yield from self._tokens.lines("portside_request_tokens")
        yield "# HELP portside_in_flight Requests that wait or run."
        yield "# TYPE portside_in_flight gauge"
        yield f"portside_in_flight {in_flight}"
        yield "# HELP portside_ready Whether the instance takes requests."
        yield "# TYPE portside_ready gauge"
        yield f"portside_ready {int(is_ready)}"
        if resident := resident_bytes():
            yield "# HELP process_resident_memory_bytes Resident memory size in bytes."
            yield "# TYPE process_resident_memory_bytes gauge"
            yield f"process_resident_memory_bytes {resident}"
