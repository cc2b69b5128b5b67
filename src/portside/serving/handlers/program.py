"""The user's file: found, imported, and its functions checked before they are called."""

from __future__ import annotations

import importlib.util
import inspect
import logging
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from portside import contract
from portside.errors import PortsideError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType

_logger: Final = logging.getLogger(__name__)


# --- Finding and importing ------------------------------------------------------


def find_program(model_dir: Path, name: str | None) -> Path | None:
    """Where the user's file is; None where nobody named one and there is none.

    It is looked for in the folder `code`, where AWS's containers have it, then beside the weights.
    """
    # The SageMaker Python SDK also sets the name without `.py`.
    file_name = name or contract.DEFAULT_PROGRAM
    file_name = file_name if file_name.endswith(".py") else f"{file_name}.py"
    folders = (model_dir / contract.CODE_DIR_NAME, model_dir)
    for folder in folders:
        if (folder / file_name).is_file():
            return folder / file_name
    if name is not None:
        raise PortsideError(
            f"cannot find `{file_name}`, which `{contract.ENV_PROGRAM}` names, "
            f"in `{folders[0]}` or `{folders[1]}`",
            hint=f"put the file there, or unset `{contract.ENV_PROGRAM}`",
        )
    return None


def import_program(path: Path) -> Program:
    """Import a file as AWS's containers do.

    Under its stem, so that pickles that name `inference.Class` find it; with its folder on
    `sys.path`, so that it can import what lies beside it.
    """
    if (path.parent / "requirements.txt").is_file():
        # AWS's containers install at every start, which fails without network and on serverless.
        _logger.info("`requirements.txt` is not installed here: its packages belong in the image")
    # The file lies in the model folder, where nothing may be written.
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise PortsideError(f"cannot import `{path}`: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    # A file may fail in any way; a stray sys.exit() is no reason to end with its code.
    except (Exception, SystemExit) as error:
        raise PortsideError(f"importing `{path}` raised {name_error(error)}") from error
    return Program(path, module)


def name_error(error: BaseException) -> str:
    """`ValueError: no such layer`, or the name alone."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


# --- Functions ------------------------------------------------------------------


class Program:
    """An imported `inference.py`."""

    def __init__(self, path: Path, module: ModuleType) -> None:
        self.path = path
        self._module = module

    def defines(self, name: str) -> bool:
        """Whether it has a function of that name."""
        return callable(getattr(self._module, name, None))

    def uses(self, package: str) -> bool:
        """Whether it has imported a package, or something out of it, by name."""
        values = vars(self._module).values()
        names = (
            value.__name__ if inspect.ismodule(value) else getattr(value, "__module__", None)
            for value in values
        )
        return any(str(name).partition(".")[0] == package for name in names)

    def plain(self, name: str) -> Callable[..., Any] | None:
        """The function of that name as it is, or None without one."""
        function = getattr(self._module, name, None)
        return function if callable(function) else None

    def function(self, name: str, *parameters: str) -> Function | None:
        """The function of that name, or None without one.

        It has to take `parameters`, and may take the context after them.
        """
        call = self.plain(name)
        if call is None:
            return None
        if not accepts(call, len(parameters)) and not accepts(call, len(parameters) + 1):
            raise self.misfit(name, *parameters)
        return Function(
            name=name, call=call, takes_context=_has_one_more(call, than=len(parameters))
        )

    def misfit(self, name: str, *parameters: str) -> PortsideError:
        """For a function that cannot be called with `parameters`, with or without a context."""
        call, offered = self.plain(name), ", ".join(parameters)
        taken = ", ".join(inspect.signature(call).parameters) if call is not None else ""
        return PortsideError(
            f"`{name}` in `{self.path}` takes `({taken})` "
            f"and is called with `({offered})`, or `({offered}, context)`",
            hint=f"define it as `{name}({offered})`",
        )

    def load(self, name: str, call: Callable[[], object]) -> object:
        """What a call of the user's `name` returns; what it raises is told with name and file."""
        try:
            return call()
        except PortsideError:
            raise
        except (Exception, SystemExit) as error:
            raise PortsideError(f"`{name}` in `{self.path}` raised {name_error(error)}") from error

    def run_hook(self, name: str, *arguments: object, context: object = None) -> None:
        """Call a function that there may be.

        `pre_model_fn(model_dir)` comes before the model, `model_warmup_fn(model_dir, model)` after.
        """
        hook = self.function(name, *_HOOKS[name])
        if hook is not None:
            self.load(name, lambda: hook(*arguments, context=context))


_HOOKS: Final = {"pre_model_fn": ("model_dir",), "model_warmup_fn": ("model_dir", "model")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A function that may take a context after its other arguments."""

    name: str
    call: Callable[..., object]
    takes_context: bool

    def __call__(self, *arguments: object, context: object) -> object:
        """Call it, with the context if it takes one."""
        if self.takes_context:
            return self.call(*arguments, context)
        return self.call(*arguments)


def accepts(function: Callable[..., Any], arguments: int) -> bool:
    """Whether a function can be called with that many arguments by position."""
    try:
        inspect.signature(function).bind(*range(arguments))
    except ValueError:  # written in C, and silent about what it takes
        return True
    except TypeError:
        return False
    return True


def _has_one_more(function: Callable[..., Any], *, than: int) -> bool:
    """Whether a function takes the context, by the rule of both of AWS's toolkits.

    It does if it has exactly one parameter more than it needs, whatever the name and the default.
    """
    if not accepts(function, than):
        return True
    try:
        parameters = inspect.signature(function).parameters
    except ValueError:
        return False
    return len(parameters) == than + 1 and accepts(function, than + 1)
