"""Builds that take longer than a request waits: what was begun, and what came of it."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from relo_dsl.times import format_instant
from relo_server.refresh.live import outcome_of
from relo_server.refresh.results import RefreshResult
from relo_server.security.tokens import new_id

#: Of builds that are over, so many are remembered; what they published is in the history.
_REMEMBERED = 10_000


@dataclass(slots=True)
class Build:
    """One build of one audience. `more` is what the answer says besides what was computed."""

    id: str
    client: int
    name: str
    begun: int
    future: Future[RefreshResult]
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def status(self) -> str:
        """`building`, `published`, `held` (not published, because of its size) or `failed`."""
        if not self.future.done():
            return "building"
        if self.future.cancelled() or self.future.exception() is not None:
            return "failed"
        return outcome_of(self.future.result()).outcome

    def to_json(self) -> dict[str, Any]:
        """What is known of it; errors are told as problems are."""
        found: dict[str, Any] = {
            "build_id": self.id,
            "name": self.name,
            "status": self.status,
            "begun_at": format_instant(self.begun),
            "device_count": None,
            "built_at": None,
            **self.more,
        }
        if self.status in ("published", "held"):
            result = self.future.result()
            found |= {
                "device_count": result.size,
                "built_at": format_instant(result.at),
                "version": result.ordinal,
                "result": result.to_json(),
            }
        elif self.status == "failed":
            found["reason"] = self._reason()
        return found

    def _reason(self) -> str:
        if self.future.cancelled():
            return "the service stopped before it was begun"
        error = self.future.exception()
        if error is not None:
            return str(error)
        return self.future.result().error or "it was not published"


class Builds:
    """The builds of this process, the newest last."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Build] = OrderedDict()

    def begin(
        self, client: int, name: str, now: int, future: Future[RefreshResult], more: dict[str, Any]
    ) -> Build:
        """Remembers a build that was given to the engine."""
        build = Build(new_id(now), client, name, now, future, more)
        self._known[build.id] = build
        while len(self._known) > _REMEMBERED:
            oldest = next(iter(self._known.values()))
            if not oldest.future.done():
                break
            del self._known[oldest.id]
        return build

    def find(self, client: int, id_: str) -> Build | None:
        """A build of that client, or None."""
        found = self._known.get(id_)
        return found if found is not None and found.client == client else None


async def wait_for(build: Build, seconds: float) -> None:
    """Until a build is over, or so long; what it raised stays with it."""
    waiting = asyncio.wrap_future(build.future)
    await asyncio.wait([waiting], timeout=seconds)
    if waiting.done() and not waiting.cancelled():
        waiting.exception()  # looked at: asyncio would warn otherwise
