"""What Portside has to reach, as ratios within one run: figures drift with the machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bench import deploy
from bench.image import MOST_CHANGE_S, MOST_FIRST_S, MOST_MEMORY_BYTES, MOST_PUSHED_BYTES
from bench.local import LEAST_REQUESTS_PER_S, MOST_OVERHEAD_MS
from bench.local_life import (
    MOST_ANSWER_MS,
    MOST_BYTES,
    MOST_BYTES_WITH_S3,
    MOST_START_S,
    MOST_START_WITH_S3_S,
)
from bench.no_op import CONNECTIONS
from bench.packing import EXPECTED_MEMORY_BYTES
from bench.peers import (
    BASELINE,
    FASTAPI,
    LITSERVE,
    PORTSIDE,
    PORTSIDE_ASGI,
    PORTSIDE_FP32,
    PORTSIDE_INT8,
    RAW_ASGI,
)
from bench.proving import EXPECTED_BYTES, EXPECTED_SECONDS
from bench.result import Result


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A ratio and its bound."""

    name: str
    figure: float
    bound: float
    is_least: bool = True
    """Whether `bound` is the least that the figure may be, and not the most."""

    @property
    def is_met(self) -> bool:
        """Whether the figure is on the right side of the bound."""
        return self.figure >= self.bound if self.is_least else self.figure <= self.bound


def make_bars(result: Result) -> list[Bar]:
    """Those of the parts that were run."""
    return [
        *_task_bars(result),
        *_limit_bars(result),
        *_overload_bars(result),
        *_no_op_bars(result),
        *_packing_bars(result),
        *_proving_bars(result),
        *_image_bars(result),
        *_deploy_bars(result),
        *_local_bars(result),
        *_local_life_bars(result),
    ]


def _task_bars(result: Result) -> Iterator[Bar]:
    if result.tasks is None:
        return
    baseline, int8 = result.tasks[BASELINE], result.tasks[PORTSIDE_INT8]
    for name, bound in ((PORTSIDE_INT8, 6.5), (PORTSIDE_FP32, 2.5)):
        yield Bar(
            name=f"{name}, strings/s at saturation, in those of the baseline",
            figure=result.tasks[name].saturated_strings_per_s / baseline.saturated_strings_per_s,
            bound=bound,
        )
    yield Bar(
        name=f"{PORTSIDE_INT8}, p50 at one connection, in that of the baseline",
        figure=int8.loads[1].p50_ms / baseline.loads[1].p50_ms,
        bound=1 / 4,
        is_least=False,
    )
    yield Bar(
        name=f"{PORTSIDE_INT8}, start to first prediction, in that of the baseline",
        figure=int8.prediction_s / baseline.prediction_s,
        bound=1 / 12,
        is_least=False,
    )
    yield Bar(
        name=f"{PORTSIDE_INT8}, resident memory, in that of the baseline",
        figure=int8.resident_bytes / baseline.resident_bytes,
        bound=1 / 3,
        is_least=False,
    )


def _limit_bars(result: Result) -> Iterator[Bar]:
    for name, limit in (result.limit or {}).items():
        yield Bar(
            name=f"{name}, strings/s at saturation, in those of the bare backend offline",
            figure=limit.share,
            bound=0.9,
        )


def _overload_bars(result: Result) -> Iterator[Bar]:
    if result.overload is not None:
        yield Bar(
            name="p99 of accepted requests at twice the capacity, in the p99 at half of it",
            figure=result.overload.ratio,
            bound=3,
            is_least=False,
        )
        # A 504 at the deadline bounds the p99 as well: what is accepted has to be answered.
        yield Bar(
            name="share of the requests accepted at twice the capacity that got no answer in time",
            figure=result.overload.twice.late_share,
            bound=0.01,
            is_least=False,
        )


def _no_op_bars(result: Result) -> Iterator[Bar]:
    if result.no_op is None:
        return
    for connections in CONNECTIONS:
        rates = {name: each[connections].requests_per_s for name, each in result.no_op.items()}
        for peer, bound in (
            (PORTSIDE_ASGI, 0.8),
            (RAW_ASGI, 0.8),
            (FASTAPI, 3),
            (LITSERVE, 15),
        ):
            yield Bar(
                name=f"no-op at {connections} connections, requests/s in those of {peer}"
                if connections > 1
                else f"no-op at one connection, requests/s in those of {peer}",
                figure=rates[PORTSIDE] / rates[peer],
                bound=bound,
            )


