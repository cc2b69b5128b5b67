"""Stand-ins for time, the object store, instances and their HTTP, all in memory."""

from __future__ import annotations

import asyncio
import io
import tarfile
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from portside.local.instance import runtime_image
from portside.local.instance.instance_client import Answer, Stream
from portside.local.protocol.call import Call
from portside.local.s3.artifact_cache import ObjectMissingError, ObjectStoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from pathlib import Path

    from portside.local.instance.instance import InstanceSpec
    from portside.local.protocol.call import Value

ACCOUNT, REGION = "000000000000", "us-east-1"
ARN = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:"
IMAGE = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/portside-runtime:1"
URL = "s3://bucket/model.tar.gz"


def call(operation: str, /, service: str = "sagemaker", **params: Value) -> Call:
    return Call(
        service=service,
        operation=operation,
        params=params,
        account=ACCOUNT,
        region=REGION,
        request_id="request-1",
    )


def archive(**files: str) -> bytes:
    """A `model.tar.gz` of text files."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
    return out.getvalue()


class FakeClock:
    """Time that passes only by sleeping, at once: to when the first of all sleepers wakes."""

    def __init__(self) -> None:
        self.seconds = 1_700_000_000.0
        self._wake_times: list[float] = []

    def now_ms(self) -> int:
        return round(self.seconds * 1000)

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        wake_time = self.seconds + seconds
        self._wake_times.append(wake_time)
        try:
            while True:
                await asyncio.sleep(0)
                if wake_time <= min(self._wake_times):
                    break
        finally:
            self._wake_times.remove(wake_time)
        self.seconds = max(self.seconds, wake_time)


class FakeObjects:
    """An object store in memory, by address; counts what was downloaded."""

    def __init__(self, **objects: bytes) -> None:
        self.by_key = objects
        self.downloads: list[str] = []
        self.outages = 0  # how many times it is asked in vain

    async def exists(self, bucket: str, key: str) -> bool:
        if self.outages:
            self.outages -= 1
            raise ObjectStoreUnavailableError
        return bucket == "bucket" and key in self.by_key

    async def download(self, bucket: str, key: str, *, to: Path) -> None:
        self.downloads.append(key)
        await asyncio.sleep(0)
        if not await self.exists(bucket, key):
            raise ObjectMissingError(key)
        await asyncio.to_thread(to.write_bytes, self.by_key[key])


class FakeProcess:
    """What an instance runs in: healthy after some pings, ended by a test or a signal."""

    def __init__(
        self, spec: InstanceSpec, *, port: int, pings_needed: int = 1, obeys: bool = True
    ) -> None:
        self.spec = spec
        self.port = port
        self.pings_needed = pings_needed
        self.obeys = obeys
        self.hangs = False
        self.signals: list[str] = []
        self.group: int | None = port
        self._exit: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    @property
    def is_alive(self) -> bool:
        return not self._exit.done()

    async def wait(self) -> int:
        return await asyncio.shield(self._exit)

    def exit(self, code: int) -> None:
        if not self._exit.done():
            self._exit.set_result(code)

    def terminate(self) -> None:
        self.signals.append("TERM")
        if self.obeys:
            self.exit(0)

    def kill(self) -> None:
        self.signals.append("KILL")
        self.exit(-9)


class FakeLauncher:
    """Starts fake processes, and is their `/ping` too.

    `plan` says how each launch goes, in order: the number of pings until healthy, or
    `None` for one that exits at once; when it is used up, every launch is healthy.
    """

    def __init__(self, *plan: int | None) -> None:
        self.plan = list(plan)
        self.processes: list[FakeProcess] = []
        self.answers: list[bool] = []  # to the next pings, whoever is asked
        self.leftovers_killed = 0

    async def resolve(self, image: str) -> str:
        return runtime_image.resolve(image)

    async def launch(self, spec: InstanceSpec) -> FakeProcess:
        pings_needed = self.plan.pop(0) if self.plan else 1
        port = 10_000 + len(self.processes)
        process = FakeProcess(spec, port=port, pings_needed=pings_needed or 0)
        if pings_needed is None:
            process.exit(1)
        self.processes.append(process)
        return process

    def kill_leftovers(self) -> None:
        self.leftovers_killed += 1

    async def ping(self, port: int) -> bool:
        process = self.processes[port - 10_000]
        await asyncio.sleep(0)
        if self.answers:
            return self.answers.pop(0)
        if process.hangs:
            return False
        process.pings_needed -= 1
        return process.pings_needed <= 0 and process.is_alive

    @property
    def alive(self) -> list[FakeProcess]:
        return [process for process in self.processes if process.is_alive]


class FakeClient:
    """Answers invocations with what a test gave it, and remembers what it was asked."""

    def __init__(self, answer: Answer | Exception | None = None) -> None:
        self.answer = answer or Answer(status=200, headers={}, body=b"ok")
        self.headers: Mapping[str, str] = {}
        self.body = b""
        self.ports: list[int] = []
        self.takes_s = 0.0
        self.clock: FakeClock | None = None  # whose time it takes
        self.streams = 0  # that are open
        self.chunks: list[bytes | Exception] = []  # of a streamed answer, in place of its body

    @asynccontextmanager
    async def stream(
        self, port: int, *, headers: Mapping[str, str], body: bytes, timeout_s: float
    ) -> AsyncIterator[Stream]:
        answer = await self.invoke(
            port, headers=headers, body=body, timeout_s=timeout_s, max_answer_bytes=0
        )
        self.streams += 1
        try:
            yield Stream(status=answer.status, headers=answer.headers, chunks=self._chunks(answer))
        finally:
            self.streams -= 1

    async def _chunks(self, answer: Answer) -> AsyncIterator[bytes]:
        for chunk in self.chunks or [answer.body or b""]:
            if isinstance(chunk, Exception):
                raise chunk
            yield chunk

    async def invoke(
        self,
        port: int,
        *,
        headers: Mapping[str, str],
        body: bytes,
        timeout_s: float,
        max_answer_bytes: int,
    ) -> Answer:
        self.ports.append(port)
        self.headers, self.body = headers, body
        if self.clock is not None:
            await self.clock.sleep(self.takes_s)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


async def eventually(condition: Callable[[], bool]) -> None:
    """Let other tasks run until something holds; for threads too, so with a little real time."""
    async with asyncio.timeout(5):
        while True:
            if condition():
                return
            await asyncio.sleep(0.001)


async def settled(awaitable: Awaitable[object], *, turns: int = 50) -> bool:
    """Whether something ends within some turns of the event loop."""
    task = asyncio.ensure_future(awaitable)
    for _ in range(turns):
        await asyncio.sleep(0)
    ended = task.done()
    task.cancel()
    return ended
