"""Secrets that stand for somebody: made at random, shown once, kept as their HMAC.

A secret names its client, `relo_3_…`, so that it is looked for among that client's rows only. The
HMAC is over all of it: with another number in front it is found nowhere.
"""

from __future__ import annotations

import hmac
import re
import secrets
import string
from dataclasses import dataclass

_ALPHABET = string.ascii_letters + string.digits
#: 43 of 62 characters are 256 bits.
_LENGTH = 43
_SHAPE = re.compile(rf"([a-z]+)_(0|[1-9][0-9]{{0,9}})_[A-Za-z0-9]{{{_LENGTH}}}", re.ASCII)
_HINT = 4


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret's text, and the client that it names."""

    text: str
    client: int

    def hash(self, key: bytes) -> bytes:
        """What is stored of it."""
        return hmac.digest(key, self.text.encode(), "sha256")

    @property
    def hint(self) -> str:
        """What its owner knows it by: its beginning and its last characters."""
        prefix, client, rest = self.text.split("_")
        return f"{prefix}_{client}_…{rest[-_HINT:]}"

    def __repr__(self) -> str:
        return f"Secret({self.hint})"


def new_secret(prefix: str, client: int) -> Secret:
    """A fresh one; `prefix` is lower-case letters."""
    random = "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))
    return Secret(f"{prefix}_{client}_{random}", client)


def read_secret(prefix: str, text: str) -> Secret | None:
    """The secret that a text has the shape of; None where it has not."""
    found = _SHAPE.fullmatch(text)
    if found is None or found[1] != prefix or int(found[2]) >= 2**32:
        return None
    return Secret(text, int(found[2]))
