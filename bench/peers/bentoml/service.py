"""BentoML around the model written by hand; one worker, as it is by default."""

from __future__ import annotations

import os
from typing import Any

import bentoml
from ner import Ner


@bentoml.service
class NerService:
    """The task as a service."""

    def __init__(self) -> None:
        self.model = Ner(os.environ["SM_MODEL_DIR"])

    @bentoml.api(route="/invocations")
    def predict(self, strings: list[str]) -> list[list[dict[str, Any]]]:
        """The entities of each text."""
        return self.model.predict(strings)
