"""Keys for each purpose, derived from the installation's: none can stand in for another."""

from __future__ import annotations

from enum import StrEnum

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES = 32


class Purpose(StrEnum):
    """What a key is for. The texts are part of the derivation: changing one changes its key."""

    API_TOKENS = "relo api tokens 1"
    REFRESH_TOKENS = "relo refresh tokens 1"
    ACCESS_TOKENS = "relo access tokens 1"
    AUDIT = "relo audit 1"
    PIXEL = "relo pixel 1"


def derive(installation_key: bytes, purpose: Purpose, which: str = "") -> bytes:
    """The 32-byte key for a purpose (HKDF-SHA256); `which` tells several of one purpose apart."""
    info = f"{purpose}|{which}".encode()
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=info).derive(installation_key)
