"""The baseline's model: a transformers pipeline, as its documentation shows it."""

from __future__ import annotations

from typing import Any

from transformers import (
    AutoModelForTokenClassification,
    AutoTokenizer,
    TokenClassificationPipeline,
    pipeline,
)


def load_model(model_dir: str) -> TokenClassificationPipeline:
    tokenizer = AutoTokenizer.from_pretrained(model_dir)
    model = AutoModelForTokenClassification.from_pretrained(model_dir)
    return pipeline(
        task="token-classification",
        model=model,
        tokenizer=tokenizer,
        aggregation_strategy="average",
    )


def predict(data: list[str], pipe: TokenClassificationPipeline) -> list[list[dict[str, Any]]]:
    return [[_with_plain_score(entity) for entity in entities] for entities in pipe(data)]


def _with_plain_score(entity: dict[str, Any]) -> dict[str, Any]:
    """The pipeline's score is a float32 of numpy, which `json` refuses."""
    return {**entity, "score": float(entity["score"])}
