"""Who may do something for a client: one process at a time, for as long as it keeps saying so."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import redis

from relo_dsl.setkeys import Command, fence_key, lease_key
from relo_server.sets.errors import SetsError, translated
from relo_server.sets.watching import Watching, transact


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease that was taken; whether it still holds is known to the server alone.

    `token` is greater than that of every lease before it. Publications that get the lease look it
    up in the very MULTI that publishes, so a process that was stopped for an hour publishes
    nothing. `seconds` is how long it holds from the last `renew`.
    """

    client: int
    purpose: str
    holder: str
    token: int
    seconds: float
    _redis: redis.Redis = field(repr=False, compare=False)

    @property
    def key(self) -> str:
        """Where it lies."""
        return lease_key(self.client, self.purpose)

    @property
    def value(self) -> bytes:
        """What lies there as long as it holds."""
        return _value(self.token, self.holder)

    def held(self) -> bool:
        """Whether it holds now."""
        with translated():
            return self._redis.get(self.key) == self.value

    def renew(self) -> bool:
        """Makes it hold for `seconds` from now; False where it had ended: it is not taken anew."""
        return self._if_held(("SET", self.key, self.value, "PX", _millis(self.seconds)))

    def release(self) -> None:
        """Ends it, so that another can take it at once; does nothing where it had ended."""
        self._if_held(("DEL", self.key))

    def _if_held(self, command: Command) -> bool:
        def look(_: Watching, answers: list[Any], _lost: bool) -> list[Command] | None:
            return [command] if answers == [self.value] else None

        with translated():
            return transact(self._redis, [self.key], [("GET", self.key)], look)


def take(
    connection: redis.Redis, client: int, purpose: str, holder: str, seconds: float
) -> Lease | None:
    """See `Sets.lease`."""
    if not purpose or ":" in purpose:
        raise ValueError(f"`{purpose}` cannot be what a lease is for")
    lease, fence = lease_key(client, purpose), fence_key(client, purpose)
    asked: list[int] = []
    mine = False

    def look(_: Watching, answers: list[Any], _lost: bool) -> list[Command] | None:
        nonlocal mine
        ((holds, last),) = answers
        # Ours already, if only the answer was lost.
        mine = bool(asked) and holds == _value(asked[-1], holder)
        if holds is not None:
            return None
        # Both are watched, so this is what INCR will make of it.
        asked.append(int(last or 0) + 1)
        return [("INCR", fence), ("SET", lease, _value(asked[-1], holder), "PX", _millis(seconds))]

    with translated():
        taken = transact(connection, [lease, fence], [("MGET", lease, fence)], look)
    if not taken and not mine:
        return None
    return Lease(client, purpose, holder, asked[-1], seconds, connection)


def _value(token: int, holder: str) -> bytes:
    return f"{token}|{holder}".encode()


def _millis(seconds: float) -> int:
    if seconds <= 0:
        raise SetsError("a lease must hold for some time")
    return max(1, round(seconds * 1000))
