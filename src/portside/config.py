"""`portside.toml` (or `[tool.portside]` in `pyproject.toml`) to typed, checked values.

    folder ──read──▶ table ──shape──▶ sections ──resolve──▶ Project
                     (TOML)  (types, unknown keys)  (defaults, names, paths)

Every key is optional: a folder with a model and no file at all is a project too.
A message names the key's path, and a key that is nearly right is suggested.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from portside import contract
from portside.errors import ConfigError, UsageError

FILE_NAME = "portside.toml"

LONGEST_NAME = contract.NAME_LENGTH - 11
"""Characters of an endpoint's name: a dash and ten digits of a digest are appended to it
to name its Models and EndpointConfigs (see `deploy.resources`)."""

Precision = Literal["auto", "fp32", "int8"]


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the file; a key that is not here is an error."""


class GateSection(Section, frozen=True, kw_only=True):
    """`[model.gate]`: what a model in int8 has to keep of the original's answers."""

    agreement: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.995
    """The least share of answers that are the same."""
    f1_drop: Annotated[float, msgspec.Meta(ge=0, le=100)] = 0.2
    """The most points (of 100) that F1 may fall, where the samples have labels."""


class ModelSection(Section, frozen=True, kw_only=True):
    """`[model]`: the checkpoint folder or model file, and how its artifact is made."""

    path: str | None = None
    samples: str | None = None
    precision: Precision = "auto"
    allow_pickle: bool = False
    """Whether weights may be read that are pickles: a pickle can run any code."""
    gate: GateSection = GateSection()


class HandlerSection(Section, frozen=True, kw_only=True):
    """`[handler]`: the user's code; without it the checkpoint's own task is served."""

    file: str | None = None


class ImageSection(Section, frozen=True, kw_only=True):
    """`[image]`: what the container image is built from."""

    requirements: str | None = None


class EndpointSection(Section, frozen=True, kw_only=True):
    """Keys that every kind of endpoint has."""

    environment: dict[str, str] = {}


class Serverless(EndpointSection, frozen=True, kw_only=True, tag_field="kind", tag="serverless"):
    """An endpoint that costs nothing while idle."""

    memory_size_mb: int = 2048
    max_concurrency: int = 5


class Realtime(EndpointSection, frozen=True, kw_only=True, tag_field="kind", tag="realtime"):
    """An endpoint on instances that run all the time."""

    instance_type: str = "ml.m5.large"
    instance_count: int = 1


EndpointKind = Serverless | Realtime
KINDS = ("serverless", "realtime")


class FileSection(Section, frozen=True, kw_only=True):
    """The whole file."""

    name: str | None = None
    model: ModelSection = ModelSection()
    handler: HandlerSection = HandlerSection()
    image: ImageSection = ImageSection()
    endpoint: EndpointKind | None = None
    endpoints: dict[str, EndpointKind] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One endpoint that the project wants: its SageMaker name and its settings."""

    name: str
    settings: EndpointKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A folder on its way to endpoints; paths are absolute, names fit SageMaker's rules.

    `model` is None where the project is code alone; `handler` is None where the
    checkpoint's own task is served.
    """

    root: Path
    name: str
    model: Path | None
    precision: Precision = "auto"
    samples: Path | None = None
    allow_pickle: bool = False
    gate: GateSection = field(default_factory=GateSection)
    handler: Path | None
    endpoints: tuple[Endpoint, ...]

    @property
    def work_dir(self) -> Path:
        """Where the commands put what they make."""
        return self.root / ".portside"


def load(folder: Path) -> Project:
    """Read and check the project in `folder`.

    Raises `UsageError` where the folder does not exist, `ConfigError` for everything
    that is wrong in the file or that the file points at.
    """
    root = folder.resolve()
    if not root.is_dir():
        raise UsageError(
            f"cannot read the project in `{folder}`: it is not a folder",
            hint="name the folder that holds your model, or run `portside init`",
        )
    return _resolve(_shape(_read(root)), root)


