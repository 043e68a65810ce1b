"""How often a token and a client may ask: counted in the sets' server, for all processes."""

from __future__ import annotations

import logging
import math
import threading
import time
from dataclasses import dataclass
from enum import IntEnum

import redis
from limits import RateLimitItem, RateLimitItemPerMinute
from limits.storage import RedisStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from relo_dsl.settings import Service
from relo_server.api.problems import Problem
from relo_server.security.principals import Principal
from relo_server.sets import Sets

#: Requests are counted here for so long before the server is told of them together: seconds, where
#: there may be many more, and where the limit is near.
_TOGETHER_SECONDS = 1.0
_NEAR_SECONDS = 0.1
#: While the server is away, a tenth of the limit may come in so long before it is asked again.
_AWAY_SECONDS = 5.0
#: So many callers are remembered; beyond that all of them are forgotten, which loses a tenth of a
#: second of counts.
_REMEMBERED = 10_000
_log = logging.getLogger("relo.api")


@dataclass(slots=True)
class _Count:
    """Requests that the server has not been told of, until when that is well, and what it said
    last: how many more there may be, or until when none.
    """

    until: float = 0.0
    pending: int = 0
    left: int = 0
    full_until: float = 0.0


class Due(IntEnum):
    """When the server has to be told of what was counted."""

    LATER = 0
    SOON = 1
    NOW = 2


class Rates:
    """Counts over a sliding minute. What comes within a moment is told together."""

    def __init__(self, sets: Sets, service: Service) -> None:
        storage = RedisStorage(
            "redis://", connection_pool=sets.connections, key_prefix="relo:rates"
        )
        self._limiter = SlidingWindowCounterRateLimiter(storage)
        self._own = RateLimitItemPerMinute(service.requests_per_minute)
        self._client = RateLimitItemPerMinute(service.client_requests_per_minute)
        self._counts: dict[tuple[str, ...], _Count] = {}
        self._lock = threading.Lock()

    def take(self, who: Principal) -> Due:
        """Counts a request, and says when `settle` is to be called: NOW is before it is answered.

        Raises Problem (429) where there were too many in the last minute.
        """
        now = time.time()
        due = Due.LATER
        with self._lock:
            if len(self._counts) > _REMEMBERED:
                self._counts.clear()
            for names, item, what in self._limits(who):
                count = self._counts.setdefault(names, _Count())
                if now < count.full_until:
                    raise _too_many(what, item, count.full_until - now)
                count.pending += 1
                if count.pending > count.left:
                    due = Due.NOW
                elif now > count.until or count.pending > count.left // 4:
                    due = max(due, Due.SOON)
        return due

    def settle(self, who: Principal) -> None:
        """Tells the server of all that was counted. Raises Problem (429) as `take` does. A server
        that is away is asked again in a while.
        """
        try:
            self._settle(who)
        except redis.RedisError as error:
            _log.warning("requests are counted here alone: %s", error)
            with self._lock:
                for names, item, _ in self._limits(who):
                    left, until = item.amount // 10, time.time() + _AWAY_SECONDS
                    self._counts[names] = _Count(until=until, left=left)

    def _settle(self, who: Principal) -> None:
        for names, item, what in self._limits(who):
            with self._lock:
                count = self._counts.setdefault(names, _Count())
                pending, count.pending = count.pending, 0
            # All but this one are answered already: they count even where others have used it up.
            if pending > 1:
                left = self._limiter.get_window_stats(item, *names).remaining
                if left:
                    self._limiter.hit(item, *names, cost=min(pending - 1, left))
            taken = pending < 1 or self._limiter.hit(item, *names)
            stats = self._limiter.get_window_stats(item, *names)
            count.left = stats.remaining
            near = count.left < item.amount // 2
            count.until = time.time() + (_NEAR_SECONDS if near else _TOGETHER_SECONDS)
            if not taken:
                now = time.time()
                wait = max(1.0, stats.reset_time - now)
                count.full_until = now + min(wait, _NEAR_SECONDS)
                raise _too_many(what, item, wait)

    def _limits(self, who: Principal) -> tuple[tuple[tuple[str, ...], RateLimitItem, str], ...]:
        client = str(who.client)
        return (
            ((client, who.subject), self._own, "this credential"),
            ((client,), self._client, f"client {client}"),
        )


def _too_many(what: str, item: RateLimitItem, wait: float) -> Problem:
    return Problem(
        429, "too_many", f"{what} may ask {item.amount:,} times a minute",
        headers={"Retry-After": str(max(1, math.ceil(wait)))},
    )  # fmt: skip
