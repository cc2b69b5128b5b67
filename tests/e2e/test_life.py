"""The life of an endpoint by the command line alone, as a user lives it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.e2e.conftest import Portside

TEXT = "Ada Lovelace met Charles Babbage in London."


def test_a_project_from_init_to_destroy(portside: Portside, tmp_path: Path) -> None:
    project = tmp_path / "shout"
    portside("init", project)

    planned = portside("plan", project, "--json").json
    deployed = portside("deploy", project, "--json").json
    log = portside.data / "gateway.log"
    before = len(log.read_text().splitlines())
    again = portside("deploy", project, "--json").json
    asked = log.read_text().splitlines()[before:]

    assert deployed == planned
    assert_only_asked(asked)
    assert [step["verb"] for step in planned] == [
        "create",
        "upload",
        "create",
        "create",
        "create",
        "create",
        "wait",
        "verify",
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
        ("verify", "Endpoint"),
    ]
    answer = portside("invoke", "shout", "--file", project / "request.json", "--json")
    assert json.loads(answer.out) == ["ada lovelace lives in london"]


def assert_only_asked(lines: list[str]) -> None:
    """Few calls, and none that changes anything."""
    calls = [line for line in lines if "/_portside/" not in line]
    assert 0 < len(calls) < 20
    for line in calls:
        assert " PUT " not in line
        assert " DELETE " not in line
        assert not {"Create", "Update", "Delete", "AddTags"} & set(re.findall(r"[A-Z][a-z]+", line))


REALTIME = """
[endpoint]
kind = "realtime"
environment = { LOG_LEVEL = "info" }
ttl = "8h"

[[endpoint.variants]]
name = "now"
weight = 0.5
[[endpoint.variants]]
name = "next"
weight = 0.5
environment = { LOG_LEVEL = "debug" }

[endpoint.scaling]
max_instances = 2
target = 100

[endpoint.capture]

[endpoint.rollout]
wait_s = 0
"""


def test_a_real_time_endpoint_with_variants_capture_and_scaling(
    portside: Portside, tmp_path: Path
) -> None:
    project = tmp_path / "shout"
    portside("init", project)
    file = project / "portside.toml"
    file.write_text('name = "shout"\n' + REALTIME)

    steps = portside("deploy", project, "--json").json

    assert [(step["verb"], step["kind"]) for step in steps[-10:]] == [
        ("create", "Model"),
        ("create", "Model"),
        ("create", "EndpointConfig"),
        ("create", "Endpoint"),
        ("wait", "Endpoint"),
        ("verify", "Endpoint"),
        ("create", "scalable target"),
        ("create", "scaling policy"),
        ("create", "scalable target"),
        ("create", "scaling policy"),
    ]
    (made,) = (step for step in steps if step["name"] == "shout" and step["verb"] == "create")
    assert made["price"]["idle_month_usd"] == pytest.approx(2 * 0.115 * 730)
    assert portside("plan", project, "--json").json == []
    answer = portside("invoke", "shout", "--file", project / "request.json", "--json")
    assert json.loads(answer.out) == ["ADA LOVELACE LIVES IN LONDON"]

    file.write_text(file.read_text().replace("max_instances = 2", "max_instances = 3"))
    bounds = portside("plan", project, "--json").json
    assert [(step["verb"], step["kind"], step["changes"][0]["new"]) for step in bounds] == [
        ("update", "scalable target", 3)
    ] * 2

    file.write_text(file.read_text().replace('"8h"', '"7d"').replace('"info"', '"error"'))
    moved = portside("deploy", project, "--json").json
    assert [step["changes"] for step in moved if step["kind"] == "Model"] == [
        [{"field": "Environment.LOG_LEVEL", "old": "set", "new": "set to another value"}]
    ]
    assert ("tag", "Endpoint") in [(step["verb"], step["kind"]) for step in moved]
    assert portside("plan", project, "--json").json == []

    removed = portside("destroy", project, "--json").json
    assert [step["kind"] for step in removed][:3] == [
        "scalable target",
        "scalable target",
        "Endpoint",
    ]
    assert portside("destroy", project, "--json").json == []


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
