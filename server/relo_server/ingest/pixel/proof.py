"""What proves that a browser has the device it names: it was told both at once, by us.

The service makes the id, random as it is, and signs it; the page keeps both in first-party cookies.
Whoever learns the id alone, from an address, a log or another shop's page, cannot grant anything in
its name.
"""

from __future__ import annotations

import base64
import hmac

from relo_server.security.keys import Purpose, derive

_BYTES = 16


class Proofs:
    """Signs devices with a key that is derived from the installation's."""

    def __init__(self, key: bytes) -> None:
        self._key = derive(key, Purpose.PIXEL)

    def of(self, client: int, device: str) -> str:
        """The proof of a client's device: 22 characters."""
        text = f"{client}|{device}".encode("utf-8", "replace")
        digest = hmac.digest(self._key, text, "sha256")[:_BYTES]
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")

    def fits(self, client: int, device: str, proof: str) -> bool:
        """Whether it is that device's. How long it takes tells nothing."""
        return hmac.compare_digest(
            self.of(client, device).encode(), proof.encode("utf-8", "replace")
        )
