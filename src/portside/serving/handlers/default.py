"""What is done where a toolkit handler leaves a function out.

    no model_fn           a TorchScript file if there is one, else the checkpoint's own task
    no input_fn           the body decoded; numbers, in JSON or CSV, as a numpy array, or as a
                          tensor of floats if the model or the user's file is torch's
    no predict_fn         by the model:
        torch module          called with a tensor             PyTorch's container
        callable              model(inputs, **parameters)      Hugging Face's
        has `predict`         model.predict(data)              scikit-learn's
    no output_fn          written by a codec, in the type that `Accept` asks for

As in the toolkits, a CSV of one row or one column is an array of one dimension.
What they make of JSON that holds no numbers (an array of one object, or of
strings) is of no use to anyone, so that is handed on as it was decoded.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from portside.serving import codecs
from portside.serving.codecs import JSON
from portside.serving.codecs.media_type import parse_media_type
from portside.serving.handlers.torch_file import find_torch_script

if TYPE_CHECKING:
    from pathlib import Path

    from portside.serving.handlers.task import TaskHandler
    from portside.serving.handlers.torch_script import TorchModel
    from portside.serving.invocation import Invocation
    from portside.serving.tasks.strategy import AggregationStrategy

_NUMBERS: Final = "biuf"
"""numpy's kinds of types that hold booleans, integers and floats."""


class Pipeline:
    """A checkpoint's own task, called as transformers' pipelines are."""

    def __init__(self, task: TaskHandler) -> None:
        self._task = task

    def __call__(self, inputs: object, **parameters: object) -> object:
        """The answer to one input, or a list of answers to a list."""
        return self._task.predict({"inputs": inputs, "parameters": parameters})

    def answer(self, body: object) -> object:
        """The answer to a whole body."""
        return self._task.predict(body)


def load_default_model(model_dir: Path, *, strategy: AggregationStrategy) -> object:
    """The model of a handler without `model_fn`."""
    path = find_torch_script(model_dir)
    if path is not None:
        # Both are imported on demand: each brings its own framework.
        from portside.serving.handlers.torch_script import load_module  # noqa: PLC0415

        return load_module(path)
    from portside.serving.handlers.task import load_task  # noqa: PLC0415 - see above

    return Pipeline(load_task(model_dir, strategy=strategy))


def input_array(invocation: Invocation) -> object:
    """What `predict_fn` gets of a body where there is no `input_fn`."""
    value = codecs.decode(invocation.body, invocation.content_type)
    if not isinstance(value, list):
        return value
    import numpy as np  # noqa: PLC0415 - many handlers need none

    try:
        array = np.asarray(value)
    except ValueError:  # lists of unequal length
        return value
    if array.dtype.kind not in _NUMBERS:
        return value
    is_csv = parse_media_type(invocation.content_type or JSON).name == "text/csv"
    return array.squeeze() if is_csv else array


def input_tensor(invocation: Invocation) -> object:
    """The same for a handler that uses torch."""
    from portside.serving.handlers import torch_script  # noqa: PLC0415 - needs torch

    array: Any = input_array(invocation)
    if not hasattr(array, "dtype"):
        return array
    is_npy = parse_media_type(invocation.content_type or JSON).name == "application/x-npy"
    tensor = torch_script.to_tensor(array)
    return (tensor if is_npy else tensor.float()).to(torch_script.find_device())


def default_predict(model: object) -> Callable[[object], object] | None:
    """How a model of this kind is called where there is no `predict_fn`; None if it cannot be."""
    if isinstance(model, Pipeline):
        return model.answer
    if (torch_model := as_torch_model(model)) is not None:
        return lambda data: torch_model.predict(torch_model.tensor(data))
    if callable(model):
        return partial(_call, model)
    predict = getattr(model, "predict", None)
    return partial(_call_with_table, predict) if callable(predict) else None


def as_torch_model(model: object) -> TorchModel | None:
    """A model that is a module of torch; None for any other."""
    # Where nothing has imported torch, it is no module of it.
    torch = sys.modules.get("torch")
    if torch is None:
        return None
    from portside.serving.handlers.torch_script import TorchModel  # noqa: PLC0415 - needs torch

    if isinstance(model, torch.nn.Module):
        return TorchModel(model)
    return model if isinstance(model, TorchModel) else None


def _call(model: Callable[..., object], data: object) -> object:
    if isinstance(data, dict):
        return model(data.get("inputs", data), **(data.get("parameters") or {}))
    return model(data)


def _call_with_table(predict: Callable[[object], object], data: object) -> object:
    """scikit-learn wants a table, also of one row."""
    row: Any = data
    return predict(row.reshape(1, -1) if getattr(data, "ndim", None) == 1 else data)
