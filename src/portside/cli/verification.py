"""Whether what was just deployed is what was asked for, and what of that was shown."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from portside.aws.session import Session
from portside.cli.package import REPORT
from portside.config import Async, Project
from portside.deploy.apply.action import Progress, Verifier
from portside.deploy.desired.resources import Endpoint
from portside.deploy.verify import Proof, Sample, check_config, invoker, kept_samples, prove

REQUEST_FILE: Final = "request.json"


def verifier(session: Session, project: Project) -> Verifier:
    """Who looks at an endpoint of the project, and asks it a sample."""
    kinds = {one.name: one.settings for one in project.endpoints}
    samples = _samples(project)

    def verify(endpoint: Endpoint, progress: Progress) -> None:
        check_config(session, endpoint)
        if isinstance(kinds.get(endpoint.name), Async):
            progress.note(f"  {endpoint.name}: no sample was asked, its answers go to S3")
        else:
            _tell(prove(endpoint.name, samples, invoke=invoker(session)), progress)

    return verify


def _tell(proof: Proof, progress: Progress) -> None:
    if proof.compared:
        asked = "1 sample is" if proof.compared == 1 else f"{proof.compared} samples are"
        progress.note(f"  {asked} answered as at the packaging")
    elif proof.answered:
        progress.note("  it answers; whether rightly was not shown: no answers were kept")
    if proof.doubt:
        progress.note(f"  not shown to answer: {proof.doubt}")


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
