"""The first tables, and on PostgreSQL who may see which rows of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from relo_server.platform.migrations.guards import APP, TENANT, guard, stays_with_client

revision = "0001"
down_revision = None

#: What the application may do to which table, and which of its rows are a client's.
_GRANTS = {
    "clients": ("SELECT, INSERT, UPDATE", f"id = {TENANT}"),
    "users": ("SELECT, INSERT, UPDATE", f"client_id = {TENANT}"),
    "tokens": ("SELECT, INSERT, UPDATE", f"client_id = {TENANT}"),
    "refresh_tokens": ("SELECT, INSERT, UPDATE, DELETE", f"client_id = {TENANT}"),
    "audiences": ("SELECT, INSERT, UPDATE, DELETE", f"client_id = {TENANT}"),
    "idempotency_keys": ("SELECT, INSERT, UPDATE, DELETE", f"client_id = {TENANT}"),
    "audit": ("SELECT, INSERT", f"client_id = {TENANT}"),
    # -1 is the end of the whole chain, which the next line of any client hangs on.
    "audit_heads": ("SELECT, INSERT, UPDATE", f"client_id IN ({TENANT}, -1)"),
    "signing_keys": ("SELECT, INSERT, UPDATE", None),
    "alembic_version": ("SELECT", None),
}
_ROLES = "role IN ('admin', 'client_manager', 'partner', 'viewer')"


def upgrade() -> None:
    """Makes all of it."""
    _clients_and_credentials()
    _definitions()
    _audit()
    if op.get_bind().dialect.name == "postgresql":
        _guard_rows()
    else:
        _guard_with_triggers()


def _big(name: str, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=nullable)


def _text(name: str, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def _bytes(name: str, nullable: bool = False) -> sa.Column[bytes]:
    return sa.Column(name, sa.LargeBinary(), nullable=nullable)


def _client() -> tuple[sa.Column[int], sa.ForeignKeyConstraint]:
    return _big("client_id"), sa.ForeignKeyConstraint(["client_id"], ["clients.id"])


def _clients_and_credentials() -> None:
    op.create_table(
        "clients", _big("id"), _big("created_at"),
        sa.PrimaryKeyConstraint("id"),
        sa.CheckConstraint("id >= 0 AND id < 4294967296", name="ck_clients_id"),
    )  # fmt: skip
    op.create_table(
        "users", *_client(), _text("id"), _text("name"), _text("role"), _text("password"),
        _big("created_at"), _big("password_at"), _big("disabled_at", True),
        sa.PrimaryKeyConstraint("client_id", "id"),
        sa.UniqueConstraint("client_id", "name", name="uq_users_name"),
        sa.CheckConstraint(_ROLES, name="ck_users_role"),
    )  # fmt: skip
    op.create_table(
        "tokens", *_client(), _text("id"), _text("name"), _text("role"),
        sa.Column("scopes", sa.JSON(), nullable=True), _bytes("hash"), _text("hint"),
        _text("created_by"), _big("created_at"), _big("expires_at", True),
        _big("revoked_at", True), _big("last_used_at", True),
        sa.PrimaryKeyConstraint("client_id", "id"),
        sa.UniqueConstraint("hash", name="uq_tokens_hash"),
        sa.CheckConstraint(_ROLES, name="ck_tokens_role"),
    )  # fmt: skip
    op.create_table(
        "refresh_tokens", *_client(), _text("id"), _text("user_id"), _text("family"),
        _bytes("hash"), _big("created_at"), _big("expires_at"), _big("used_at", True),
        _big("revoked_at", True),
        sa.PrimaryKeyConstraint("client_id", "id"),
        sa.ForeignKeyConstraint(
            ["client_id", "user_id"], ["users.client_id", "users.id"], name="fk_refresh_tokens_user"
        ),
        sa.UniqueConstraint("hash", name="uq_refresh_tokens_hash"),
    )  # fmt: skip
    op.create_index("ix_refresh_tokens_family", "refresh_tokens", ["client_id", "family"])
    op.create_index("ix_refresh_tokens_user", "refresh_tokens", ["client_id", "user_id"])
    op.create_table(
        "signing_keys", _text("kid"), _big("signs_from"), _big("signs_until"),
        _big("believed_until"),
        sa.PrimaryKeyConstraint("kid"),
    )  # fmt: skip


def _definitions() -> None:
    op.create_table(
        "audiences", *_client(), _text("name"), _text("text"), _text("owner"), _text("file", True),
        _text("etag"), _big("created_at"), _big("updated_at"), _text("updated_by"),
        sa.PrimaryKeyConstraint("client_id", "name"),
        sa.CheckConstraint("owner IN ('git', 'api', 'file')", name="ck_audiences_owner"),
        sa.CheckConstraint("owner = 'api' OR file IS NOT NULL", name="ck_audiences_file"),
    )  # fmt: skip
    op.create_table(
        "idempotency_keys", *_client(), _text("key"), _text("operation"), _bytes("request"),
        _big("status", True), _text("answer", True), _big("created_at"), _big("expires_at"),
        sa.PrimaryKeyConstraint("client_id", "key"),
    )  # fmt: skip
    op.create_index("ix_idempotency_keys_expires", "idempotency_keys", ["expires_at"])


def _audit() -> None:
    op.create_table(
        "audit", _big("seq"), _big("client_id", True), _big("client_seq", True), _big("at"),
        _text("who"), _text("address"), _text("action"), _text("object"), _text("outcome"),
        _text("request_id"), _bytes("previous"), _bytes("client_previous", True), _bytes("hash"),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("client_id", "client_seq", name="uq_audit_client_seq"),
    )  # fmt: skip
    heads = op.create_table(
        "audit_heads", _big("client_id"), _big("seq"), _bytes("hash"),
        sa.PrimaryKeyConstraint("client_id"),
    )  # fmt: skip
    op.bulk_insert(heads, [{"client_id": -1, "seq": 0, "hash": bytes(32)}])


def _guard_rows() -> None:
    """Rows of one client at a time, for the owner as well: whoever forgets to say which client
    sees none. Only the owner can ask for all of them, and has to say so.
    """
    op.execute(f"GRANT USAGE ON SCHEMA public TO {APP}")
    for table, (rights, condition) in _GRANTS.items():
        guard(table, rights, condition)


def _guard_with_triggers() -> None:
    """SQLite has no row-level security: at least no row ever changes its client."""
    for table, (rights, _) in _GRANTS.items():
        if "UPDATE" in rights and table not in ("clients", "audit_heads", "signing_keys"):
            stays_with_client(table)
    for what in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER audit_no_{what.lower()} BEFORE {what} ON audit "
            "BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END"
        )
