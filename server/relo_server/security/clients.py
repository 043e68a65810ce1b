"""Clients come into being with their first credential."""

from __future__ import annotations

from relo_server.platform.models import Client
from relo_server.platform.store import TenantSession


def ensure_client(session: TenantSession, now: int) -> None:
    """Makes the session's client where it is not there yet."""
    if session.get(Client, session.client) is None:
        session.add(Client(id=session.client, created_at=now))
        session.flush()
