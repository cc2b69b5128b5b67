"""The bodies in the reference of tasks are bodies that the tasks understand."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from portside.serving.checkpoint import Task
from portside.serving.error import InvalidBodyError
from portside.serving.handlers.task import make_task
from portside.serving.tasks import task as tasks
from portside.serving.tasks.strategy import AggregationStrategy
from tests.unit.serving.task_fakes import make_checkpoint

REFERENCE = Path(__file__).parents[3] / "docs" / "reference" / "tasks.md"


def section(task: Task) -> str:
    """What stands under the heading that is the task's name."""
    sections = REFERENCE.read_text(encoding="utf-8").split("\n## ")
    [found] = [text for text in sections if text.lower().replace(" ", "-").startswith(task.value)]
    return found


def documented_bodies(task: Task) -> list[Any]:
    blocks = re.findall(r"```json\n(.*?)```", section(task), re.DOTALL)
    return [json.loads(block) for block in blocks]


@pytest.fixture(params=Task)
def task(request: pytest.FixtureRequest) -> Task:
    found: Task = request.param
    return found


@pytest.fixture
def made(task: Task, tmp_path: Path) -> tasks.Task:
    checkpoint = make_checkpoint(tmp_path, task, labels=("O", "B-PER"), entailment=1)
    return make_task(checkpoint, strategy=AggregationStrategy.AVERAGE)


def test_every_task_is_shown_with_a_body_that_it_takes(task: Task, made: tasks.Task):
    bodies = documented_bodies(task)

    assert bodies
    assert all(tasks.open_body(made, body).inputs for body in bodies)


def test_every_parameter_is_shown(task: Task, made: tasks.Task):
    [body, *_] = documented_bodies(task)
    wrong = body | {"parameters": body.get("parameters", {}) | {"unheard_of": 1}}

    with pytest.raises(InvalidBodyError) as caught:
        tasks.open_body(made, wrong)

    known = re.findall(r"`(\w+)`", caught.value.message.partition(" as `parameters`")[0])
    assert set(re.findall(r"^\| `(\w+)` \|", section(task), re.MULTILINE)) == set(known)
