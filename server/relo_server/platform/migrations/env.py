"""What Alembic runs: the migrations, on the connection and in the transaction of whoever asks."""

from __future__ import annotations

from alembic import context

from relo_server.platform.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    # SQLite has transactional DDL; Alembic does not count on it because sqlite3 used to end
    # transactions by itself, which the store's connections do not.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
