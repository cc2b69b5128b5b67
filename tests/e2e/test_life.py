"""The life of an endpoint by the command line alone, as a user lives it."""

from __future__ import annotations

import json
from pathlib import Path

from tests.e2e.conftest import Portside

TEXT = "Ada Lovelace met Charles Babbage in London."


def test_a_project_from_init_to_destroy(portside: Portside, tmp_path: Path) -> None:
    project = tmp_path / "shout"
    portside("init", project)

    planned = portside("plan", project, "--json").json
    deployed = portside("deploy", project, "--json").json
    again = portside("deploy", project, "--json").json

    assert deployed == planned
    assert [step["verb"] for step in planned] == [
        "create",
        "upload",
        "create",
        "create",
        "create",
        "create",
        "wait",
    ]
    assert again == []
    assert portside("status", project, "--json").json[0]["status"] == "InService"

    answer = portside("invoke", "shout", "--file", project / "request.json", "--json")
    assert json.loads(answer.out) == ["ADA LOVELACE LIVES IN LONDON"]

    removed = portside("destroy", project, "--json").json
    assert {step["kind"] for step in removed} == {
        "Endpoint",
        "EndpointConfig",
        "Model",
        "model artifact",
        "role",
    }
    assert portside("destroy", project, "--json").json == []
    assert portside("status", project, "--json").json[0]["status"] is None


def test_a_change_moves_the_endpoint(portside: Portside, tmp_path: Path) -> None:
    project = tmp_path / "shout"
    portside("init", project)
    portside("deploy", project)
    handler = project / "inference.py"
    handler.write_text(handler.read_text().replace("str.upper", "str.lower"))

    steps = portside("deploy", project, "--json").json

    assert [(step["verb"], step["kind"]) for step in steps] == [
        ("upload", "model artifact"),
        ("create", "Model"),
        ("create", "EndpointConfig"),
        ("update", "Endpoint"),
        ("wait", "Endpoint"),
    ]
    answer = portside("invoke", "shout", "--file", project / "request.json", "--json")
    assert json.loads(answer.out) == ["ada lovelace lives in london"]


def test_a_trained_model_answers_and_its_entities_are_shown(portside: Portside, ner: Path) -> None:
    portside("deploy", ner)

    done = portside("invoke", "ner", "--data", json.dumps({"strings": [TEXT]}))

    (entities,) = json.loads(done.out)
    found = [(entity["entity_group"], TEXT[entity["start"] : entity["end"]]) for entity in entities]
    assert found == [
        ("GIVEN_NAME", "Ada"),
        ("SURNAME", "Lovelace"),
        ("GIVEN_NAME", "Charles"),
        ("SURNAME", "Babbage"),
        ("CITY", "London"),
    ]
    assert "[Ada](GIVEN_NAME) [Lovelace](SURNAME) met" in done.err


def test_logs_outlive_the_endpoint(portside: Portside, tmp_path: Path) -> None:
    project = tmp_path / "shout"
    portside("init", project)
    handler = project / "inference.py"
    handler.write_text(handler.read_text() + "\n\nprint('a line of my own', flush=True)\n")
    portside("deploy", project)
    portside("destroy", project)

    lines = [json.loads(line) for line in portside("logs", "shout", "--json").out.splitlines()]

    assert any(line["message"] == "a line of my own" for line in lines)
    assert {line["stream"].partition("/")[0] for line in lines} == {"AllTraffic"}


def test_destroy_leaves_what_another_project_made(portside: Portside, tmp_path: Path) -> None:
    first, second = tmp_path / "shout", tmp_path / "shout-two"
    for project in (first, second):
        portside("init", project)
        portside("deploy", project)

    portside("destroy", first)

    assert portside("status", second, "--json").json[0]["status"] == "InService"
    answer = portside("invoke", "shout-two", "--file", second / "request.json", "--json")
    assert json.loads(answer.out) == ["ADA LOVELACE LIVES IN LONDON"]
    assert portside("plan", second, "--json").json == []
