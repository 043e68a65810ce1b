"""An audience has an id besides its name; those that were there before get one as they change."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Adds the column."""
    op.add_column("audiences", sa.Column("id", sa.Text(), nullable=False, server_default=""))
