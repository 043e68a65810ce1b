"""Click links."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from relo_server.platform.migrations.guards import guard, stays_with_client

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Makes the table, and says who may see which of its rows."""
    op.create_table(
        "links",
        sa.Column("client_id", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("destination", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["client_id"], ["clients.id"]),
        sa.PrimaryKeyConstraint("client_id", "code"),
    )
    if op.get_bind().dialect.name == "postgresql":
        guard("links", "SELECT, INSERT, UPDATE")
    else:
        stays_with_client("links")
