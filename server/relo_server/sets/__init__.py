"""Published audiences as sets in Redis, Valkey or Dragonfly: by URL, or a server of our own."""

from __future__ import annotations

from relo_server.sets.drafts import Draft
from relo_server.sets.errors import Overtaken, SetsError
from relo_server.sets.leases import Lease
from relo_server.sets.moves import ANY, Base
from relo_server.sets.reading import Answers, Listing
from relo_server.sets.stamps import SetInfo, Stamp, new_version
from relo_server.sets.store import Published, Sets

__all__ = [
    "ANY",
    "Answers",
    "Base",
    "Draft",
    "Lease",
    "Listing",
    "Overtaken",
    "Published",
    "SetInfo",
    "Sets",
    "SetsError",
    "Stamp",
    "new_version",
]
