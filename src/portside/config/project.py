"""A project: what its folder holds and what its `portside.toml` asks for, checked.

folder ──read──▶ table ──shape──▶ sections ──resolve──▶ Project
                 (TOML)  (types, unknown keys)  (defaults, names, paths)
"""

from __future__ import annotations

import hashlib
import os
import re
import tomllib
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, assert_never

from portside import contract
from portside.config.endpoint_check import checked
from portside.config.endpoint_section import Async, EndpointKind, Realtime, Serverless
from portside.config.file_section import FileSection
from portside.config.image_check import base_of, dockerfile_of
from portside.config.section import GateSection, Precision
from portside.config.shape import shape
from portside.errors import ConfigError, UsageError
from portside.serving.tasks.strategy import AggregationStrategy

FILE_NAME: Final = "portside.toml"

LONGEST_NAME: Final = contract.NAME_LENGTH - 11
"""Characters of an endpoint's name: a dash and ten digits of a digest are appended to it
to name its Models and EndpointConfigs (see `deploy.desired.resources`)."""

_NAME_DIGITS: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One endpoint that the project wants: its SageMaker name and its settings."""

    name: str
    settings: EndpointKind

    @property
    def instance_types(self) -> tuple[str | None, ...]:
        """Of each variant, in order; None for serverless, which has none."""
        match self.settings:
            case Serverless():
                return (None,)
            case Realtime(instance_type=usual, variants=(_, *_) as variants):
                return tuple(variant.instance_type or usual for variant in variants)
            case Realtime(instance_type=usual) | Async(instance_type=usual):
                return (usual,)
            case _:
                assert_never(self.settings)


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
    requirements: Path | None = None
    model_in_image: bool = False
    base: str | None = None
    dockerfile: Path | None = None
    """What an engine builds the image from; None where Portside makes it."""
    handler: Path | None
    endpoints: tuple[Endpoint, ...]

    @property
    def aggregation_strategy(self) -> AggregationStrategy:
        """How its endpoint joins tokens to entities; of several endpoints the first that says."""
        settings = (endpoint.settings.environment for endpoint in self.endpoints)
        named = (found.get(contract.ENV_AGGREGATION_STRATEGY) for found in settings)
        return AggregationStrategy(next(filter(None, named), AggregationStrategy.AVERAGE))

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
    return _resolve(shape(_read(root)), root)


def _read(root: Path) -> dict[str, Any]:
    """The table in `portside.toml`, else `[tool.portside]`, else an empty one."""
    own, pyproject = root / FILE_NAME, root / "pyproject.toml"
    if own.is_file():
        return _parse(own)
    if pyproject.is_file():
        match _parse(pyproject):
            case {"tool": {"portside": dict(table)}}:
                return table
            case {"tool": {"portside": _}}:
                raise ConfigError(
                    "expected a table",
                    path="tool.portside",
                    hint="write `[tool.portside]` on a line of its own, and the keys below it",
                )
    return {}


def _parse(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"cannot read `{file.name}`: {str(error).rstrip('.')}",
            hint=f"mend the line in `{file}`",
        ) from error


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
        requirements=_requirements_file(file.image.requirements, root),
        model_in_image=file.image.model_in_image,
        base=base_of(file.image, root),
        dockerfile=dockerfile_of(file.image, root),
        handler=_handler_file(file.handler.file, root),
        endpoints=_endpoints(file, name),
    )


def name_of(root: Path) -> str:
    """A folder's name made to fit SageMaker's rule: what a project without a name is called."""
    name = re.sub(r"[^a-zA-Z0-9]+", "-", root.name)[:LONGEST_NAME].strip("-")
    # Two folders without a Latin letter are two projects, and endpoints go by the name.
    digits = hashlib.sha256(os.fsencode(root.name)).hexdigest()[:_NAME_DIGITS]
    return name or f"model-{digits}"


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
                hint=f"set `model.path` to your checkpoint folder or model file{_perhaps(path)}",
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


def _requirements_file(given: str | None, root: Path) -> Path | None:
    if given is None or (root / given).is_file():
        return root / given if given else None
    raise ConfigError(
        f"there is no file `{given}` in `{root}`",
        path="image.requirements",
        hint="set `image.requirements` to a requirements.txt, a pyproject.toml or a uv.lock",
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
            hint="set `handler.file` to the file with your `load_model` and `predict`"
            f"{_perhaps(file)}",
        )
    return file


def _perhaps(missing: Path) -> str:
    """What is called much like a file that is not there."""
    folder = missing.parent
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    nearest = get_close_matches(missing.name, names, n=1)
    return f": is it `{nearest[0]}`?" if nearest else ""


def _endpoints(file: FileSection, project: str) -> tuple[Endpoint, ...]:
    if file.endpoint is not None and file.endpoints:
        raise ConfigError(
            "a project has either `[endpoint]` or `[endpoints.NAME]` tables",
            path="endpoints",
            hint="move `[endpoint]` under `[endpoints.NAME]`, or remove one of the two",
        )
    if not file.endpoints:
        settings = checked(file.endpoint or Serverless(), "endpoint")
        return (Endpoint(name=project, settings=settings),)
    return tuple(
        Endpoint(
            name=_checked_name(f"{project}-{name}", f"endpoints.{name}"),
            settings=checked(settings, f"endpoints.{name}"),
        )
        for name, settings in file.endpoints.items()
    )
