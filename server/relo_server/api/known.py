"""Who came with which API token: asked of the platform store once a second, not at each request."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from relo_server.security.principals import Principal

#: A token that was revoked elsewhere is good for so long where it was just used.
_REMEMBERED_SECONDS = 1.0
#: From here on it is asked anew, while it is still good: then nobody waits for that.
_ASKED_ANEW_SECONDS = 0.5
_MOST_REMEMBERED = 10_000

#: Runs something that waits in a thread of its own.
Aside = Callable[[Callable[[], Principal]], Awaitable[Principal]]


class Known:
    """Tokens and whose they are, for one event loop. `authenticate` raises Refused."""

    def __init__(self, authenticate: Callable[[str], Principal], aside: Aside) -> None:
        self._authenticate = authenticate
        self._aside = aside
        self._found: dict[str, tuple[float, Principal]] = {}
        self._asking: dict[str, asyncio.Task[Principal]] = {}

    async def principal(self, token: str) -> Principal:
        """Who holds the token. Raises Refused where it is not valid."""
        found = self._found.get(token)
        age = float("inf") if found is None else time.monotonic() - found[0]
        if found is None or age > _REMEMBERED_SECONDS:
            return await asyncio.shield(self._asked(token))
        if age > _ASKED_ANEW_SECONDS:
            self._asked(token)
        return found[1]

    def forget(self) -> None:
        """Whose tokens they are will be asked again: something about them has changed."""
        self._found.clear()

    def _asked(self, token: str) -> asyncio.Task[Principal]:
        """The question that is on its way, or a new one."""
        asking = self._asking.get(token)
        if asking is None:
            asking = self._asking[token] = asyncio.create_task(self._ask(token))
            asking.add_done_callback(lambda task: self._settled(token, task))
        return asking

    async def _ask(self, token: str) -> Principal:
        found = await self._aside(lambda: self._authenticate(token))
        if len(self._found) >= _MOST_REMEMBERED:
            self._found.clear()
        self._found[token] = time.monotonic(), found
        return found

    def _settled(self, token: str, task: asyncio.Task[Principal]) -> None:
        self._asking.pop(token, None)
        if task.cancelled() or task.exception() is not None:
            self._found.pop(token, None)
