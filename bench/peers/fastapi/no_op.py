"""FastAPI with a handler that does nothing but count characters."""

from __future__ import annotations

from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()


class Body(BaseModel):
    """A request."""

    strings: list[str]


@app.get("/ping")
async def ping() -> None:
    """Healthy once the module is loaded."""


@app.post("/invocations")
async def invocations(body: Body) -> list[int]:
    """The length of each text."""
    return [len(text) for text in body.strings]
