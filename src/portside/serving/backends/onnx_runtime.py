"""onnxruntime on the CPU: an `.onnx` file, arrays in, arrays out.

    run alone        ──▶ the wide session: all CPUs on one batch, for the shortest wait
    several at once  ──▶ the narrow one: a CPU for each batch, for the most batches a second

Two threads on one batch of short texts are 1.5 times as fast as one, and two
batches side by side are done 2.1 times as fast. So a lonely caller gets the first, and under load
everyone gets the second. Why these settings: `docs/decisions/0007-backend-settings.md`.

Import this module only where an ONNX model is served: it loads onnxruntime.
"""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnxruntime

from portside.errors import PortsideError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

_INTEGER_TYPES: Final[dict[str, type[np.integer[Any]]]] = {
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
}

_ERRORS_ONLY: Final = 3
"""onnxruntime's `log_severity_level`. Its warnings concern exporters, and bypass the log."""

_SLOW_FUSIONS: Final = ("SkipLayerNormFusion",)
"""onnxruntime 1.32's fused kernel takes five times as long as the two that it stands for."""

_WIDE_BYTES: Final = 150_000_000
"""A second session lays the weights out once more; greater ones are not worth the memory."""

_WIDE_DELAY_S: Final = 1.0
"""After the narrow session is loaded, so that the first predictions do not wait for it."""


class OnnxRuntime:
    """A graph on all the CPUs that the process may use; may be run by several threads at once.

    Of the graph's outputs those that `outputs` names are computed. A graph that
    has other names for them has them first, in the same order.
    """

    def __init__(self, path: Path, *, outputs: Sequence[str]) -> None:
        self._narrow = _load(path, threads=1)
        self._wide: onnxruntime.InferenceSession | None = None
        self._running = 0
        self._lock = threading.Lock()
        self._types = {
            node.name: _INTEGER_TYPES.get(node.type, np.int64) for node in self._narrow.get_inputs()
        }
        there = [node.name for node in self._narrow.get_outputs()]
        if len(there) < len(outputs):
            names = ", ".join(f"`{name}`" for name in outputs)
            raise PortsideError(f"cannot serve `{path}`: it has {len(there)} outputs, not {names}")
        is_named = set(outputs) <= set(there)
        self._outputs = list(outputs) if is_named else there[: len(outputs)]
        if self.runs > 1 and _size_bytes(path) <= _WIDE_BYTES:
            self._widen_later(path)

    @property
    def runs(self) -> int:
        """How many calls of `run` at the same time make the most of the CPUs."""
        return _usable_cpus()

    @property
    def input_names(self) -> Sequence[str]:
        """The graph's inputs."""
        return list(self._types)

    def run(self, feed: Mapping[str, npt.NDArray[np.int64]]) -> list[npt.NDArray[np.float32]]:
        """The outputs for one batch, of whatever float type the graph has them."""
        inputs = {name: array.astype(self._types[name], copy=False) for name, array in feed.items()}
        with self._session() as session:
            outputs = session.run(self._outputs, inputs)
        return [np.asarray(output, dtype=np.float32) for output in outputs]

    @contextmanager
    def _session(self) -> Iterator[onnxruntime.InferenceSession]:
        """The wide session for who finds nobody else running, the narrow one otherwise."""
        with self._lock:
            is_alone = self._running == 0
            self._running += 1
        try:
            yield self._wide if is_alone and self._wide is not None else self._narrow
        finally:
            with self._lock:
                self._running -= 1

    def _widen_later(self, path: Path) -> None:
        def widen() -> None:
            self._wide = _load(path, threads=self.runs)

        timer = threading.Timer(_WIDE_DELAY_S, widen)
        timer.daemon = True
        timer.start()


def _load(path: Path, *, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = _ERRORS_ONLY
    # The arena would keep room for the largest batch ever seen, and saves no time here.
    options.enable_cpu_mem_arena = False
    # Threads of a session look out for more work for a while, on CPUs that others could use.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    try:
        return onnxruntime.InferenceSession(
            str(path),
            options,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=list(_SLOW_FUSIONS),
        )
    # onnxruntime's errors share no base class but Exception.
    except Exception as error:
        raise PortsideError(f"cannot load `{path}` with onnxruntime: {error}") from error


def _size_bytes(path: Path) -> int:
    """Of the graph and of the weights that lie beside it, `model.onnx.data` or the like."""
    return sum(each.stat().st_size for each in path.parent.glob(f"{path.name}*"))


def _usable_cpus() -> int:
    """The CPUs that the process may run on, which in a container are fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
