"""The one exception that commands turn into a message and exit status 2."""

from __future__ import annotations


class UserError(Exception):
    """Something the user can put right: what is wrong, and (hint) the way out."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