def _read(root: Path) -> dict[str, Any]:
    """The table in `portside.toml`, else `[tool.portside]`, else an empty one."""
    own, pyproject = root / FILE_NAME, root / "pyproject.toml"
    if own.is_file():
        return _parse(own)
    if pyproject.is_file():
        table = _parse(pyproject).get("tool", {}).get("portside", {})
        return table if isinstance(table, dict) else {}
    return {}


def _parse(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"cannot read `{file.name}`: {str(error).rstrip('.')}",
            hint=f"mend the line in `{file}`",
        ) from error


def _shape(table: dict[str, Any]) -> FileSection:
    """Types and unknown keys, with messages that name the key."""
    for path, endpoint in _endpoint_tables(table):
        kind = endpoint.setdefault("kind", "serverless")
        if kind not in KINDS:
            raise ConfigError(
                f"`{kind}` is not a kind of endpoint that Portside deploys",
                path=f"{path}.kind",
                hint=f"set `kind` to one of: {', '.join(KINDS)}",
            )
    try:
        return msgspec.convert(table, FileSection)
    except msgspec.ValidationError as error:
        raise _explain(str(error), table) from error


def _endpoint_tables(table: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    found = [("endpoint", table.get("endpoint"))]
    several = table.get("endpoints")
    if isinstance(several, dict):
        found += [(f"endpoints.{name}", value) for name, value in several.items()]
    return [(path, value) for path, value in found if isinstance(value, dict)]


_UNKNOWN_KEY = re.compile(
    r"Object contains unknown field `(?P<key>[^`]*)`(?: - at `\$\.?(?P<at>.*)`)?"
)
_WRONG_VALUE = re.compile(r"(?P<what>.*?)(?: - at `\$\.?(?P<at>.*)`)?")


def _explain(text: str, table: dict[str, Any]) -> ConfigError:
    """msgspec's one-line reason in our words: the key's path first."""
    if unknown := _UNKNOWN_KEY.fullmatch(text):
        at, key = unknown["at"] or "", unknown["key"]
        known = _known_keys(at, table)
        near = difflib.get_close_matches(key, known, n=1)
        hint = f"write `{near[0]}` instead" if near else f"use one of: {', '.join(known)}"
        return ConfigError("there is no such key", path=f"{at}.{key}".strip("."), hint=hint)
    wrong = _WRONG_VALUE.fullmatch(text)
    what, at = (wrong["what"], wrong["at"] or "") if wrong else (text, "")
    what = what.replace("Expected", "expected").rstrip(".")
    return ConfigError(what, path=at, hint=f"change the value in `{FILE_NAME}`")


def _known_keys(at: str, table: dict[str, Any]) -> list[str]:
    """The keys that the table at a path may have."""
    sections: dict[str, type[Section]] = {
        "": FileSection,
        "model": ModelSection,
        "model.gate": GateSection,
        "handler": HandlerSection,
        "image": ImageSection,
    }
    section = sections.get(at)
    if section is None:
        kind = dict(_endpoint_tables(table)).get(at, {}).get("kind")
        return ["kind", *(Realtime if kind == "realtime" else Serverless).__struct_fields__]
    return list(section.__struct_fields__)


def _resolve(file: FileSection, root: Path) -> Project:
    name = name_of(root) if file.name is None else _checked_name(file.name, "name")
    return Project(
        root=root,
        name=name,
        model=_model_path(file.model.path, root),
        precision=file.model.precision,
        samples=_samples_file(file.model.samples, root),
        allow_pickle=file.model.allow_pickle,
        gate=file.model.gate,
        handler=_handler_file(file.handler.file, root),
        endpoints=_endpoints(file, name),
    )


def name_of(root: Path) -> str:
    """A folder's name made to fit SageMaker's rule: what a project without a name is called."""
    return re.sub(r"[^a-zA-Z0-9]+", "-", root.name)[:LONGEST_NAME].strip("-") or "model"


def _checked_name(name: str, path: str) -> str:
    if not re.fullmatch(contract.NAME_PATTERN, name) or len(name) > LONGEST_NAME:
        raise ConfigError(
            f"`{name}` cannot be the name of an endpoint",
            path=path,
            hint=f"use at most {LONGEST_NAME} letters, digits and dashes, none of them at the ends",
        )
    return name


def _model_path(given: str | None, root: Path) -> Path | None:
    """The path in the file, else `model/`, else the folder itself where it holds a checkpoint."""
    if given is not None:
        path = root / given
        if not path.exists():
            raise ConfigError(
                f"there is no `{given}` in `{root}`",
                path="model.path",
                hint="set `model.path` to your checkpoint folder or model file",
            )
        return path
    if (root / "model").is_dir():
        return root / "model"
    return root if (root / "config.json").is_file() else None


def _samples_file(given: str | None, root: Path) -> Path | None:
    if given is None or (root / given).is_file():
        return root / given if given else None
    raise ConfigError(
        f"there is no file `{given}` in `{root}`",
        path="model.samples",
        hint="set `model.samples` to a file with a text a line, or remove the key",
    )


def _handler_file(given: str | None, root: Path) -> Path | None:
    """The file that is named, else `inference.py` where there is one."""
    if given is None:
        usual = root / contract.DEFAULT_PROGRAM
        return usual if usual.is_file() else None
    file = root / given
    if not file.is_file():
        raise ConfigError(
            f"there is no file `{given}` in `{root}`",
            path="handler.file",
            hint="set `handler.file` to the file with your `load_model` and `predict`",
        )
    return file


def _endpoints(file: FileSection, project: str) -> tuple[Endpoint, ...]:
    if file.endpoint is not None and file.endpoints:
        raise ConfigError(
            "a project has either `[endpoint]` or `[endpoints.NAME]` tables",
            path="endpoints",
            hint="move `[endpoint]` under `[endpoints.NAME]`, or remove one of the two",
        )
    if not file.endpoints:
        settings = _checked(file.endpoint or Serverless(), "endpoint")
        return (Endpoint(name=project, settings=settings),)
    return tuple(
        Endpoint(
            name=_checked_name(f"{project}-{name}", f"endpoints.{name}"),
            settings=_checked(settings, f"endpoints.{name}"),
        )
        for name, settings in file.endpoints.items()
    )


def _checked(settings: EndpointKind, path: str) -> EndpointKind:
    """SageMaker's ranges, before anything is made."""
    match settings:
        case Serverless(memory_size_mb=memory, max_concurrency=concurrency):
            if memory not in contract.SERVERLESS_MEMORY_MB:
                sizes = ", ".join(map(str, contract.SERVERLESS_MEMORY_MB))
                raise ConfigError(
                    f"serverless has no memory size of {memory} MB",
                    path=f"{path}.memory_size_mb",
                    hint=f"choose one of: {sizes}",
                )
            _check_range(
                concurrency, 1, contract.SERVERLESS_MAX_CONCURRENCY, f"{path}.max_concurrency"
            )
        case Realtime(instance_count=count):
            _check_range(count, 1, 100, f"{path}.instance_count")
            _check_instance_type(settings.instance_type, f"{path}.instance_type")
    _check_environment(settings.environment, f"{path}.environment")
    return settings


def _check_instance_type(name: str, path: str) -> None:
    if not re.fullmatch(r"ml\.[a-z0-9-]+\.[a-z0-9-]+", name):
        raise ConfigError(
            f"`{name}` is not the name of an instance type",
            path=path,
            hint="choose one such as `ml.m5.large`, `ml.c7i.xlarge` or `ml.g5.xlarge`",
        )


def _check_environment(environment: dict[str, str], path: str) -> None:
    """Names and lengths that SageMaker takes. Source: botocore, EnvironmentMap."""
    for name, value in environment.items():
        if not re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", name):
            raise ConfigError(
                f"`{name}` cannot be the name of a variable",
                path=path,
                hint="use letters, digits and `_`, and no digit in front",
            )
        if max(len(name), len(value)) > contract.ENVIRONMENT_LENGTH:
            raise ConfigError(
                f"`{name}` or its value is longer than {contract.ENVIRONMENT_LENGTH} characters",
                path=path,
                hint="put long values into a file beside the model",
            )


def _check_range(value: int, least: int, most: int, path: str) -> None:
    if not least <= value <= most:
        raise ConfigError(
            f"{value} is out of range",
            path=path,
            hint=f"choose a number from {least} to {most}",
        )
