"""The functions of AWS's inference toolkits, for an `inference.py` that was written for them.

    model_fn(model_dir)                                    once
    input_fn(data, content_type)                           body to what the model takes
    predict_fn(data, model)
    output_fn(prediction, accept)                          prediction to body
    transform_fn(model, data, content_type, accept)        in place of the last three
    pre_model_fn(model_dir), model_warmup_fn(model_dir, model)

Each may take a context as one parameter more. What the toolkits do is kept:
JSON and CSV come as text and everything else as bytes; what `output_fn` or
`transform_fn` returns is the body, of the type asked for, or a pair of body and
type. Sources: `transformer.py` of sagemaker-inference-toolkit and
`handler_service.py` of sagemaker-huggingface-inference-toolkit.

What is mended: JSON and CSV are told by their media type, whatever parameters
follow (`text/csv; charset=utf-8`); of an `Accept` list the best type is handed
on; a format that is not supported is 415 or 406 and not 500; no traceback
leaves the instance. For functions that are left out see `default`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Final

from portside.errors import PortsideError
from portside.serving.codecs import JSON, charset
from portside.serving.codecs.media_type import MediaType, parse_media_type
from portside.serving.handlers.answer import make_answer, preferred_type, split_content_type
from portside.serving.handlers.context import ToolkitContext, system_properties
from portside.serving.handlers.default import (
    as_torch_model,
    default_predict,
    input_array,
    input_tensor,
    load_default_model,
)
from portside.serving.handlers.refusal import RefusedError, while_reading, while_writing
from portside.serving.invocation import Answer, BatchLimit, Invocation, Job

if TYPE_CHECKING:
    from pathlib import Path

    from portside.serving.handlers.program import Function, Program
    from portside.serving.tasks.strategy import AggregationStrategy

FUNCTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "model_fn": ("model_dir",),
    "input_fn": ("data", "content_type"),
    "predict_fn": ("data", "model"),
    "output_fn": ("prediction", "accept"),
    "transform_fn": ("model", "data", "content_type", "accept"),
}
"""What each takes; a file that defines any of them is the toolkits'."""

_REPLACED: Final = ("input_fn", "predict_fn", "output_fn")
"""By `transform_fn`."""

_TEXT_TYPES: Final = (JSON, "text/csv")
"""Bodies of these come as text. sagemaker-inference-toolkit, `content_types.UTF8_TYPES`."""

_ONE: Final = (1,)


def load_toolkit(
    program: Program,
    model_dir: Path,
    *,
    strategy: AggregationStrategy,
    default_accept: str | None,
    threads: int,
) -> ToolkitHandler:
    """The handler of a file that defines one of `FUNCTIONS`, its model loaded."""
    functions = {name: program.function(name, *takes) for name, takes in FUNCTIONS.items()}
    _check_mix(program, functions)
    properties = system_properties(model_dir)
    model = _load_model(program, functions["model_fn"], model_dir, properties, strategy=strategy)
    transform_fn = functions["transform_fn"]
    if transform_fn is not None:
        stages = _transform_stages(transform_fn, model)
    else:
        stages = _three_stages(program, functions, model)
    given = [function for function in functions.values() if function is not None]
    return ToolkitHandler(
        stages,
        system_properties=properties,
        takes_context=any(function.takes_context for function in given),
        default_accept=default_accept or JSON,
        batch_limit=BatchLimit(runs=threads),
    )


def _check_mix(program: Program, functions: Mapping[str, Function | None]) -> None:
    replaced = [f"`{name}`" for name in _REPLACED if functions[name] is not None]
    if functions["transform_fn"] is not None and replaced:
        raise PortsideError(
            f"`{program.path}` defines `transform_fn` and {' and '.join(replaced)}, "
            "which it replaces",
            hint="keep `transform_fn` or the others",
        )


def _load_model(
    program: Program,
    model_fn: Function | None,
    model_dir: Path,
    properties: Mapping[str, Any],
    *,
    strategy: AggregationStrategy,
) -> object:
    folder = str(model_dir)
    context = ToolkitContext(Invocation(body=b""), system_properties=properties)
    program.run_hook("pre_model_fn", folder, context=context)
    if model_fn is not None:
        model = program.load("model_fn", lambda: model_fn(folder, context=context))
    else:
        model = load_default_model(model_dir, strategy=strategy)
    program.run_hook("model_warmup_fn", folder, model, context=context)
    return model


# --- The handler ----------------------------------------------------------------


