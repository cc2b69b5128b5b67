"""BentoML with a handler that does nothing but count characters."""

from __future__ import annotations

import bentoml


@bentoml.service
class LengthService:
    """The length of each text."""

    @bentoml.api(route="/invocations")
    def predict(self, strings: list[str]) -> list[int]:
        """Their lengths."""
        return [len(text) for text in strings]
