"""Who may see which rows: the same for every table of clients."""

from __future__ import annotations

from alembic import op

APP = "relo_app"
TENANT = "NULLIF(current_setting('app.client', true), '')::bigint"


def guard(table: str, rights: str, condition: str | None = f"client_id = {TENANT}") -> None:
    """On PostgreSQL: the application has `rights`, and sees the rows of one client at a time.

    The owner as well; only the owner can ask for all of them, and has to say so. `condition` None
    leaves a table open that is nobody's.
    """
    op.execute(f"REVOKE ALL ON {table} FROM PUBLIC, {APP}")
    op.execute(f"GRANT {rights} ON {table} TO {APP}")
    if condition is None:
        return
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY tenant ON {table} USING ({condition}) WITH CHECK ({condition})")
    asked = "current_setting('app.operator', true) = 'on'"
    op.execute(f"CREATE POLICY operator ON {table} TO CURRENT_USER USING ({asked})")


def stays_with_client(table: str) -> None:
    """SQLite has no row-level security: at least no row ever changes its client."""
    op.execute(
        f"CREATE TRIGGER {table}_client BEFORE UPDATE OF client_id ON {table} "
        "WHEN NEW.client_id IS NOT OLD.client_id "
        "BEGIN SELECT RAISE(ABORT, 'a row stays with its client'); END"
    )
