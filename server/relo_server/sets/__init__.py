"""Published audiences as sets in Redis, Valkey or Dragonfly: by URL, or a server of our own."""

from __future__ import annotations

from relo_server.sets.store import Published, SetInfo, Sets, SetsError

__all__ = ["Published", "SetInfo", "Sets", "SetsError"]
