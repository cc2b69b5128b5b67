"""onnxruntime on the CPU: an `.onnx` file, arrays in, arrays out.

One session, one thread a run: as many runs at once as there are CPUs make the most of
them, and a run alone leaves the others to the event loop. Why these settings, and what a
second session for lonely callers would cost: `docs/decisions/0007-backend-settings.md`.

Import this module only where an ONNX model is served: it loads onnxruntime.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnxruntime

from portside.errors import PortsideError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
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


class OnnxRuntime:
    """A graph on all the CPUs that the process may use; may be run by several threads at once.

    Of the graph's outputs those that `outputs` names are computed. A graph that
    has other names for them has them first, in the same order.
    """

    def __init__(self, path: Path, *, outputs: Sequence[str]) -> None:
        self._session = _load(path)
        self._types = {
            node.name: _INTEGER_TYPES.get(node.type, np.int64)
            for node in self._session.get_inputs()
        }
        there = [node.name for node in self._session.get_outputs()]
        if len(there) < len(outputs):
            names = ", ".join(f"`{name}`" for name in outputs)
            raise PortsideError(f"cannot serve `{path}`: it has {len(there)} outputs, not {names}")
        is_named = set(outputs) <= set(there)
        self._outputs = list(outputs) if is_named else there[: len(outputs)]

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
        outputs = self._session.run(self._outputs, inputs)
        return [np.asarray(output, dtype=np.float32) for output in outputs]


def _load(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    options.enable_mem_pattern = False  # saves no time, and keeps one for each shape ever seen
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


def _usable_cpus() -> int:
    """The CPUs that the process may run on, which in a container are fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
