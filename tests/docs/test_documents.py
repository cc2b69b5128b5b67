"""Every relative link in the documents leads somewhere, and every command is documented."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from portside import config
from portside.cli.application import COMMANDS
from portside.config.endpoint_section import KINDS

TABLES = {"model", "handler", "image", "endpoint", "endpoints"}
ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "examples/**/*.md")
    for path in ROOT.glob(pattern)
    if ".venv" not in path.parts
)
_CODE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    prose = _CODE.sub("", document.read_text(encoding="utf-8"))
    links = _LINK.findall(prose)

    assert [link for link in links if not (document.parent / link).exists()] == []


def test_the_readme_names_every_command() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")

    assert [name for name in COMMANDS if not re.search(rf"[`· ]{name}`| {name} ", readme)] == []


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


def test_every_key_is_documented() -> None:
    reference = (ROOT / "docs" / "reference" / "configuration.md").read_text(encoding="utf-8")
    keys = {
        "": config.FileSection,
        "model.": config.ModelSection,
        "handler.": config.HandlerSection,
        "image.": config.ImageSection,
    }
    paths = [
        f"{table}{key}" for table, section in keys.items() for key in section.__struct_fields__
    ]

    assert [path for path in paths if f"`{path}" not in reference and path not in TABLES] == []


@pytest.mark.parametrize("section", KINDS.values(), ids=KINDS)
def test_every_key_of_an_endpoint_is_documented(section: type[msgspec.Struct]) -> None:
    reference = (ROOT / "docs" / "reference" / "configuration.md").read_text(encoding="utf-8")

    assert [key for key in _keys(section) if f"`{key}" not in reference] == []


def _keys(section: type[msgspec.Struct]) -> Iterator[str]:
    """The paths of a table's keys; a table in it stands for its keys."""
    for field in msgspec.structs.fields(section):
        inner = [
            part
            for part in (field.type, *get_args(field.type))
            if isinstance(part, type) and issubclass(part, msgspec.Struct)
        ]
        if inner:
            yield from (f"{field.name}.{key}" for part in inner for key in _keys(part))
        elif field.name == "variants":
            yield "[[endpoint.variants]]"
        else:
            yield field.name


def test_the_readmes_figures_are_those_of_the_last_benchmark() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    report = (ROOT / "docs" / "benchmarks" / "serving.md").read_text(encoding="utf-8")
    figures = [
        line for line in readme.splitlines() if re.search(r"\((s|ms|MB|requests/s)\) +\|", line)
    ]

    assert len(figures) == 4
    assert [line for line in figures if line not in report] == []


def test_the_readmes_figures_of_images_and_deployments_are_too() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    report = (ROOT / "docs" / "benchmarks" / "serving.md").read_text(encoding="utf-8")
    cells = {cell.strip() for line in report.splitlines() for cell in line.split("|")}
    (told,) = re.findall(r"^Images: .*?cores;", readme, re.DOTALL | re.MULTILINE)
    figures = re.findall(r"[0-9.]+(?= s\b| MB\b)", told)

    assert len(figures) == 7
    assert [figure for figure in figures if figure not in cells] == []
