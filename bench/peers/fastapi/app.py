"""FastAPI around the model written by hand: a synchronous endpoint, run in the thread pool."""

from __future__ import annotations

import os
from typing import Any

from fastapi import FastAPI
from ner import Ner
from pydantic import BaseModel

app = FastAPI()
model = Ner(os.environ["SM_MODEL_DIR"])


class Body(BaseModel):
    """A request."""

    strings: list[str]


@app.get("/ping")
def ping() -> None:
    """Healthy once the module is loaded."""


@app.post("/invocations")
def invocations(body: Body) -> list[list[dict[str, Any]]]:
    """The entities of each text."""
    return model.predict(body.strings)