def _packing_bars(result: Result) -> Iterator[Bar]:
    seen = result.packing
    if seen is None:
        return
    yield Bar(
        name="int8 artifact of a checkpoint with optimizer state, bytes in those of tar",
        figure=seen.int8.size_bytes / seen.tar_trained.size_bytes,
        bound=1 / 8,
        is_least=False,
    )
    for name, times, bound in (
        ("int8, with optimizer state", seen.tar_trained.seconds / seen.int8.seconds, 4),
        ("fp32, with optimizer state", seen.tar_trained.seconds / seen.trained.seconds, 4),
        ("fp32, without", seen.tar_fp32.seconds / seen.fp32.seconds, 3),
    ):
        yield Bar(name=f"packing {name}, times faster than tar", figure=times, bound=bound)
    yield Bar(
        name="packing 3 GB, resident memory in 300 MB",
        figure=seen.sparse.peak_bytes / EXPECTED_MEMORY_BYTES,
        bound=1,
        is_least=False,
    )


def _proving_bars(result: Result) -> Iterator[Bar]:
    seen = result.proving
    if seen is None:
        return
    yield Bar(
        name="export, int8 and proof of the checkpoint, in 90 s",
        figure=seen.speed.seconds / EXPECTED_SECONDS,
        bound=1,
        is_least=False,
    )
    yield Bar(
        name="export, int8 and proof of the checkpoint, resident memory in 3 GB",
        figure=seen.speed.peak_bytes / EXPECTED_BYTES,
        bound=1,
        is_least=False,
    )
    if seen.trained is not None:
        yield Bar(
            name="int8 of a trained checkpoint that passed the gate, texts/s in those of fp32",
            figure=seen.trained.speedup,
            bound=2,
        )


def _image_bars(result: Result) -> Iterator[Bar]:
    seen = result.image
    if seen is None:
        return
    yield Bar(
        name="image of the example, times faster than podman's of the tutorial",
        figure=seen.podman_s / seen.first.seconds,
        bound=8,
    )
    memory = max(build.peak_bytes for build in (seen.first, seen.large))
    for name, figure, bound in (
        (
            "its bytes without the base, in those of podman's",
            seen.size_bytes / seen.podman_bytes,
            0.2,
        ),
        ("first build with a warm cache of wheels, in 6 s", seen.first.seconds / MOST_FIRST_S, 1),
        ("build after a change of the code, in 1 s", seen.changed.seconds / MOST_CHANGE_S, 1),
        ("pushed then, in 200 kB", seen.changed_pushed.sent_bytes / MOST_PUSHED_BYTES, 1),
        (
            "building with a layer of 1.5 GB, resident memory in 300 MB",
            memory / MOST_MEMORY_BYTES,
            1,
        ),
    ):
        yield Bar(name=name, figure=figure, bound=bound, is_least=False)


def _deploy_bars(result: Result) -> Iterator[Bar]:
    seen = result.deploy
    if seen is None:
        return
    for name, figure, bound in (
        ("deploy with nothing to do, in 1 s", seen.nothing_s / deploy.MOST_NOTHING_S, 1),
        ("calls that write, of that", seen.nothing_writes, 0),
        ("deploy of changed code, in 5 s", seen.change_s / deploy.MOST_CHANGE_S, 1),
        ("deploy from nothing, in 8 s", seen.first_s / deploy.MOST_FIRST_S, 1),
    ):
        yield Bar(name=name, figure=figure, bound=bound, is_least=False)


def _local_bars(result: Result) -> Iterator[Bar]:
    if result.local is None:
        return
    yield Bar(
        name="gateway's share of a warm invocation at p50, in 2 ms",
        figure=result.local.overhead_ms / MOST_OVERHEAD_MS,
        bound=1,
        is_least=False,
    )
    yield Bar(
        name="invocations/s of a handler that does nothing through the gateway, in 800",
        figure=result.local.gateway_full.requests_per_s / LEAST_REQUESTS_PER_S,
        bound=1,
    )


def _local_life_bars(result: Result) -> Iterator[Bar]:
    life = result.local_life
    if life is None:
        return
    slowest_ms = max(
        life.describe_endpoint_ms,
        life.list_endpoints_ms,
        life.describe_model_ms,
        life.list_models_ms,
    )
    for name, figure in (
        ("local start to its first answer without S3, in 1 s", life.start_s / MOST_START_S),
        ("with S3, in 2.5 s", life.start_with_s3_s / MOST_START_WITH_S3_S),
        ("idle local SageMaker without S3, in 120 MB", life.idle_bytes / MOST_BYTES),
        ("with SeaweedFS, in 350 MB", life.idle_with_s3_bytes / MOST_BYTES_WITH_S3),
        ("200 endpoints or 1,000 Models told of at p50, in 5 ms", slowest_ms / MOST_ANSWER_MS),
    ):
        yield Bar(name=name, figure=figure, bound=1, is_least=False)
