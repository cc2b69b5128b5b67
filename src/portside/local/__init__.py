"""The local SageMaker: AWS's API on one port of this machine, and models that really run.

    client ──SigV4──▶ gateway ─┬─ S3 ────────────▶ objects (SeaweedFS, a child process)
                               ├─ IAM, STS, SNS,
                               │  CloudWatch, … ─▶ delegated (moto, journaled)
                               └─ SageMaker, ────▶ services ─▶ store (SQLite)
                                  runtime, logs        │
                                                       └─▶ controller ─▶ capacity ─▶ instance
                                                           a process or container each

Start reading at `gateway`, the path of a request; then `endpoint.controller`, the life
of an endpoint; `assembly` makes all the parts, `server` is the process around them.
`protocol` speaks AWS's wire formats, from botocore's service models; `signature` checks
who calls. Nothing here knows the rest of
Portside: clients meet it over HTTP, as they meet AWS.
"""

from __future__ import annotations

from typing import Final

DEFAULT_IDLE_TIMEOUT_S: Final = 300.0
"""After so long a serverless instance that nobody calls is stopped. Ours: AWS does not tell its
own."""

DEFAULT_PORT: Final = 4566
"""The port that AWS emulators have in common."""
