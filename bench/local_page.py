"""The page's section about the local SageMaker."""

from __future__ import annotations

from bench.load import Load
from bench.local import CONNECTIONS, LocalSpeed
from bench.table import number, table


def local_section(seen: LocalSpeed | None) -> str:
    """Its figures; nothing where it was not measured."""
    if seen is None:
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

{table(("", "requests/s", "p50 (ms)", "p99 (ms)"), rows)}"""
