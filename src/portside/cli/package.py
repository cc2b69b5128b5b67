"""`portside package`: the model artifact of a project."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import click

from portside import config, contract
from portside.artifact.bundle import Artifact, package
from portside.artifact.proof.proof import Gate
from portside.artifact.quantity import size
from portside.artifact.report.markup import visible
from portside.artifact.report.report import is_report, make_report, portable, to_json
from portside.cli import output
from portside.errors import BuildError, UsageError

REPORT: Final = "report.json"
PAGE: Final = "report.html"


@click.command()
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(path_type=Path))
@click.option(
    "--output",
    "target",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where to put it, instead of DIR/.portside/model.tar.gz.",
)
@click.option(
    "--samples",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Texts to prove the artifact on: one a line, or words with labels in a .conll file.",
)
@click.option("--json", "as_json", is_flag=True, help="Say what was made as JSON, on stdout.")
def command(folder: Path, target: Path | None, samples: Path | None, as_json: bool) -> None:
    """Make the model artifact of the project in DIR.

    A checkpoint is exported to ONNX, and to int8 if that answers the same on your
    samples: see the report beside it. The same files give the same bytes: training
    leftovers are left out, times and owners are not kept.

    \b
    Example:
      portside package examples/ner
    """
    made = make(config.load(folder), target=target, samples=samples)
    if as_json:
        value = {
            "path": str(made.path),
            "digest": made.digest,
            "size_bytes": made.size_bytes,
            "members": list(made.members),
            "left_out": [
                {"path": str(left.path), "size_bytes": left.size_bytes} for left in made.left_out
            ],
            "report": _report_value(made),
        }
        output.as_json(portable(value))
    else:
        output.data(str(made.path))


def make(
    project: config.Project,
    *,
    target: Path | None = None,
    samples: Path | None = None,
    has_code: bool = True,
) -> Artifact:
    """Package a project and say what went in and what was left out.

    With `has_code` false its handler stays out, because it is in the image.
    """
    if project.model is None and project.handler is None:
        raise BuildError(
            f"there is neither a model nor an `{contract.DEFAULT_PROGRAM}` in `{project.root}`",
            hint="put your checkpoint there as `model/`, or run `portside init`",
        )
    path = target or project.work_dir / "model.tar.gz"
    _check_place(path)
    with output.activity(f"packaging {project.name}") as say:
        made = package(
            project.model,
            handler=project.handler,
            has_code=has_code,
            output=path,
            cache=project.work_dir,
            precision=project.precision,
            samples=samples or project.samples,
            allow_pickle=project.allow_pickle,
            gate=Gate(agreement=project.gate.agreement, f1_drop=project.gate.f1_drop),
            strategy=project.aggregation_strategy,
            progress=say,
        )
    output.note(f"  {size(made.size_bytes)}, sha256 {made.digest[:12]}…  {made.path}")
    if made.left_out:
        saved = sum(left.size_bytes for left in made.left_out)
        names = visible(", ".join(sorted({left.path.name for left in made.left_out})[:5]))
        files = "1 file" if len(made.left_out) == 1 else f"{len(made.left_out)} files"
        output.note(f"  left out {files}, {size(saved)}: {names}")
    if made.proof is None and (samples or project.samples):
        output.note("  not asked the samples: only a model that Portside exports can be compared")
    for name in (PAGE, REPORT):  # an earlier artifact's; the page is known by the other
        made.path.with_name(name).unlink(missing_ok=True)
    if made.proof is not None:
        from portside.cli import report_card  # noqa: PLC0415 - draws, which few commands need

        report = make_report(made.proof, made)
        report_card.show(report, data=path.with_name(REPORT), page=path.with_name(PAGE))
    return made


def _check_place(path: Path) -> None:
    """Whether the reports beside the artifact would take the place of somebody's own files."""
    report, page = path.with_name(REPORT), path.with_name(PAGE)
    theirs = report if report.is_file() else page
    is_ours = theirs == report and is_report(report.read_bytes())
    if theirs.is_file() and not is_ours:
        raise UsageError(
            f"cannot package to `{path}`: the report would take the place of `{theirs}`, "
            "which is not one of Portside's",
            hint="name a file in another folder with `--output`, or move that one away",
        )


def _report_value(made: Artifact) -> object:
    """Without the samples, which are the user's texts: stdout often ends in a log of others."""
    if made.proof is None:
        return None
    report: dict[str, Any] = json.loads(to_json(make_report(made.proof, made)))
    return {key: value for key, value in report.items() if key != "asked"}
