"""IAM, STS, SNS, CloudWatch metrics and Application Auto Scaling, answered by moto in here.

    request ──▶ a change? ──▶ journal ──▶ moto ──▶ answer       what moto refuses is dropped again
                metric data ──▶ metric store

Who the caller is needs no asking: there is one pair of keys, and it is the account's own.

moto keeps its state in memory only. So each request that changed something is written to
the journal before it is answered, and a service's entries are played back to moto at the
first call of that service in the next life, less those that `compaction` drops. moto draws
ids from one random source and asks for the time in few places; both are set from the
journal entry before each call, live and played back, so that a role comes back with the
same id and date. Metric data have tables of their own, which `put_metrics` reaches without
moto.

moto is imported at the first call: that takes some 0.4 s and 40 MB. It is not safe
for threads, so all calls go through one worker thread. The local SageMaker's own parts ask
by `put_metrics`, `alarm_states`, `scalable_targets` and so on, with values.
"""

from __future__ import annotations

import asyncio
import gzip
import io
import logging
import secrets
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from portside.local.clock import Clock
from portside.local.delegated.alarm import AlarmState
from portside.local.delegated.compaction import superfluous
from portside.local.delegated.journal import Entry, Journal
from portside.local.delegated.metric_store import Datum, Metric, MetricStore, Period
from portside.local.delegated.scaling import ScalableTarget, ScalingPolicy
from portside.local.protocol.fault import Fault
from portside.local.protocol.message import Request, Response

if TYPE_CHECKING:
    from portside.local.delegated.moto_application import MotoApplication
    from portside.local.delegated.role_check import Role

_UNZIPPED_BYTES: Final = 4 * 1024 * 1024
"""Ours; the SDKs compress PutMetricData, which may have 1 MB (CloudWatch, "Service quotas")."""

_log = logging.getLogger(__name__)

T = TypeVar("T")


