"""An answer under way: what came first, the chunks that come, and all that is held for it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from portside.local.instance.instance_client import ConnectionLostError, InvocationTimeoutError
from portside.local.invocation import model_error
from portside.local.protocol.fault import Fault

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AsyncExitStack

    from portside.local.metric.metric_measurement import Measurement


class StreamedAnswer:
    """Its parts; `held` (the lease, the connection, the measurement) ends with it.

    No generator: one that nobody began to read is not told when it is closed.
    """

    def __init__(
        self,
        first: bytes,
        chunks: AsyncIterator[bytes],
        *,
        seen: Measurement,
        held: AsyncExitStack,
    ) -> None:
        self._first = first
        self._chunks = chunks
        self._seen = seen
        self._held = held

    async def __anext__(self) -> bytes:
        """The next part; a `Fault` where the instance does not come to the end."""
        if self._first:
            first, self._first = self._first, b""
            return first
        try:
            return await anext(self._chunks)
        except InvocationTimeoutError as error:
            await self._break(error)
            raise model_error.stream_timed_out() from error
        except ConnectionLostError as error:
            await self._break(error)
            raise model_error.stream_broken() from error

    async def aclose(self) -> None:
        """Give the instance back; called at the end too."""
        await self._held.aclose()

    async def _break(self, error: Exception) -> None:
        """End all that is held with the error: a lease may have to end the instance over it."""
        self._seen.broke_mid_stream = True
        held = self._held.pop_all()
        with suppress(Fault):  # the words for an answer that has not begun
            async with held:
                raise error
