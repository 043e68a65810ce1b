"""Passwords, kept as argon2id hashes with the parameters of RFC 9106 for little memory."""

from __future__ import annotations

import unicodedata

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from argon2.profiles import RFC_9106_LOW_MEMORY

from relo_dsl.errors import UserError

SHORTEST = 12
LONGEST = 1_024


class Passwords:
    """Hashes and verifies. A cheaper `hasher` is for tests."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)
        #: Verified where there is no user, so that an unknown name takes as long as a known one.
        self._nobody = self._hasher.hash("nobody has this password")

    def hash(self, password: str, name: str) -> str:
        """The hash to keep. Raises UserError for a password too short, too long or too near."""
        if len(password) < SHORTEST:
            raise UserError(f"a password has at least {SHORTEST} characters")
        if len(password) > LONGEST:
            raise UserError(f"a password has at most {LONGEST} characters")
        if name.casefold() in password.casefold() and len(password) < len(name) + SHORTEST:
            raise UserError("the password is hardly more than the name")
        if len(set(password)) < SHORTEST // 3:
            raise UserError("the password repeats a few characters")
        return self._hasher.hash(_normal(password))

    def verify(self, hash_: str | None, password: str) -> bool:
        """Whether it is the password; None, nobody's hash, takes as long and is false."""
        try:
            self._hasher.verify(hash_ or self._nobody, _normal(password))
        except (VerifyMismatchError, InvalidHashError):
            return False
        return hash_ is not None

    def outdated(self, hash_: str) -> bool:
        """Whether it was made with other parameters than are used now."""
        return self._hasher.check_needs_rehash(hash_)

    def again(self, password: str) -> str:
        """A new hash of a password that has just been verified."""
        return self._hasher.hash(_normal(password))


def _normal(password: str) -> str:
    """One sequence of code points for what keyboards and systems write as several."""
    return unicodedata.normalize("NFKC", password[: LONGEST + 1])
