"""The app of docs/reference/handlers.md goes into the artifact by the name that serves it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from portside import config
from portside.artifact.handler import handler_members

TEXT = (Path(__file__).parents[2] / "docs" / "reference" / "handlers.md").read_text("utf-8")


def example(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    return str(found)


def test_the_app_is_found_where_the_example_says(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(example("py"))
    (tmp_path / "requirements.txt").write_text("flask\n")
    (tmp_path / "portside.toml").write_text(example("toml"))
    project = config.load(tmp_path)
    module, _, attribute = project.endpoints[0].settings.environment["PORTSIDE_APP"].partition(":")

    assert project.handler is not None
    (member,) = handler_members(project.handler)
    assert member.name == f"code/{module}.py"
    namespace: dict[str, Any] = {"__name__": module}
    exec(member.source.read_text(), namespace)  # noqa: S102  our own example
    answer = namespace[attribute].test_client().post("/invocations", json={"text": "ada"})
    assert answer.json == {"shouted": "ADA"}
