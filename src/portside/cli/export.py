"""`portside export`: what another client needs to ask an endpoint."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Final

import click

from portside import config
from portside.archive.partial import write_whole
from portside.artifact.folder.architecture import read_task
from portside.artifact.folder.json_file import read_object
from portside.aws.session import Session
from portside.cli import output, target
from portside.cli.init import REQUEST_FILE
from portside.client import instance_document, sample
from portside.client.endpoint import Endpoint, Kind, look_up, trouble
from portside.client.export import curl, javascript, openapi, postman, python
from portside.client.export.caller import Caller, File, Keys
from portside.client.sample import Sample
from portside.errors import UsageError


class Form(StrEnum):
    """What is exported."""

    POSTMAN = "postman"
    CURL = "curl"
    PYTHON = "python"
    JAVASCRIPT = "javascript"
    OPENAPI = "openapi"


_EXPORTS: Final[Mapping[Form, Callable[[Caller], list[File]]]] = {
    Form.POSTMAN: postman.export,
    Form.CURL: curl.export,
    Form.PYTHON: python.export,
    Form.JAVASCRIPT: javascript.export,
}
"""What is made from samples; the OpenAPI document is made from the artifact."""

_CONFIG: Final = "config.json"
"""Of a checkpoint; it names the task."""


@click.command()
@click.argument("form", type=click.Choice([form.value for form in Form]))
@click.argument("endpoint")
@click.option(
    "--output",
    "place",
    type=click.Path(path_type=Path),
    help="File or folder to write to.  [default: this folder for postman, else stdout]",
)
@click.option(
    "--sample",
    "files",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A request to send, in a file whose name tells its content type; more than one "
    "for postman.",
)
@click.option(
    "--project",
    "folder",
    type=click.Path(path_type=Path),
    help="The project to take requests from: its request.json, or what its model's task "
    "takes.  [default: this folder, if the endpoint is its]",
)
@click.option(
    "--model-data",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="For openapi: describe this model.tar.gz instead of fetching the endpoint's own.",
)
@target.option
def command(
    form: str,
    endpoint: str,
    place: Path | None,
    files: tuple[Path, ...],
    folder: Path | None,
    model_data: Path | None,
    where: str,
) -> None:
    """Write what another client needs to ask ENDPOINT.

    A Postman collection with its environment, a script for curl, a program in Python or
    JavaScript, or an OpenAPI document. No key of AWS is written anywhere.

    \b
    Examples:
      portside export postman ner --output clients
      portside export curl ner | sh
    """
    session = target.connect(where)
    found = look_up(session, endpoint)
    if (told := trouble(found)) is not None:
        raise told
    if found.kind is Kind.ASYNC:
        raise UsageError(
            f"cannot export clients of `{endpoint}`: it is asynchronous, its requests lie on S3",
            hint=f"ask it with `portside invoke {endpoint} --async`",
        )
    if Form(form) is Form.OPENAPI:
        made = [openapi.export(_document(session, found, model_data), found)]
    else:
        caller = Caller(
            endpoint=found,
            samples=_samples(endpoint, files, folder),
            local_keys=_local_keys(session) if where == target.LOCAL else None,
        )
        made = _EXPORTS[Form(form)](caller)
    _write(made, place or (Path() if Form(form) is Form.POSTMAN else None))


def _local_keys(session: Session) -> Keys:
    keys = session.credentials()
    return Keys(access_key_id=keys.access_key, secret_access_key=keys.secret_key)


# --- Which requests ---------------------------------------------------------------


def _samples(endpoint: str, files: tuple[Path, ...], folder: Path | None) -> tuple[Sample, ...]:
    if files:
        return tuple(map(sample.of_file, files))
    project = config.load(folder or Path())
    if endpoint in (one.name for one in project.endpoints):
        return _samples_of(project)
    if folder is not None:
        raise UsageError(
            f"cannot take requests from `{folder}`: `{endpoint}` is not an endpoint of its",
            hint=f"it has {', '.join(one.name for one in project.endpoints)}",
        )
    output.note("  with a request of a kind that most models take: name yours with `--sample FILE`")
    return (sample.STRINGS,)


def _samples_of(project: config.Project) -> tuple[Sample, ...]:
    """The request that the project keeps, and those that its model's task takes."""
    kept = project.root / REQUEST_FILE
    own = (sample.of_file(kept),) if kept.is_file() else ()
    described = project.model / _CONFIG if project.model else None
    if project.handler or described is None or not described.is_file():
        return own or (sample.STRINGS,)
    task = read_task(read_object(described), described.parent)
    return (*own, *sample.of_task(task))


# --- The document of an instance ------------------------------------------------------


def _document(session: Session, endpoint: Endpoint, model_data: Path | None) -> dict[str, object]:
    # The artifact's code runs here, and has no business with the keys of whoever exports.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    if model_data is not None:
        return instance_document.read_document(model_data, environment=kept)
    served = instance_document.find_served(session, endpoint)
    with tempfile.TemporaryDirectory(prefix="portside-export-") as scratch:
        file = Path(scratch) / "model.tar.gz"
        with output.activity(f"fetching {served.model_data}"):
            instance_document.download(session, served, to=file)
        with output.activity("serving it for a moment"):
            environment = {**kept, **served.environment}
            return instance_document.read_document(file, environment=environment)


# --- Where to -----------------------------------------------------------------------


def _write(files: list[File], place: Path | None) -> None:
    if place is None:
        for file in files:
            output.raw(file.content)
        return
    is_folder = len(files) > 1 or place.is_dir()
    (place if is_folder else place.parent).mkdir(parents=True, exist_ok=True)
    for file in files:
        path = place / file.name if is_folder else place
        if file.is_secret:
            _write_secret(path, file.content)
            output.note(f"  {path.name} holds the keys of the local AWS: only you can read it")
        else:
            write_whole(path, file.content)
        output.data(str(path))


def _write_secret(path: Path, content: bytes) -> None:
    """A file that nobody else can read at any moment; one that was there is not kept."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
