"""What can go wrong with the set server."""

from __future__ import annotations

from types import TracebackType
from typing import Literal

import redis

from relo_dsl.errors import UserError

What = Literal["base", "consent", "lease"]

_MESSAGES: dict[What, str] = {
    "base": "another version was published in the meantime",
    "consent": "somebody withdrew consent in the meantime",
    "lease": "the lease ended: another process has taken over",
}


class SetsError(UserError):
    """The set server refused, failed or could not be reached."""


class Overtaken(SetsError):
    """A publication came too late, and changed nothing.

    `what` says what had moved. `damaged` is true where the version is still the one expected and
    its set is not: evicted, wiped, or changed by somebody else. Then only a new draft helps.
    `unsure` is true where the connection had been lost before: then this version may have been
    the current one for a moment, before the one that is there now.
    """

    def __init__(self, what: What, *, damaged: bool = False, unsure: bool = False) -> None:
        message = "the set is not the one that was published" if damaged else _MESSAGES[what]
        super().__init__(message)
        self.what = what
        self.damaged = damaged
        self.unsure = unsure


class translated:  # noqa: N801 - reads as a statement
    """Turns redis-py's errors into ours."""

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, redis.RedisError):
            raise SetsError(f"the set store failed: {error}") from error