class ToolkitHandler:
    """Answers with the toolkits' functions, in three stages."""

    def __init__(
        self,
        stages: Stages,
        *,
        system_properties: Mapping[str, Any],
        takes_context: bool,
        default_accept: str,
        batch_limit: BatchLimit,
    ) -> None:
        self.batch_limit = batch_limit
        self._stages = stages
        self._system_properties = system_properties
        self._takes_context = takes_context
        self._default_accept = default_accept

    def open(self, invocation: Invocation) -> Job:
        """`input_fn`."""
        context = None
        if self._takes_context:
            context = ToolkitContext(invocation, system_properties=self._system_properties)
        request = Request(
            invocation=invocation,
            accept=preferred_type(invocation.accept) or self._default_accept,
            default_accept=self._default_accept,
            context=context,
        )
        with while_reading:
            data = self._stages.read(request)
        return Job(inputs=((data, request),), sizes=_ONE, finish=partial(self._finish, request))

    def run(self, inputs: Sequence[tuple[Any, Request]]) -> Sequence[Any]:
        """`predict_fn` or `transform_fn`."""
        with while_reading:
            return [self._stages.predict(data, request) for data, request in inputs]

    def close(self) -> None:
        """Nothing to give back."""

    def _finish(self, request: Request, predictions: Sequence[Any]) -> Answer:
        """`output_fn`."""
        with while_writing:
            return self._stages.write(predictions[0], request)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request as the functions see it."""

    invocation: Invocation
    accept: str
    """The one type that is asked for, or the default."""
    default_accept: str
    context: ToolkitContext | None
    """None where no function takes it."""

    def body(self) -> tuple[str | bytes, str | None]:
        """The body, JSON and CSV as text, and its content type, without parameters of those."""
        body, content_type = self.invocation.body, self.invocation.content_type
        media_type = _text_type(content_type) if content_type is not None else None
        if media_type is None:
            return body, content_type
        return charset.decode(body, media_type.charset), media_type.name

    def answer(self, result: object) -> Answer:
        """Of what a function returned as the body, or as a pair of body and content type."""
        headers, own_type = split_content_type(self._headers())
        content_type = own_type or self.accept
        match result:
            case tuple((body, str(chosen))):
                result, content_type = body, chosen
        if isinstance(result, str | bytes | bytearray):
            result = result.encode() if isinstance(result, str) else bytes(result)
            self._check_status(result)
            return Answer(body=result, content_type=content_type, headers=headers)
        return make_answer(
            result, accept=content_type, default_accept=self.default_accept, headers=headers
        )

    def encode(self, prediction: object) -> Answer:
        """Of what was predicted, where there is no `output_fn`."""
        return make_answer(
            prediction,
            accept=self.invocation.accept,
            default_accept=self.default_accept,
            headers=self._headers(),
        )

    def _headers(self) -> Mapping[str, str]:
        return self.context.response_headers if self.context is not None else {}

    def _check_status(self, body: bytes) -> None:
        """A handler may return its error as a body, after `context.set_response_status(400)`."""
        status = self.context.response_status if self.context is not None else 200
        if status >= 400:
            raise RefusedError(body.decode(errors="replace"), status=status)


@lru_cache(128)
def _text_type(content_type: str) -> MediaType | None:
    media_type = parse_media_type(content_type)
    return media_type if media_type.name in _TEXT_TYPES else None


# --- The stages -----------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Stages:
    """A request to data, data to a prediction, a prediction to the answer."""

    read: Callable[[Request], object]
    predict: Callable[[object, Request], object]
    write: Callable[[object, Request], Answer]


def _three_stages(
    program: Program, functions: Mapping[str, Function | None], model: object
) -> Stages:
    return Stages(
        read=_read_stage(program, functions["input_fn"], model),
        predict=_predict_stage(program, functions["predict_fn"], model),
        write=_write_stage(functions["output_fn"]),
    )


def _read_stage(
    program: Program, input_fn: Function | None, model: object
) -> Callable[[Request], object]:
    if input_fn is None:
        uses_torch = program.uses("torch") or as_torch_model(model) is not None
        read = input_tensor if uses_torch else input_array
        return lambda request: read(request.invocation)
    return lambda request: input_fn(*request.body(), context=request.context)


def _predict_stage(
    program: Program, predict_fn: Function | None, model: object
) -> Callable[[object, Request], object]:
    if predict_fn is not None:
        return lambda data, request: predict_fn(data, model, context=request.context)
    predict = default_predict(model)
    if predict is None:
        raise PortsideError(
            f"`{program.path}` does not define `predict_fn`, and a model of type "
            f"`{type(model).__name__}` neither can be called nor has a `predict`",
            hint="define `predict_fn(data, model)`",
        )
    return lambda data, _: predict(data)


def _write_stage(output_fn: Function | None) -> Callable[[object, Request], Answer]:
    if output_fn is None:
        return lambda prediction, request: request.encode(prediction)
    return lambda prediction, request: request.answer(
        output_fn(prediction, request.accept, context=request.context)
    )


def _transform_stages(transform_fn: Function, model: object) -> Stages:
    def transform(_: object, request: Request) -> object:
        body, content_type = request.body()
        return transform_fn(model, body, content_type, request.accept, context=request.context)

    return Stages(
        read=lambda _: None,
        predict=transform,
        write=lambda result, request: request.answer(result),
    )
