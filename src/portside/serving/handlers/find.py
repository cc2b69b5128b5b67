"""Whose code answers: found, loaded and warmed, before the instance calls itself healthy.

    1. the app that `PORTSIDE_APP` names                     an ASGI or WSGI app      mounted
    2. `inference.py` (or `SAGEMAKER_PROGRAM`) in `code`,
       else in the model folder, which defines
         a function of AWS's toolkits                        model_fn, transform_fn…  toolkit
         `predict` or `predict_batch`                        load_model, predict      function
    3. a TorchScript file                                    no code                  torch_script
    4. the checkpoint's own task                             no code                  task

The toolkits' names come first, because nobody calls a function `predict_fn` by
chance, while many of their files have a `predict` of their own beside it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from portside import contract
from portside.errors import PortsideError
from portside.serving.handlers.program import Program, find_program, import_program
from portside.serving.handlers.torch_file import check_weights, find_torch_script
from portside.serving.tasks.strategy import AggregationStrategy

if TYPE_CHECKING:
    from portside.serving.handlers.mounted import MountedApp
    from portside.serving.invocation import Handler

_APP_NAMES: Final = ("app", "application")
"""What ASGI and WSGI apps are usually called."""


def load_handler(
    model_dir: Path,
    *,
    program: str | None = None,
    strategy: AggregationStrategy = AggregationStrategy.AVERAGE,
    default_accept: str | None = None,
    app: str | None = None,
    threads: int = 1,
) -> Handler | MountedApp:
    """The handler of a model folder.

    `program` names the user's file, `app` an app in place of a handler, as `module:attribute`.
    `strategy` is what token classification does if a request does not say; `default_accept` the
    type of an answer where the caller leaves it open; `threads` how many calls of the user's code
    run at the same time. Raises PortsideError with the reason.
    """
    # The kinds are imported on demand: an instance needs one, and some load a framework.
    if app is not None:
        from portside.serving.handlers.mounted import load_app  # noqa: PLC0415 - see above

        return load_app(app, model_dir, threads=threads)
    path = find_program(model_dir, program)
    if path is not None:
        return _load_program(
            import_program(path),
            model_dir,
            strategy=strategy,
            default_accept=default_accept,
            threads=threads,
        )
    return _load_weights(
        model_dir, strategy=strategy, default_accept=default_accept, threads=threads
    )


def _load_program(
    program: Program,
    model_dir: Path,
    *,
    strategy: AggregationStrategy,
    default_accept: str | None,
    threads: int,
) -> Handler:
    from portside.serving.handlers import function, toolkit  # noqa: PLC0415 - see above

    if any(program.defines(name) for name in toolkit.FUNCTIONS):
        return toolkit.load_toolkit(
            program, model_dir, strategy=strategy, default_accept=default_accept, threads=threads
        )
    if any(program.defines(name) for name in function.FUNCTIONS):
        return function.load_functions(
            program, model_dir, default_accept=default_accept, threads=threads
        )
    raise PortsideError(f"`{program.path}` defines no handler", hint=_hint(program))


def _hint(program: Program) -> str:
    for name in _APP_NAMES:
        if program.defines(name):
            return f"set `{contract.ENV_APP}` to `{program.path.stem}:{name}` to serve that app"
    return "define `load_model(model_dir)` and `predict(data, model)`"


def _load_weights(
    model_dir: Path, *, strategy: AggregationStrategy, default_accept: str | None, threads: int
) -> Handler:
    path = find_torch_script(model_dir)
    if path is None:
        check_weights(model_dir)
        from portside.serving.handlers.task import load_task  # noqa: PLC0415 - see above

        return load_task(model_dir, strategy=strategy, default_accept=default_accept)
    try:
        from portside.serving.handlers.torch_script import load_torch_script  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise PortsideError(
            f"cannot serve `{path}`: no module `{error.name}`",
            hint="install `torch` in the image",
        ) from error
    return load_torch_script(path, default_accept=default_accept, threads=threads)
