"""The page's section about the local SageMaker."""

from __future__ import annotations

from bench.load import Load
from bench.local import CONNECTIONS, LocalSpeed
from bench.local_life import ENDPOINTS, MODELS, LocalLife
from bench.table import number, table


def local_section(seen: LocalSpeed | None, life: LocalLife | None) -> str:
    """Its figures; nothing where it was not measured."""
    if seen is None or life is None:
        return ""

    def row(name: str, load: Load) -> tuple[str, ...]:
        return (name, f"{load.requests_per_s:.0f}", number(load.p50_ms), number(load.p99_ms))

    rows = (
        row("the instance itself, 1 connection", seen.instance),
        row("through the gateway, 1 connection", seen.gateway),
        row(f"through the gateway, {CONNECTIONS} connections", seen.gateway_full),
    )
    return f"""## The local SageMaker

An endpoint of a handler that does nothing: its one instance asked directly, and through the gateway
with signed requests, in turn. At p50 the gateway takes {number(seen.overhead_ms)} ms (median of the
rounds). Gateway, instance and load generator share the machine.

{table(("", "requests/s", "p50 (ms)", "p99 (ms)"), rows)}

From `portside local start` in an empty folder to the first answer of boto3, and what all its
processes hold when nobody asks:

{table(("", "start (s)", "resident (MB)"), _starts(life))}

Calls of boto3 with {ENDPOINTS} endpoints and {MODELS} Models there, at p50:

{table(("", "describe (ms)", "list (ms)"), _answers(life))}"""


def _starts(life: LocalLife) -> tuple[tuple[str, ...], ...]:
    def row(name: str, seconds: float, size: int) -> tuple[str, ...]:
        return (name, number(seconds), f"{size / 1e6:.0f}")

    return (
        row("without an S3 of its own", life.start_s, life.idle_bytes),
        row("with SeaweedFS", life.start_with_s3_s, life.idle_with_s3_bytes),
    )


def _answers(life: LocalLife) -> tuple[tuple[str, ...], ...]:
    return (
        ("endpoints", number(life.describe_endpoint_ms), number(life.list_endpoints_ms)),
        ("Models", number(life.describe_model_ms), number(life.list_models_ms)),
    )
