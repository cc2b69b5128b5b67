"""CloudWatch's metric data, in a SQLite file: what was measured, and when.

    put ─▶ points of a second ─▶ after 3 hours: one statistic set a minute ─▶ after 15 days: gone

These are CloudWatch's own times (User Guide, "Metrics retention"): high-resolution points
live 3 hours, those of a minute 15 days. Beyond that CloudWatch keeps 5-minute and hourly
points, and this does not. A point is a statistic set (minimum, maximum, sum, count); equal
values of one second share one, so that percentiles can be told of the last 3 hours.
"""

from __future__ import annotations

import json
import math
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Final

RETENTION_S: Final = 15 * 24 * 3600
_RAW_S: Final = 3 * 3600
_COMPACT_EVERY_S: Final = 3600
"""Ours: one look through the file is some tenths of a second at a million points."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS metric_series (
    id INTEGER PRIMARY KEY, namespace TEXT, name TEXT, dimensions TEXT, unit TEXT,
    UNIQUE (namespace, name, dimensions, unit));
CREATE TABLE IF NOT EXISTS metric_point (
    series INTEGER, time_s INTEGER, minimum REAL, maximum REAL, count REAL, sum REAL,
    PRIMARY KEY (series, time_s, minimum, maximum)) WITHOUT ROWID;
"""

STATISTICS: Final = ("SampleCount", "Average", "Sum", "Minimum", "Maximum")
_PERCENTILE: Final = re.compile(r"p(100|[0-9]{1,2}(\.[0-9]+)?)")


