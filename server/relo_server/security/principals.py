"""Who somebody turned out to be, and why a credential was not taken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from relo_dsl.errors import UserError
from relo_server.security.roles import Role, allowed, in_scope

Reason = Literal["unknown", "expired", "early", "revoked", "reused", "disabled", "malformed"]


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody with a valid credential. `subject` is `token:ID` or `user:ID`."""

    client: int
    subject: str
    name: str
    role: Role
    scopes: frozenset[str] | None = None

    def may(self, operation: str) -> bool:
        """Whether role and scopes both allow it."""
        return allowed(self.role, operation) and in_scope(self.scopes, operation)


class Refused(UserError):
    """A credential that is not taken. `reason` is for the audit: whoever sent it is told no more
    than that it is not valid.
    """

    def __init__(self, reason: Reason, subject: str = "", client: int | None = None) -> None:
        super().__init__("the credential is not valid")
        self.reason: Reason = reason
        self.subject = subject
        self.client = client
