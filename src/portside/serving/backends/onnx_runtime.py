"""onnxruntime on the CPU: an `.onnx` file in, logits out.

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


class OnnxRuntime:
    """A session on all the CPUs that the process may use."""

    def __init__(self, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = _usable_cpus()
        options.log_severity_level = _ERRORS_ONLY
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        # onnxruntime's errors share no base class but Exception.
        except Exception as error:
            raise PortsideError(f"cannot load `{path}` with onnxruntime: {error}") from error
        inputs = self._session.get_inputs()
        self._types = {node.name: _INTEGER_TYPES.get(node.type, np.int64) for node in inputs}
        outputs = [node.name for node in self._session.get_outputs()]
        self._output = "logits" if "logits" in outputs else outputs[0]

    @property
    def input_names(self) -> Sequence[str]:
        """The graph's inputs."""
        return list(self._types)

    def run(self, feed: Mapping[str, npt.NDArray[np.int64]]) -> npt.NDArray[np.float32]:
        """The graph's `logits` (or its first output) for one batch."""
        inputs = {name: array.astype(self._types[name], copy=False) for name, array in feed.items()}
        [logits] = self._session.run([self._output], inputs)
        return np.asarray(logits, dtype=np.float32)


def _usable_cpus() -> int:
    """The CPUs that the process may run on, which in a container are fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
