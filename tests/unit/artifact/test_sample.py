"""Samples that come with Portside."""

from __future__ import annotations

import pytest

from portside.artifact.folder.architecture import Task
from portside.artifact.proof.sample import bundled_samples


@pytest.mark.parametrize("task", Task)
def test_bundled_samples_suit_each_task(task: Task):
    samples = bundled_samples(task)

    assert len(samples.items) >= 50
    kinds = {type(sample.inputs) for sample in samples.items}
    assert kinds == ({dict} if task is Task.QUESTION_ANSWERING else {str})
