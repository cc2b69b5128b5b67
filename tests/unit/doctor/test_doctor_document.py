"""The reference has the tables of the checks as they are; `PORTSIDE_WRITE=1` writes them anew."""

from __future__ import annotations

import os
from pathlib import Path

from portside.doctor import table

DOCUMENT = Path(__file__).parents[3] / "docs" / "reference" / "doctor.md"
MARK = "<!-- generated from here on: see tests/unit/doctor/test_doctor_document.py -->\n"


def test_the_tables_are_those_of_the_code() -> None:
    prose, mark, tables = DOCUMENT.read_text(encoding="utf-8").partition(MARK)
    if os.environ.get("PORTSIDE_WRITE"):
        DOCUMENT.write_text(f"{prose}{MARK}\n{table.as_markdown()}", encoding="utf-8")

    assert mark
    assert tables.strip() == table.as_markdown().strip()


def test_names_are_told_apart() -> None:
    names = [name for name, *_ in (*table.rows(), *table.symptom_rows())]

    assert len(names) == len(set(names))
    assert all(source for *_, source in table.rows())
