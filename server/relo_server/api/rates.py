"""How often a token and a client may ask: counted in the sets' server, for all workers together."""

from __future__ import annotations

import math
import time

from limits import RateLimitItemPerMinute
from limits.storage import RedisStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from relo_dsl.settings import Service
from relo_server.api.problems import Problem
from relo_server.security.principals import Principal
from relo_server.sets import Sets


class Rates:
    """Counts over a sliding minute."""

    def __init__(self, sets: Sets, service: Service) -> None:
        storage = RedisStorage(
            "redis://", connection_pool=sets.connections, key_prefix="relo:rates"
        )
        self._limiter = SlidingWindowCounterRateLimiter(storage)
        self._own = RateLimitItemPerMinute(service.requests_per_minute)
        self._client = RateLimitItemPerMinute(service.client_requests_per_minute)

    def take(self, who: Principal) -> None:
        """Counts a request. Raises Problem (429) where there were too many in the last minute."""
        client = str(who.client)
        for what, item, names in (
            ("this credential", self._own, (client, who.subject)),
            (f"client {client}", self._client, (client,)),
        ):
            if not self._limiter.hit(item, *names):
                reset = self._limiter.get_window_stats(item, *names).reset_time
                raise Problem(
                    429, "too_many", f"{what} may ask {item.amount:,} times a minute",
                    headers={"Retry-After": str(max(1, math.ceil(reset - time.time())))},
                )  # fmt: skip