class Delegated:
    """The services that moto answers for; make with the journal's file, end with `stop`."""

    def __init__(self, journal_file: Path, *, account: str, region: str, clock: Clock) -> None:
        self._journal_file = journal_file
        self._account = account
        self._region = region
        self._clock = clock
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="delegated")
        self._journal: Journal | None = None
        self._metrics: MetricStore | None = None
        self._moto: MotoApplication | None = None
        self._played_back: set[str] = set()

    @property
    def is_loaded(self) -> bool:
        """Whether somebody has called yet."""
        return self._moto is not None

    def states(self) -> dict[str, str]:
        """The services by name: `ready`, or `idle` while nobody has called one yet."""
        return {
            name: "ready" if name in self._played_back else "idle"
            for name in ("iam", "sns", "cloudwatch", "application-autoscaling")
        }

    async def answer(self, service: str, request: Request, body: bytes) -> Response:
        """Answer a request whose signature was checked; `service` is botocore's name."""
        entry = Entry(
            time_ms=self._clock.now_ms(),
            seed=secrets.randbits(62),  # SQLite's integers have 63 bits and a sign
            service=service,
            method=request.method,
            path=request.path,
            query=request.query,
            content_type=request.header("content-type") or "",
            target=request.header("x-amz-target") or "",
            body=_unzipped(body) if request.header("content-encoding") == "gzip" else body,
        )
        if service == "sts" and entry.action == "GetCallerIdentity":
            return _caller_identity(self._account)
        return await self._run(lambda: self._answer(entry))

    async def put_metrics(self, data: Iterable[Datum]) -> None:
        """Keep what was measured, as PutMetricData does; moto is not needed for it."""
        measured, now_s = tuple(data), self._clock.now_ms() // 1000
        await self._run(lambda: self._metric_store().put(measured, now_s=now_s))

    async def metric_periods(
        self, metric: Metric, *, start_s: int, end_s: int, period_s: int
    ) -> list[Period]:
        """What was measured of a metric in `start_s ≤ time < end_s`, by periods, in order."""
        return await self._run(
            lambda: self._metric_store().periods(
                metric, start_s=start_s, end_s=end_s, period_s=period_s
            )
        )

    async def alarm_states(self, names: Sequence[str]) -> dict[str, AlarmState]:
        """The states of those alarms that there are, by name, evaluated now."""
        now_ms = self._clock.now_ms()

        def states() -> dict[str, AlarmState]:
            moto = self._moto_with("cloudwatch")
            return {} if moto is None else moto.alarm_states(names, now_ms=now_ms)

        return await self._run(states)

    async def scalable_targets(self) -> list[ScalableTarget]:
        """SageMaker's scalable targets."""

        def targets() -> list[ScalableTarget]:
            moto = self._moto_with("application-autoscaling")
            return [] if moto is None else moto.scalable_targets()

        return await self._run(targets)

    async def scaling_policies(self) -> list[ScalingPolicy]:
        """SageMaker's scaling policies."""

        def policies() -> list[ScalingPolicy]:
            moto = self._moto_with("application-autoscaling")
            return [] if moto is None else moto.scaling_policies()

        return await self._run(policies)

    async def role(self, arn: str) -> Role | None:
        """A role with its policies, None where there is none."""

        def role() -> Role | None:
            moto = self._moto_with("iam")
            return None if moto is None else moto.role(arn)

        return await self._run(role)

    async def stop(self) -> None:
        """Let the last call end, and close the files."""
        await self._run(self._close)
        await asyncio.to_thread(self._worker.shutdown)

    # --- In the worker's thread ----------------------------------------------

    async def _run(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._worker, function)

    def _close(self) -> None:
        for part in (self._moto, self._journal, self._metrics):
            if part is not None:
                part.close()

    def _answer(self, entry: Entry) -> Response:
        """Written down first: what moto has done cannot be undone where the disk is full."""
        moto = self._loaded(entry.service)
        if not entry.changes:
            return moto.call(entry)
        number, is_done = self._kept().append(entry), False
        try:
            response = moto.call(entry)
            is_done = response.status < 400
        finally:
            if not is_done:
                self._kept().drop([number])
        return response

    def _moto_with(self, service: str) -> MotoApplication | None:
        """moto, if a service has ever had anything; it is not imported to find nothing."""
        known = service in self._played_back or self._kept().has(service)
        return self._loaded(service) if known else None

    def _loaded(self, service: str) -> MotoApplication:
        if self._moto is None:
            # Here and not above, because it takes its time and not everybody calls IAM.
            from portside.local.delegated.moto_application import MotoApplication  # noqa: PLC0415  see above

            self._moto = MotoApplication(
                account=self._account, region=self._region, metrics=self._metric_store()
            )
        if service not in self._played_back:
            self._moto.load(service)
            self._play_back(service, self._moto)
            self._played_back.add(service)
        return self._moto

    def _play_back(self, service: str, moto: MotoApplication) -> None:
        journal = self._kept()
        entries = journal.entries(service)
        if dropped := superfluous(entries):
            journal.drop(dropped)
        for entry in (entry for number, entry in entries.items() if number not in dropped):
            try:
                refused = moto.call(entry).status >= 400
            except Fault:
                refused = True
            if refused:  # another version of moto may
                _log.warning("could not play back %s of %d", entry.action, entry.time_ms)

    def _kept(self) -> Journal:
        if self._journal is None:
            self._journal = Journal(self._journal_file)
        return self._journal

    def _metric_store(self) -> MetricStore:
        if self._metrics is None:
            now_s = self._clock.now_ms() // 1000
            self._metrics = MetricStore(self._journal_file, now_s=now_s)
        return self._metrics


def _unzipped(body: bytes) -> bytes:
    """Raises the `Fault` that a damaged or overlong body gets."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(body)) as file:
            content = file.read(_UNZIPPED_BYTES + 1)
    except (OSError, EOFError) as error:
        raise Fault("SerializationException", "The body is not gzip.") from error
    if len(content) > _UNZIPPED_BYTES:
        message = f"The uncompressed body exceeds {_UNZIPPED_BYTES} bytes."
        raise Fault("RequestEntityTooLargeException", message, status=413)
    return content


def _caller_identity(account: str) -> Response:
    """The account's root user, as AWS names it. API Reference of STS, GetCallerIdentity."""
    body = (
        '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
        f"<GetCallerIdentityResult><Arn>arn:aws:iam::{account}:root</Arn>"
        f"<UserId>{account}</UserId><Account>{account}</Account></GetCallerIdentityResult>"
        "</GetCallerIdentityResponse>"
    )
    return Response(status=200, headers=(("Content-Type", "text/xml"),), body=body.encode())
