"""Refuse to deploy what cannot start, before anything is made.

is there a model, or code? ─▶ the code, parsed ─▶ would an instance start? ─▶ may it fail? ─▶ on
    no: refused                                       no: refused             yes: said
"""

from __future__ import annotations

from pathlib import Path

from portside import config
from portside.cli import output
from portside.doctor import table
from portside.doctor.finding import Severity, examine
from portside.doctor.project import behavior, module, secret
from portside.doctor.project.beginning import last_checkpoint, nothing_to_deploy
from portside.doctor.project.gather import gather_code
from portside.errors import BuildError

_LIKELY = (*module.CHECKS, *behavior.CHECKS, *secret.CHECKS)


def refuse(project: config.Project, folder: Path) -> None:
    """Raise `BuildError` for the first thing that no instance starts with; say what else is wrong.

    Takes milliseconds and no network. An image of the user's own may have another server, which
    starts what ours does not, so of that nothing is refused.
    """
    if project.handler is None:
        _refuse_nothing(project, folder)
        return
    facts = gather_code(project, folder)
    has_own_server = project.dockerfile is not None or project.base is not None or facts.has_app
    certain = () if has_own_server else examine(table.CERTAIN, facts)
    for finding in certain:
        raise BuildError(f"cannot deploy `{finding.where}`: {finding.what}", hint=finding.mend)
    for finding in examine(_LIKELY, facts):
        if finding.severity is Severity.ERROR:
            output.note(f"  {finding.where}: {finding.what}")
            output.note(f"    mend: {finding.mend}")


def _refuse_nothing(project: config.Project, folder: Path) -> None:
    if project.model is None:
        nothing = nothing_to_deploy(project.root, folder)
        raise BuildError(f"cannot deploy `{nothing.where}`: {nothing.what}", hint=nothing.mend)
    if hint := last_checkpoint(project.model, project.root):
        what = "there is no model, only the checkpoints of its training"
        raise BuildError(f"cannot deploy `{project.model}`: {what}", hint=hint)
