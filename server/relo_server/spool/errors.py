"""What keeps a spool from taking more."""

from __future__ import annotations

from relo_dsl.errors import UserError


class SpoolError(UserError):
    """The spool cannot keep anything now; `retry_after` seconds later it may."""

    def __init__(self, message: str, hint: str, retry_after: int = 5) -> None:
        super().__init__(message, hint)
        self.retry_after = retry_after


class SpoolFull(SpoolError):
    """It holds as much as it may, or the disk does."""
