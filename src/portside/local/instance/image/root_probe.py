"""Whether this machine lets us enter the root of an image: tried once, when it is first asked."""

from __future__ import annotations

import asyncio
import sys
from typing import Final

from portside.local.instance.alone import alone
from portside.local.instance.image import root_entry

_TIMEOUT_S: Final = 10.0
"""It takes some 30 milliseconds."""


class RootProbe:
    """Remembers what the attempt came to."""

    def __init__(self) -> None:
        self._trying: asyncio.Task[str | None] | None = None

    async def obstacle(self) -> str | None:
        """Why it cannot be done, as the end of a sentence; None where it can."""
        if self._trying is None:
            self._trying = asyncio.create_task(_try())
        return await asyncio.shield(self._trying)


async def _try() -> str | None:
    if sys.platform != "linux":
        return "that needs Linux"
    process = await asyncio.create_subprocess_exec(
        *alone(root_entry.__name__, root_entry.PROBE),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            output, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        return f"an attempt did not end in {_TIMEOUT_S:.0f} s"
    lines = output.decode(errors="replace").split("\n")
    return (
        None if process.returncode == 0 else f"this machine allows no user namespaces: {lines[0]}"
    )