def is_statistic(name: str) -> bool:
    """Whether it is one that a `Period` can tell."""
    return name in STATISTICS or _PERCENTILE.fullmatch(name) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """What is measured: a metric with all of its dimensions, as CloudWatch tells them apart."""

    namespace: str
    name: str
    dimensions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Datum:
    """A statistic set of a metric at one second; for a single value all but `count` equal it."""

    metric: Metric
    time_s: int
    minimum: float
    maximum: float
    sum: float
    count: float = 1.0
    unit: str = "None"

    @classmethod
    def of(
        cls, metric: Metric, value: float, *, time_s: int, count: float = 1.0, unit: str = "None"
    ) -> Datum:
        """A value that was measured `count` times."""
        return cls(
            metric=metric,
            time_s=time_s,
            minimum=value,
            maximum=value,
            sum=value * count,
            count=count,
            unit=unit,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """All that was measured in one period, from `time_s` on."""

    time_s: int
    points: Sequence[Datum]

    def statistic(self, name: str) -> float | None:
        """`Sum`, `Average`, `Minimum`, `Maximum`, `SampleCount` or a percentile such as `p99.9`.

        None for a percentile of statistic sets, which do not tell (User Guide,
        "Percentiles"). Raises ValueError for any other statistic.
        """
        match name:
            case "Sum":
                return math.fsum(point.sum for point in self.points)
            case "Average":
                return self._average()
            case "Minimum":
                return min(point.minimum for point in self.points)
            case "Maximum":
                return max(point.maximum for point in self.points)
            case "SampleCount":
                return self._count()
        if not is_statistic(name):
            raise ValueError(f"The statistic `{name}` is not built in the local SageMaker")
        return self._percentile(float(name[1:]))

    def _count(self) -> float:
        return math.fsum(point.count for point in self.points)

    def _average(self) -> float | None:
        count = self._count()
        return math.fsum(point.sum for point in self.points) / count if count else None

    def _percentile(self, percent: float) -> float | None:
        """The smallest value that at least so many percent of the samples do not exceed."""
        if any(point.minimum != point.maximum for point in self.points):
            return None
        needed, seen = percent / 100 * self._count(), 0.0
        for point in sorted(self.points, key=lambda point: point.minimum):
            seen += point.count
            if seen >= needed:
                return point.minimum
        return None


class MetricStore:
    """Metric data in a file. Used by one thread at a time."""

    def __init__(self, file: Path, *, now_s: int) -> None:
        self._connection = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")  # `kill -9` loses nothing of WAL
        self._connection.executescript(_SCHEMA)
        self._compacted_s = 0
        self.compact(now_s=now_s)

    def put(self, data: Iterable[Datum], *, now_s: int) -> None:
        """Keep what was measured, all of it or nothing."""
        with self._transaction():
            for datum in data:
                self._connection.execute(
                    "INSERT INTO metric_point VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE"
                    " SET count = count + excluded.count, sum = sum + excluded.sum",
                    (
                        self._series(datum.metric, datum.unit),
                        datum.time_s,
                        datum.minimum,
                        datum.maximum,
                        datum.count,
                        datum.sum,
                    ),
                )
        if now_s - self._compacted_s >= _COMPACT_EVERY_S:
            self.compact(now_s=now_s)

    def periods(
        self, metric: Metric, *, start_s: int, end_s: int, period_s: int, unit: str | None = None
    ) -> list[Period]:
        """The periods of `start_s ≤ time < end_s` in which something was measured, in order."""
        rows = self._connection.execute(
            "SELECT time_s, minimum, maximum, sum, count, unit FROM metric_point"
            " JOIN metric_series ON id = series WHERE namespace = ? AND name = ?"
            " AND dimensions = ? AND unit = coalesce(?, unit) AND time_s >= ? AND time_s < ?"
            " ORDER BY time_s",
            (metric.namespace, metric.name, _dump(metric.dimensions), unit, start_s, end_s),
        )
        points = (
            Datum(metric=metric, time_s=row[0], minimum=row[1], maximum=row[2], sum=row[3],
                  count=row[4], unit=row[5])
            for row in rows
        )  # fmt: skip

        def begin(point: Datum) -> int:
            return point.time_s - (point.time_s - start_s) % period_s

        return [
            Period(time_s=time_s, points=tuple(group)) for time_s, group in groupby(points, begin)
        ]

    def metrics(
        self,
        namespace: str | None,
        name: str | None,
        *,
        dimensions: Sequence[tuple[str, str | None]] = (),
    ) -> list[Metric]:
        """The metrics that have these dimensions, with any value where None is given."""
        rows = self._connection.execute(
            "SELECT DISTINCT namespace, name, dimensions FROM metric_series"
            " WHERE namespace = coalesce(?, namespace) AND name = coalesce(?, name)"
            " ORDER BY namespace, name, dimensions",
            (namespace, name),
        )
        found = [
            Metric(namespace=row[0], name=row[1], dimensions=dict(json.loads(row[2])))
            for row in rows
        ]
        return [metric for metric in found if _has(metric, dimensions)]

    def compact(self, *, now_s: int) -> None:
        """Drop what is older than 15 days; one statistic set a minute of what is older than 3 h."""
        self._compacted_s = now_s
        until_s = (now_s - _RAW_S) // 60 * 60
        with self._transaction():
            run = self._connection.execute
            run("DELETE FROM metric_point WHERE time_s < ?", (now_s - RETENTION_S,))
            run(
                "CREATE TEMP TABLE minute AS SELECT series, time_s / 60 * 60 AS time_s,"
                " min(minimum), max(maximum), sum(count), sum(sum) FROM metric_point"
                " WHERE time_s < ? GROUP BY 1, 2 HAVING count(*) > 1 OR min(time_s) % 60 > 0",
                (until_s,),
            )
            run(
                "DELETE FROM metric_point WHERE (series, time_s / 60 * 60) IN"
                " (SELECT series, time_s FROM minute) AND time_s < ?",
                (until_s,),
            )
            run("INSERT INTO metric_point SELECT * FROM minute")
            run("DROP TABLE minute")
            run("DELETE FROM metric_series WHERE id NOT IN (SELECT series FROM metric_point)")

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _series(self, metric: Metric, unit: str) -> int:
        named = (metric.namespace, metric.name, _dump(metric.dimensions), unit)
        self._connection.execute(
            "INSERT OR IGNORE INTO metric_series VALUES (NULL, ?, ?, ?, ?)", named
        )
        (number,) = self._connection.execute(
            "SELECT id FROM metric_series WHERE namespace = ? AND name = ? AND dimensions = ?"
            " AND unit = ?",
            named,
        ).fetchone()
        return int(number)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        with self._connection:  # commits, or rolls back what was raised in
            yield


def _dump(dimensions: Mapping[str, str]) -> str:
    return json.dumps(sorted(dimensions.items()))


def _has(metric: Metric, dimensions: Sequence[tuple[str, str | None]]) -> bool:
    return all(
        name in metric.dimensions and value in {None, metric.dimensions[name]}
        for name, value in dimensions
    )
