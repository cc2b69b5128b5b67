"""What the machine could do: the bare backend, offline, and the matrix products that it is made of.

    screen    each way to run the graph (threads, batch size) over a part of the texts
    rounds    Portside under load; the best ways over all the texts; matrix products
    medians over the rounds, and the best of the best

Offline nothing arrives and nobody waits: all texts are tokenized beforehand,
sorted by length and cut into batches, so that next to nothing is padded. No
HTTP, no JSON, no entities.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import onnxruntime
from tokenizers import Tokenizer

from bench.load import make_bodies, run_load
from bench.model import Models
from bench.peers import PORTSIDE_FP32, PORTSIDE_INT8, portside
from bench.place import say
from bench.server import Running, running
from bench.task_speed import STRINGS

BATCH_SIZES: Final = (1, 2, 4, 8, 16)
SCREENED: Final = 4
"""Every fourth text is enough to tell a good way from a bad one."""

FINALISTS: Final = 2
CONNECTIONS: Final = 32
WARM_UP_S: Final = 1.0

Batch = dict[str, npt.NDArray[np.int64]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A way to run a graph: `streams` calls at a time, each on so many threads."""

    streams: int
    threads: int
    batch_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendLimit:
    """One precision, in texts a second."""

    way: Way
    backend: float
    """The bare backend, in the best way."""
    portside: float
    """Portside under load, in the same rounds."""
    machine: float
    """As many as the machine's own matrix products of this precision would allow."""

    @property
    def share(self) -> float:
        """How much of the bare backend Portside brings out."""
        return self.portside / self.backend


def measure_limit(
    models: Models, texts: Sequence[str], *, logs: Path, rounds: int, seconds: float
) -> dict[str, BackendLimit]:
    """Both precisions, in so many rounds."""
    products = {PORTSIDE_INT8: make_int8_product(), PORTSIDE_FP32: make_fp32_product()}
    folders = {PORTSIDE_INT8: models.int8, PORTSIDE_FP32: models.fp32}
    return {
        name: _measure(
            name,
            folder,
            texts,
            product_rate=products[name],
            logs=logs,
            rounds=rounds,
            seconds=seconds,
        )
        for name, folder in folders.items()
    }


def _measure(
    name: str,
    model: Path,
    texts: Sequence[str],
    *,
    product_rate: Callable[[], float],
    logs: Path,
    rounds: int,
    seconds: float,
) -> BackendLimit:
    backend = Backend(model, texts)
    say(f"limit: ways to run the graph of {name}")
    screened = {way: backend.rate(way, step=SCREENED) for way in ways()}
    finalists = sorted(screened, key=screened.__getitem__, reverse=True)[:FINALISTS]
    server: list[float] = []
    bare: dict[Way, list[float]] = {way: [] for way in finalists}
    machine: list[float] = []
    with running(portside(model, name=name), logs) as started:
        started.wait_for_ping()
        run_load(started, make_bodies(texts), connections=CONNECTIONS, duration_s=WARM_UP_S)
        for number in range(1, rounds + 1):
            say(f"limit, round {number} of {rounds}: {name}")
            server.append(_saturate(started, texts, seconds=seconds))
            for way in finalists:
                bare[way].append(backend.rate(way))
            machine.append(product_rate() / operations_per_text(model, texts))
    medians = {way: statistics.median(rates) for way, rates in bare.items()}
    best = max(medians, key=medians.__getitem__)
    return BackendLimit(
        way=best,
        backend=medians[best],
        portside=statistics.median(server),
        machine=statistics.median(machine),
    )


def _saturate(started: Running, texts: Sequence[str], *, seconds: float) -> float:
    """Strings a second, the better of two ways to ask."""
    single, many = make_bodies(texts), make_bodies(texts, each=STRINGS)
    ones = run_load(started, single, connections=CONNECTIONS, duration_s=seconds)
    eights = run_load(started, many, connections=STRINGS, duration_s=seconds)
    return max(ones.requests_per_s, STRINGS * eights.requests_per_s)


# --- The bare backend ---------------------------------------------------------------


def ways() -> list[Way]:
    """All cores on one call, or a call on each core; with every batch size."""
    cores = os.cpu_count() or 1
    spreads = {(1, cores), (cores, 1)}
    return [
        Way(streams=streams, threads=threads, batch_size=size)
        for (streams, threads), size in product(sorted(spreads), BATCH_SIZES)
    ]


