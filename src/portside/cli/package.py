"""`portside package`: the model artifact of a project."""

from __future__ import annotations

from pathlib import Path

import click

from portside import config, contract
from portside.artifact.bundle import Artifact, package
from portside.cli import output
from portside.errors import BuildError


@click.command()
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(path_type=Path))
@click.option(
    "--output",
    "target",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where to put it, instead of DIR/.portside/model.tar.gz.",
)
@click.option("--json", "as_json", is_flag=True, help="Say what was made as JSON, on stdout.")
def command(folder: Path, target: Path | None, as_json: bool) -> None:
    """Make the model artifact of the project in DIR.

    The same files give the same bytes: training leftovers are left out, times and
    owners are not kept.

    \b
    Example:
      portside package examples/ner
    """
    made = make(config.load(folder), target=target)
    if as_json:
        output.as_json(
            {
                "path": str(made.path),
                "digest": made.digest,
                "size_bytes": made.size_bytes,
                "members": list(made.members),
                "left_out": [
                    {"path": str(left.path), "size_bytes": left.size_bytes}
                    for left in made.left_out
                ],
            }
        )
    else:
        output.data(str(made.path))


def make(project: config.Project, *, target: Path | None = None) -> Artifact:
    """Package a project and say what went in and what was left out."""
    if project.model is None and project.handler is None:
        raise BuildError(
            f"there is neither a model nor an `{contract.DEFAULT_PROGRAM}` in `{project.root}`",
            hint="put your checkpoint there as `model/`, or run `portside init`",
        )
    path = target or project.work_dir / "model.tar.gz"
    with output.activity(f"packaging {project.name}") as say:
        made = package(
            project.model,
            handler=project.handler,
            output=path,
            precision=project.precision,
            progress=say,
        )
    output.note(f"  {output.size(made.size_bytes)}, sha256 {made.digest[:12]}…  {made.path}")
    if made.left_out:
        saved = sum(left.size_bytes for left in made.left_out)
        names = ", ".join(sorted({left.path.name for left in made.left_out})[:5])
        files = "1 file" if len(made.left_out) == 1 else f"{len(made.left_out)} files"
        output.note(f"  left out {files}, {output.size(saved)}: {names}")
    return made
