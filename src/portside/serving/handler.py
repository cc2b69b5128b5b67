"""Whose code answers: the user's functions if there are any, else the checkpoint's own task.

The user's file (`inference.py`, or what `SAGEMAKER_PROGRAM` names) is looked for
in `<model folder>/code`, where AWS's framework containers have it, then in the
model folder itself. It is imported with its own folder on `sys.path`, so that it
can import what lies beside it, and defines

    def load_model(model_dir: str) -> Model: ...
    def predict(data, model: Model) -> Answer: ...

`load_model` is called once, before the instance calls itself healthy. `predict`
is called for each request, one at a time and always in the thread that loaded
the model, so neither has to be thread-safe. `data` is the list in a body
`{"strings": [...]}`, or else the decoded JSON value as it is.
"""

from __future__ import annotations

import importlib.util
import sys
from typing import TYPE_CHECKING, Any, Final, Protocol

from portside import contract
from portside.errors import PortsideError
from portside.serving.tasks.strategy import AggregationStrategy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType


class Handler(Protocol):
    """Answers decoded bodies; raises RequestError for one that the caller has to mend."""

    def predict(self, body: object) -> object:
        """The answer, of things that the codec can write."""
        ...


def load_handler(
    model_dir: Path,
    *,
    program: str | None = None,
    strategy: AggregationStrategy = AggregationStrategy.AVERAGE,
) -> Handler:
    """Find, load and warm the handler of a model folder; `program` names the user's file."""
    path = _find_program(model_dir, program)
    if path is not None:
        return _load_user_handler(path, model_dir)
    return load_task(model_dir, strategy=strategy)


def _find_program(model_dir: Path, program: str | None) -> Path | None:
    # The SageMaker Python SDK also sets the name without `.py`.
    name = program or contract.DEFAULT_PROGRAM
    name = name if name.endswith(".py") else f"{name}.py"
    folders = (model_dir / contract.CODE_DIR_NAME, model_dir)
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    if program is not None:
        raise PortsideError(
            f"cannot find `{name}`, which `{contract.ENV_PROGRAM}` names, "
            f"in `{folders[0]}` or `{folders[1]}`",
            hint=f"put the file there, or unset `{contract.ENV_PROGRAM}`",
        )
    return None


# --- The user's functions -------------------------------------------------------


class UserHandler:
    """`load_model` and `predict` of the user's file, with the model that the first returned."""

    def __init__(self, predict: Callable[[Any, Any], object], model: object) -> None:
        self._predict = predict
        self._model = model

    def predict(self, body: object) -> object:
        """What the user's `predict` makes of the body's data."""
        data = body["strings"] if isinstance(body, dict) and "strings" in body else body
        return self._predict(data, self._model)


_FUNCTIONS: Final = ("load_model", "predict")


def _load_user_handler(path: Path, model_dir: Path) -> UserHandler:
    module = _import_file(path)
    functions = {name: getattr(module, name, None) for name in _FUNCTIONS}
    missing = [name for name, function in functions.items() if not callable(function)]
    if missing:
        raise PortsideError(
            f"`{path}` does not define {' and '.join(f'`{name}`' for name in missing)}",
            hint="define `load_model(model_dir)` and `predict(data, model)`",
        )
    try:
        model = module.load_model(str(model_dir))
    except (Exception, SystemExit) as error:
        raise PortsideError(f"`load_model` in `{path}` raised {_name(error)}") from error
    return UserHandler(module.predict, model)


def _import_file(path: Path) -> ModuleType:
    """Import a file under its stem, so that pickles that name `inference.Class` find it."""
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise PortsideError(f"cannot import `{path}`: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise PortsideError(f"importing `{path}` raised {_name(error)}") from error
    return module


def _name(error: BaseException) -> str:
    """`ValueError: no such layer`, or the name alone."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


# --- A checkpoint's own task ----------------------------------------------------


def load_task(
    model_dir: Path, *, strategy: AggregationStrategy = AggregationStrategy.AVERAGE
) -> Handler:
    """The task that a folder's checkpoint is for, warmed; an `inference.py` may build on it."""
    # Imported on demand: a handler in plain Python starts without numpy and onnxruntime.
    from portside.serving.handlers import task  # noqa: PLC0415 - see above

    return task.load_task(model_dir, strategy=strategy)