class Backend:
    """onnxruntime on a model folder, and the texts as it reads them."""

    def __init__(self, model: Path, texts: Sequence[str]) -> None:
        self._model = model
        tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
        encoded = (encoding.ids for encoding in tokenizer.encode_batch(list(texts)))
        self._ids: list[list[int]] = sorted(encoded, key=len)
        self._sessions: dict[int, onnxruntime.InferenceSession] = {}
        """By their threads; loading one takes longer than some measurements."""

    def rate(self, way: Way, *, step: int = 1) -> float:
        """Texts a second, over every `step`th of them."""
        session = self._session(way.threads)
        ids = self._ids[::step]
        batches = [
            self._batch(ids[n : n + way.batch_size]) for n in range(0, len(ids), way.batch_size)
        ]
        session.run(None, batches[-1])  # the first call is slow, the largest makes room for all
        with ThreadPoolExecutor(way.streams) as threads:
            started = time.perf_counter()
            # The longest first, so that no stream is left alone with them at the end.
            list(threads.map(lambda batch: session.run(None, batch), reversed(batches)))
            return len(ids) / (time.perf_counter() - started)

    def _session(self, threads: int) -> onnxruntime.InferenceSession:
        if threads not in self._sessions:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = threads
            self._sessions[threads] = onnxruntime.InferenceSession(
                self._model / "model.onnx",
                options,
                providers=["CPUExecutionProvider"],
                # As the instance has it: the fused kernel is the slower one.
                disabled_optimizers=["SkipLayerNormFusion"],
            )
        return self._sessions[threads]

    @staticmethod
    def _batch(ids: Sequence[Sequence[int]]) -> Batch:
        longest = max(len(each) for each in ids)
        padded = [[*each, *[0] * (longest - len(each))] for each in ids]
        mask = [[1] * len(each) + [0] * (longest - len(each)) for each in ids]
        return {"input_ids": np.array(padded), "attention_mask": np.array(mask)}


# --- The machine's own matrix products ----------------------------------------------

ROWS: Final = 512
WIDTH: Final = 768
INNER: Final = 3072
"""The largest products of DistilBERT-base: 512 tokens through the first half of a layer's
feed-forward part."""

LAYERS: Final = 6
PRODUCT_S: Final = 1.0
"""How long each is repeated."""

_OPERATIONS: Final = 2 * ROWS * WIDTH * INNER


def operations_per_text(model: Path, texts: Sequence[str]) -> float:
    """Additions and multiplications in the weights' products, for a text of mean length.

    Per token and layer four products of 768 x 768 and two of 768 x 3072. The products among
    tokens, below 1 % at this length, and all else that a layer does are left out.
    """
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    tokens = statistics.mean(len(each) for each in tokenizer.encode_batch(list(texts)))
    return tokens * LAYERS * 2 * (4 * WIDTH * WIDTH + 2 * WIDTH * INNER)


def make_fp32_product() -> Callable[[], float]:
    """Operations a second of numpy's product, on all cores."""
    draw = np.random.default_rng(0)
    left = draw.standard_normal((ROWS, WIDTH), dtype=np.float32)
    right = draw.standard_normal((WIDTH, INNER), dtype=np.float32)
    return lambda: _rate(lambda: left @ right)


def make_int8_product() -> Callable[[], float]:
    """Operations a second of onnxruntime's product of uint8 and int8, on all cores."""
    from onnx import TensorProto, helper, numpy_helper  # noqa: PLC0415 - takes half a second

    draw = np.random.default_rng(0)
    weights = draw.integers(-127, 127, (WIDTH, INNER), dtype=np.int8)
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["left", "right"], ["product"])],
        "product",
        [helper.make_tensor_value_info("left", TensorProto.UINT8, [ROWS, WIDTH])],
        [helper.make_tensor_value_info("product", TensorProto.INT32, [ROWS, INNER])],
        # A constant, so that it is laid out for the processor once.
        [numpy_helper.from_array(weights, "right")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = os.cpu_count() or 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    feed = {"left": draw.integers(0, 255, (ROWS, WIDTH), dtype=np.uint8)}
    return lambda: _rate(lambda: session.run(None, feed))


def _rate(multiply: Callable[[], object]) -> float:
    multiply()
    times = []
    until = time.perf_counter() + PRODUCT_S
    while (started := time.perf_counter()) < until:
        multiply()
        times.append(time.perf_counter() - started)
    return _OPERATIONS / statistics.median(times)
