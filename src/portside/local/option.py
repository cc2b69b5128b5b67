"""What a user of the local SageMaker may choose."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from portside.contract import INVOCATION_TIMEOUT_S
from portside.local import DEFAULT_IDLE_TIMEOUT_S, DEFAULT_PORT, listener
from portside.local.data_folder import Keys
from portside.local.instance.launcher import EngineChoice
from portside.local.s3.existing_store import ExistingStore

DEFAULT_ACCOUNT: Final = "000000000000"
DEFAULT_REGION: Final = "us-east-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """All choices; port 0 takes a free one."""

    data: Path
    host: str = listener.LOOPBACK
    allow_remote: bool = False
    port: int = DEFAULT_PORT
    account: str = DEFAULT_ACCOUNT
    region: str = DEFAULT_REGION
    engine: EngineChoice = EngineChoice.AUTO
    iam: bool = True
    """Whether it is looked at what execution roles may do."""
    idle_timeout_s: float = DEFAULT_IDLE_TIMEOUT_S
    """After so long a serverless instance that nobody calls is stopped."""
    keys: Keys | None = None
    """The user's own, in place of those that are drawn for the folder."""
    invocation_timeout_s: float = INVOCATION_TIMEOUT_S
    """In which an instance has to answer."""
    pace: float = 1.0
    """How many times faster than on AWS the waits of updates and of auto scaling go by."""
    strict_payload: bool = False
    """Whether a real-time body may have only the 6 MB of the API Reference."""
    s3: ExistingStore | None = None
    """Keeps the objects; without it a SeaweedFS in the folder does."""
