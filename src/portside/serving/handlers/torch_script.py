"""A TorchScript file without code, as AWS's PyTorch container serves it.

    JSON, CSV ──▶ float tensor ──forward──▶ tensor ──▶ JSON, CSV, NPY
    NPY       ──▶ tensor of the array's type, floats as the model's ──▶ …

The body is the tensor, as nested lists or as an array, or `{"inputs": tensor}`.
The model runs on the GPU if there is one. Import this module only where such a
model is served: it loads torch.

The file is hostile until proven otherwise: `torch.jit.load` reads it, whose
unpickler knows tensors and plain values only, and never `torch.load`.
"""

from __future__ import annotations

import warnings
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

from portside.errors import PortsideError
from portside.serving import codecs
from portside.serving.codecs import JSON
from portside.serving.error import InvalidBodyError
from portside.serving.handlers.answer import make_answer
from portside.serving.handlers.openapi import Description
from portside.serving.invocation import Answer, BatchLimit, Invocation, Job

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

_EXPECTED: Final = "expected a tensor as nested lists of numbers, such as `[[1.0, 2.0]]`"

_BODY_TYPES: Final = (JSON, "application/jsonlines", "text/csv", "application/x-npy")

_TENSOR: Final = {
    "type": "array",
    "items": {"anyOf": [{"type": "number"}, {"$ref": "#/components/schemas/Tensor"}]},
}

_NUMBER_KINDS: Final = "biufc"
"""numpy's kinds of types that tensors have too: booleans, integers, floats, complex numbers."""

_FORWARD_ERRORS: Final = (RuntimeError, ValueError, IndexError, TypeError)
"""What torch raises for a tensor of a wrong shape or type."""

_ONE: Final = (1,)


class TorchModel:
    """A torch module, fed with decoded bodies."""

    def __init__(self, module: torch.nn.Module) -> None:
        self._device = find_device()
        self._module = module.to(self._device).eval()
        tensors = (*self._module.parameters(), *self._module.buffers())
        floats = (tensor.dtype for tensor in tensors if tensor.is_floating_point())
        self._float_type = next(floats, torch.float32)

    def tensor(self, body: object) -> torch.Tensor:
        """A decoded body as the model's input; 400 for what is none."""
        if isinstance(body, dict) and body.keys() == {"inputs"}:
            body = body["inputs"]
        tensor = body if isinstance(body, torch.Tensor) else to_tensor(body)
        is_float = tensor.is_floating_point()
        return tensor.to(self._device, self._float_type if is_float else tensor.dtype)

    def predict(self, tensor: torch.Tensor) -> object:
        """What `forward` makes of it; a single tensor as an array."""
        with torch.inference_mode():
            result = self._module(tensor)
        return _to_array(result) if isinstance(result, torch.Tensor) else result


class TorchScript(TorchModel):
    """A module out of a file, which nobody but the file's author knows.

    It says what shapes and types it takes only by failing, so whatever it raises is told to the
    caller as 400, but for what the caller cannot mend.
    """

    def predict(self, tensor: torch.Tensor) -> object:
        """What `forward` makes of it; 400 if it cannot take the tensor."""
        try:
            return super().predict(tensor)
        except _FORWARD_ERRORS as error:
            if isinstance(error, torch.OutOfMemoryError) or "CUDA error" in str(error):
                raise
            raise InvalidBodyError(
                f"the model does not take a tensor of shape {list(tensor.shape)} "
                f"and type `{str(tensor.dtype).removeprefix('torch.')}`: {_reason(error)}"
            ) from error


