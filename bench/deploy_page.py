"""The page's section about deployments."""

from __future__ import annotations

from bench.deploy import ROUNDS, DeploySpeed
from bench.table import number, table


def deploy_section(seen: DeploySpeed | None) -> str:
    """Its figures; nothing where it was not measured."""
    if seen is None:
        return ""
    rows = (
        ("nothing to do", number(seen.nothing_s)),
        ("the code changed", number(seen.change_s)),
        ("from nothing, the artifact packaged", number(seen.first_s)),
    )
    return f"""## `portside deploy`

To the local SageMaker, a serverless endpoint with a handler of two lines: the whole process, until
the endpoint is InService and a sample was answered. Medians of {ROUNDS}. With nothing to do it
asked {seen.nothing_calls} questions and wrote {seen.nothing_writes} times.

{table(("", "seconds"), rows)}"""
