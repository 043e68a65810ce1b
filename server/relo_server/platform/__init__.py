"""The platform store: clients, users, credentials, definitions and the audit, in SQL.

SQLite beside the embedded stores, or PostgreSQL; versions of members live in ClickHouse.
"""

from __future__ import annotations

from relo_server.platform.store import Platform

__all__ = ["Platform"]