class TorchScriptHandler:
    """Answers with a TorchScript module alone."""

    def __init__(self, model: TorchModel, *, default_accept: str | None, threads: int) -> None:
        self.batch_limit = BatchLimit(runs=threads)
        self._model = model
        self._default_accept = default_accept or JSON

    def open(self, invocation: Invocation) -> Job:
        """Decode the body into a tensor."""
        tensor = self._model.tensor(codecs.decode(invocation.body, invocation.content_type))
        codecs.choose(invocation.accept, default=self._default_accept)
        finish = partial(self._finish, invocation.accept)
        return Job(inputs=(tensor,), sizes=_ONE, finish=finish)

    def run(self, inputs: Sequence[torch.Tensor]) -> Sequence[Any]:
        """The model's output for each."""
        return [self._model.predict(tensor) for tensor in inputs]

    def close(self) -> None:
        """Nothing to give back."""

    def describe(self) -> Description:
        """Tensors in, anything out."""
        reference = {"$ref": "#/components/schemas/Tensor"}
        wrapped = {
            "type": "object",
            "properties": {"inputs": reference},
            "required": ["inputs"],
            "additionalProperties": False,
        }
        return Description(
            request={"anyOf": [reference, wrapped]},
            components={"Tensor": _TENSOR},
            request_types=_BODY_TYPES,
            response_types=_BODY_TYPES,
            example=[[1.0, 2.0]],
            is_users_own=False,
        )

    def _finish(self, accept: str | None, results: Sequence[Any]) -> Answer:
        return make_answer(results[0], accept=accept, default_accept=self._default_accept)


def load_torch_script(
    path: Path, *, default_accept: str | None, threads: int
) -> TorchScriptHandler:
    """The handler of a TorchScript file."""
    return TorchScriptHandler(load_module(path), default_accept=default_accept, threads=threads)


def load_module(path: Path) -> TorchScript:
    """Read a TorchScript file, be it saved on a GPU or not."""
    try:
        with warnings.catch_warnings():
            # torch would rather have `torch.export`; the file is TorchScript all the same.
            warnings.simplefilter("ignore", DeprecationWarning)
            module = torch.jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call]  # torch's
    except (RuntimeError, ValueError) as error:
        raise PortsideError(
            f"cannot load `{path}` as TorchScript: {_reason(error)}",
            hint="save the model with `torch.jit.save(torch.jit.trace(model, example), path)`",
        ) from error
    model = TorchScript(module)
    _warm_up(model)
    return model


def _warm_up(model: TorchModel) -> None:
    """Set the interpreter and the GPU up, so that the first caller does not pay for it.

    The file does not say what tensors it takes; a forward that fails warms as well.
    """
    with suppress(InvalidBodyError):
        model.predict(model.tensor([0.0]))


# --- Tensors and arrays ---------------------------------------------------------


def find_device() -> torch.device:
    """The GPU, if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def to_tensor(body: object) -> torch.Tensor:
    """A decoded body as a tensor: of floats if it came as text, else of the array's own type.

    AWS's PyTorch container does the same. Raises InvalidBodyError for what is none.
    """
    if isinstance(body, np.ndarray):
        if body.dtype.kind not in _NUMBER_KINDS:
            raise InvalidBodyError(f"an array of type `{body.dtype}` is no tensor; send numbers")
        return _from_array(body)
    try:
        array = np.asarray(body)
    except ValueError as error:
        raise InvalidBodyError(f"{_EXPECTED}; the lists are of unequal length") from error
    if array.dtype.kind not in _NUMBER_KINDS:
        raise InvalidBodyError(_EXPECTED)
    return _from_array(array.astype(np.float64, copy=False))


def _from_array(array: npt.NDArray[Any]) -> torch.Tensor:
    # torch shares the memory of the array, which has to be in this machine's byte order, and
    # writable: that of a request's body is not.
    native = array.dtype.newbyteorder("=")
    return torch.from_numpy(np.require(array, dtype=native, requirements=["W", "A"]))


def _to_array(tensor: torch.Tensor) -> npt.NDArray[Any]:
    tensor = tensor.detach().cpu()
    # numpy has no bfloat16, and JSON no half of a float.
    return (tensor.float() if tensor.dtype in _HALVES else tensor).numpy()


_HALVES: Final = (torch.bfloat16, torch.float16)


def _reason(error: BaseException) -> str:
    """The last line of what torch says; those before are the stack of TorchScript's interpreter."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1].removeprefix("RuntimeError: ") if lines else type(error).__name__
