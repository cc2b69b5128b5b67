"""Which samples a report keeps, for the deployed endpoint to be asked again.

    samples ─┐                   ┌─ short ones
    original ├─ found the same ──┼─ one in which nothing was found
    chosen ──┘                   └─ of each kind of answer one, before the second of any

Where the chosen form agrees with the original, an answer is hardly a close call: rounding the
weights did not move it, so the rounding of another processor will not either.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Final

from portside.artifact.folder.architecture import Task
from portside.artifact.proof.likeness import Answers, is_single_score
from portside.artifact.proof.proof import Asked, Finding
from portside.artifact.proof.sample import Samples

MOST: Final = 5
"""An endpoint is asked them one by one at each deployment, with a person waiting."""

LONGEST: Final = 500
"""Characters of a sample as JSON; a report is no place for books."""


def select(
    task: Task, samples: Samples, *, original: Answers, chosen: Answers
) -> tuple[Asked, ...]:
    """The samples to keep with what was found in them; the same ones at each packaging.

    None where an answer is not what was found but numbers: of vectors and of single scores.
    """
    if task is Task.FEATURE_EXTRACTION or is_single_score(task, original):
        return ()
    steady: dict[str, Asked] = {}
    for sample, before, found in zip(samples.items, original.found, chosen.found, strict=True):
        text = json.dumps(sample.inputs, ensure_ascii=False)
        if found == before and len(text) <= LONGEST:
            steady[text] = Asked(
                inputs=sample.inputs,
                parameters=samples.parameters,
                found=found,
                is_exclusive=samples.exclusive,
            )
    return tuple(_varied([steady[text] for text in sorted(steady, key=_size)])[:MOST])


def _size(text: str) -> tuple[int, str]:
    return len(text), text


def _varied(asked: Sequence[Asked]) -> list[Asked]:
    """Those that differ most in what was found first, otherwise in their order."""
    seen: Counter[frozenset[Finding]] = Counter()
    ranked = []
    for one in asked:
        kinds = _kinds(one.found)
        is_repeated = not one.found and seen[kinds] > 0
        ranked.append(((is_repeated, seen[kinds], bool(one.found)), one))
        seen[kinds] += 1
    return [one for _, one in sorted(ranked, key=lambda pair: pair[0])]


def _kinds(found: frozenset[Finding]) -> frozenset[Finding]:
    """Without places, which are hardly ever the same in two texts."""
    return frozenset(tuple(part for part in each if isinstance(part, str)) for each in found)
