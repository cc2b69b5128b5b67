"""Whether what was just deployed is what was asked for, and what of that was shown."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from portside.aws.session import Session
from portside.cli import output
from portside.cli.package import REPORT
from portside.config import Async, Project
from portside.deploy.resources import Endpoint
from portside.deploy.step import Step, Verb
from portside.deploy.verify import Sample, check_config, invoker, kept_samples, prove

REQUEST_FILE: Final = "request.json"


def verify(session: Session, project: Project, steps: tuple[Step, ...]) -> None:
    """Look at each endpoint that was waited for, and ask it a sample.

    Raises `DeployError` where one runs another config, or answers otherwise than when it was
    packaged.
    """
    kinds = {one.name: one.settings for one in project.endpoints}
    samples = _samples(project)
    for name in check_configs(session, steps):
        if isinstance(kinds.get(name), Async):
            output.note(f"  {name}: no sample was asked, its answers go to S3")
        else:
            _prove(session, name, samples)


def check_configs(session: Session, steps: tuple[Step, ...]) -> list[str]:
    """Look at each endpoint that was waited for; their names. Raises `DeployError` as above."""
    waited = [
        step.wanted
        for step in steps
        if step.verb is Verb.WAIT and isinstance(step.wanted, Endpoint)
    ]
    for endpoint in waited:
        check_config(session, endpoint)
    return [endpoint.name for endpoint in waited]


def _prove(session: Session, endpoint: str, samples: tuple[Sample, ...]) -> None:
    with output.activity(f"asking {endpoint} a sample"):
        proof = prove(endpoint, samples, invoke=invoker(session))
    if proof.compared:
        asked = "1 sample is" if proof.compared == 1 else f"{proof.compared} samples are"
        output.note(f"  {asked} answered as at the packaging")
    elif proof.answered:
        output.note("  it answers; whether rightly was not shown: no answers were kept")
    if proof.doubt:
        output.note(f"  not shown to answer: {proof.doubt}")


def _samples(project: Project) -> tuple[Sample, ...]:
    """Those of the packaging, else the project's request.

    What serves in an image of the user's own answers as it likes, and was not asked then.
    """
    if project.model and not project.dockerfile:
        kept = kept_samples(_content(project.work_dir / REPORT) or b"")
        if kept:
            return kept
    body = _content(project.root / REQUEST_FILE)
    return () if body is None else (Sample(body=body),)


def _content(file: Path) -> bytes | None:
    return file.read_bytes() if file.is_file() else None
