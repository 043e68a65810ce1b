"""The ledger of who was erased, which outlives the events."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from relo_server.platform.migrations.guards import guard, stays_with_client

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Makes the table; the application adds to it and takes nothing away."""
    op.create_table(
        "erasures",
        sa.Column("client_id", sa.BigInteger(), nullable=False),
        sa.Column("device", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("request", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["client_id"], ["clients.id"]),
        sa.PrimaryKeyConstraint("client_id", "device"),
    )
    if op.get_bind().dialect.name == "postgresql":
        guard("erasures", "SELECT, INSERT")
    else:
        stays_with_client("erasures")
