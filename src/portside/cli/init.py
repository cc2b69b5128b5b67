"""`portside init`: a commented project to begin with."""

from __future__ import annotations

import os
import shlex
from pathlib import Path, PurePosixPath

import click

from portside import config, contract
from portside.cli import output, workflow
from portside.errors import UsageError

CONFIG = """\
# Every key is optional; what stands here are the defaults.

name = {name:<27}# the project, and its endpoint's name

[model]
# path = "model"                  # checkpoint folder or model file, relative to this file

[handler]
# file = "inference.py"           # found by this name; with none, the model's own task is served

[endpoint]
kind = "serverless"               # serverless | realtime | async
# memory_size_mb = 2048           # 1024, 2048, … 6144; without it what the model needs
max_concurrency = 5
# environment = {{ LOG_LEVEL = "debug" }}
"""

HANDLER = '''\
"""What the endpoint does: load the model once, then answer with it."""

from __future__ import annotations


class BadRequest(Exception):
    """Answered with its status and message; any other exception with 500."""

    status_code = 400

    def __init__(self, message: str) -> None:
        self.message = message


def load_model(model_dir: str):
    """Called once at the start; `model_dir` holds your model's files, read-only."""
    return str.upper


def predict(data: list, model) -> list:
    """Called for each request; `data` is the list behind "strings" in the body."""
    if not isinstance(data, list) or not all(isinstance(text, str) for text in data):
        raise BadRequest('expected {"strings": ["a text", "another"]}')
    return [model(text) for text in data]
'''

IGNORED = ".portside/"
"""What the commands make, as git is to know it."""

REQUEST_FILE = "request.json"
REQUEST = '{"strings": ["Ada Lovelace lives in London"]}\n'


@click.command()
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(path_type=Path))
@click.option(
    "--github-actions",
    is_flag=True,
    help="Write a workflow, too, that tests, plans and deploys the project.",
)
@click.option("--force", is_flag=True, help="Write the workflow anew where there is another.")
def command(folder: Path, github_actions: bool, force: bool) -> None:
    """Begin a project in DIR: portside.toml, inference.py, a request to try, and .gitignore.

    Files that are there already are left as they are. Where there is a model, its own
    task is served and no inference.py is written.

    \b
    Example:
      portside init my-model
    """
    if force and not github_actions:
        raise UsageError(
            "`--force` is for the workflow: files of a project are never overwritten",
            hint="add `--github-actions`, or leave it out",
        )
    if folder.exists() and not folder.is_dir():
        raise UsageError(
            f"cannot begin a project in `{folder}`: it is a file",
            hint="name a folder: `portside init my-model`",
        )
    folder.mkdir(parents=True, exist_ok=True)
    name = config.name_of(folder.resolve())
    files = {config.FILE_NAME: CONFIG.format(name=f'"{name}"'), REQUEST_FILE: REQUEST}
    if not _has_model(folder):
        files[contract.DEFAULT_PROGRAM] = HANDLER
    for file_name, text in files.items():
        file = folder / file_name
        if file.exists():
            output.note(f"  kept  {file}")
        else:
            file.write_text(text, encoding="utf-8")
            output.done(f"wrote {file}")
    _ignore_what_is_made(folder / ".gitignore")
    if github_actions:
        _write_workflow(folder, force=force)
    output.title("Next")
    output.note(f"  portside deploy {shlex.quote(str(folder))}")
    output.note(f"  portside invoke {name} --file {shlex.quote(str(folder / REQUEST_FILE))}")


def _ignore_what_is_made(file: Path) -> None:
    """A line in `.gitignore`, below what stands there."""
    lines = file.read_bytes() if file.exists() else b""
    if IGNORED.rstrip("/") in (line.strip().strip("/") for line in os.fsdecode(lines).splitlines()):
        output.note(f"  kept  {file}")
        return
    if lines and not lines.endswith(b"\n"):
        lines += b"\n"
    file.write_bytes(lines + IGNORED.encode() + b"\n")
    output.done(f"{'added to' if lines else 'wrote'} {file}")


def _write_workflow(folder: Path, *, force: bool) -> None:
    """In the repository around the project, wherever in it the project is."""
    repository, project = workflow.repository_of(folder), config.load(folder)
    file = repository / workflow.PLACE
    named = (project.model, project.samples, project.handler, project.requirements)
    wanted = workflow.text(
        workflow.Workflow(
            project=_within(project.root, repository),
            endpoints=[endpoint.name for endpoint in project.endpoints],
            request=_within(project.root / REQUEST_FILE, repository),
            others=[
                _within(path, repository)
                for path in named
                if path is not None and _is_beside(path, project.root, repository)
            ],
        )
    )
    if file.exists() and file.read_text(encoding="utf-8") != wanted and not force:
        raise UsageError(
            f"there is a workflow `{file}` already",
            hint="write it anew with `--force`; see with `git diff` what changes",
        )
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(wanted, encoding="utf-8")
    output.done(f"wrote {file}")
    output.note("  set its variables in the repository's settings: they stand at its top")
    output.note("  and say there, as `PORTSIDE`, what to install Portside from")


def _is_beside(path: Path, root: Path, repository: Path) -> bool:
    return path.is_relative_to(repository) and not path.is_relative_to(root)


def _within(path: Path, repository: Path) -> PurePosixPath:
    return PurePosixPath(path.relative_to(repository).as_posix())


def _has_model(folder: Path) -> bool:
    return (folder / "model").is_dir() or (folder / "config.json").is_file()
