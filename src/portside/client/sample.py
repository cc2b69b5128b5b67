"""Requests to try: the user's own, or those that a model's task takes.

--sample FILE ────────────────────▶ ┐
the project's request.json ───────▶ ├─ Sample ─▶ export
the task of its checkpoint ───────▶ ┘
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final, assert_never

from portside.artifact.folder.architecture import Task
from portside.client.payload import JSON, content_type_of
from portside.errors import UsageError

_TEXT: Final = "Ada Lovelace lives in London"

_SHOWN_BYTES: Final = 16 * 1024
"""Longest body that is written into a snippet: longer ones nobody edits, and a command line
holds 128 KiB in one argument. Source of that: execve(2), MAX_ARG_STRLEN."""

_TEXTUAL: Final = (JSON, "application/jsonlines", "text/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One request. `name` tells it from the others, `file` is where it was read."""

    name: str
    body: bytes
    content_type: str
    file: Path | None = None

    @property
    def text(self) -> str | None:
        """The body, if it is one to show and to edit; None where it is bytes."""
        if not self.content_type.startswith(_TEXTUAL) or len(self.body) > _SHOWN_BYTES:
            return None
        try:
            return self.body.decode()
        except UnicodeDecodeError:
            return None


STRINGS: Final = Sample(
    name="strings", body=json.dumps({"strings": [_TEXT]}).encode(), content_type=JSON
)
"""The body that most handlers take, and every task that takes a text."""

_INPUTS: Final = Sample(
    name="inputs", body=json.dumps({"inputs": _TEXT}).encode(), content_type=JSON
)
_PLAIN: Final = Sample(name="plain text", body=_TEXT.encode(), content_type="text/plain")
_QUESTION: Final = Sample(
    name="question",
    body=json.dumps({"inputs": {"question": "Where does Ada live?", "context": _TEXT}}).encode(),
    content_type=JSON,
)


def of_task(task: Task) -> tuple[Sample, ...]:
    """A body in each form that the task takes: docs/reference/tasks.md."""
    match task:
        case Task.TOKEN_CLASSIFICATION | Task.TEXT_CLASSIFICATION | Task.FEATURE_EXTRACTION:
            return STRINGS, _INPUTS, _PLAIN
        case Task.QUESTION_ANSWERING:
            return (_QUESTION,)
        case _:
            assert_never(task)


def of_file(file: Path) -> Sample:
    """A request from a file, its content type by its name.

    Raises `UsageError` where the name tells none, or says JSON and the file holds none.
    """
    content_type = content_type_of(file)
    body = file.read_bytes()
    if content_type == JSON:
        body = body.strip()  # the line end of an editor has no place in a snippet
        try:
            json.loads(body)
        except (ValueError, RecursionError) as error:
            raise UsageError(
                f"cannot use `{file}` as a sample: it is not JSON ({error})",
                hint='write a body into it that the endpoint takes, as `{"strings": ["a text"]}`',
            ) from error
    return Sample(name=file.name, body=body, content_type=content_type, file=file)
