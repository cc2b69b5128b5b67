"""The report card of an artifact, in files beside it and in short on the terminal."""

from __future__ import annotations

from pathlib import Path

from portside.archive.partial import write_whole
from portside.artifact.report.page import to_html
from portside.artifact.report.report import Report, to_json
from portside.artifact.report.text import reasons, rows, sentence
from portside.cli import output


def show(report: Report, *, data: Path, page: Path) -> None:
    """Write `report.json` to `data` and `report.html` to `page`, and say what they show."""
    write_whole(data, to_json(report))
    write_whole(page, to_html(report))
    output.note("")
    output.table(*rows(report), aside=True)
    output.note(f"\n{sentence(report)}")
    for reason in reasons(report):
        output.note(f"  {reason}")
    output.note(f"  the whole report: {page}")
