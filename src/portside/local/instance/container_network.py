"""The network that all instances share, as long as the engine can make it and use it."""

from __future__ import annotations

import asyncio
import logging
import re
from typing import TYPE_CHECKING, Final

from portside.engine.engine import EngineError

if TYPE_CHECKING:
    from portside.engine.engine import Engine

NETWORK: Final = "sagemaker-local"
"""The name that the SageMaker Python SDK's local mode gives to its own."""

_NETWORK_WORDS: Final = re.compile(
    r"network|netavark|\bcni\b|iptables|nftables|bridge|veth|slirp4netns|pasta", re.IGNORECASE
)
"""What an engine speaks of when it is the network that keeps it from starting a container."""

_log = logging.getLogger(__name__)


class ContainerNetwork:
    """`name` is what to start containers in: None, for a `reason`, leaves it to the engine."""

    def __init__(self) -> None:
        self.name: str | None = NETWORK
        self.reason = ""
        self._is_made = False
        self._making = asyncio.Lock()

    async def make(self, engine: Engine) -> None:
        """Make it once; where that fails, containers are started without it from now on."""
        async with self._making:
            if self._is_made or self.name is None:
                return
            try:
                await engine.make_network(NETWORK)
                self._is_made = True
            except EngineError as error:
                self._give_up(str(error))

    def blame(self, complaint: str) -> None:
        """Give it up, if it is what kept a container from being started."""
        if self.name is not None and _NETWORK_WORDS.search(complaint):
            self._give_up(complaint)

    def _give_up(self, reason: str) -> None:
        self.name, self.reason = None, reason
        _log.warning("containers are started without the network %s: %s", NETWORK, reason)
