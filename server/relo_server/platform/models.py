"""The tables of the platform store. Migrations make them; a test holds one against the other.

Times are epoch milliseconds, UTC. Rows of clients carry the client in their primary key, so that
no foreign key can join one client's row to another's. Ids are ULIDs.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

#: Under this client number `audit_heads` keeps the end of the whole chain.
WHOLE = -1


class Base(DeclarativeBase):
    """Texts are unbounded and whole numbers 64 bits wide, in both databases."""

    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it from the class
        str: Text(),
        int: BigInteger(),
        bytes: LargeBinary(),
        list[str]: JSON(),
    }


class Client(Base):
    """A tenant: the number that definitions, events and sets carry."""

    __tablename__ = "clients"
    __table_args__ = (CheckConstraint("id >= 0 AND id < 4294967296", name="ck_clients_id"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    created_at: Mapped[int]


class Tenant:
    """What every row of a client has."""

    client_id: Mapped[int] = mapped_column(
        ForeignKey("clients.id"), primary_key=True, autoincrement=False, sort_order=-1
    )


class User(Tenant, Base):
    """A person. `password` is an argon2 hash with its parameters; `name` is who logs in."""

    __tablename__ = "users"
    __table_args__ = (UniqueConstraint("client_id", "name", name="uq_users_name"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    role: Mapped[str]
    password: Mapped[str]
    created_at: Mapped[int]
    password_at: Mapped[int]
    disabled_at: Mapped[int | None]


class Token(Tenant, Base):
    """An API token: `hash` is its HMAC, `hint` the few characters by which its owner knows it.

    `scopes` None leaves the whole of the role.
    """

    __tablename__ = "tokens"
    __table_args__ = (UniqueConstraint("hash", name="uq_tokens_hash"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    role: Mapped[str]
    scopes: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    hash: Mapped[bytes]
    hint: Mapped[str]
    created_by: Mapped[str]
    created_at: Mapped[int]
    expires_at: Mapped[int | None]
    revoked_at: Mapped[int | None]
    last_used_at: Mapped[int | None]


class RefreshToken(Tenant, Base):
    """One link of a family: each refresh uses one up and makes the next."""

    __tablename__ = "refresh_tokens"
    __table_args__ = (
        ForeignKeyConstraint(
            ["client_id", "user_id"], ["users.client_id", "users.id"], name="fk_refresh_tokens_user"
        ),
        UniqueConstraint("hash", name="uq_refresh_tokens_hash"),
        Index("ix_refresh_tokens_family", "client_id", "family"),
        Index("ix_refresh_tokens_user", "client_id", "user_id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str]
    family: Mapped[str]
    hash: Mapped[bytes]
    created_at: Mapped[int]
    expires_at: Mapped[int]
    used_at: Mapped[int | None]
    revoked_at: Mapped[int | None]


class SigningKey(Base):
    """When a key signs and is believed. The key itself is derived from the installation's: a copy
    of the database signs nothing.
    """

    __tablename__ = "signing_keys"

    kid: Mapped[str] = mapped_column(primary_key=True)
    signs_from: Mapped[int]
    signs_until: Mapped[int]
    believed_until: Mapped[int]


class Audience(Tenant, Base):
    """A definition that the server holds; `file` names where git keeps it, if `owner` is git."""

    __tablename__ = "audiences"
    __table_args__ = (
        CheckConstraint("owner IN ('git', 'api', 'file')", name="ck_audiences_owner"),
        CheckConstraint("owner = 'api' OR file IS NOT NULL", name="ck_audiences_file"),
    )

    name: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(server_default="")
    text: Mapped[str]
    owner: Mapped[str]
    file: Mapped[str | None]
    etag: Mapped[str]
    created_at: Mapped[int]
    updated_at: Mapped[int]
    updated_by: Mapped[str]


class Link(Tenant, Base):
    """A click link. `ended_at` None: it still leads on."""

    __tablename__ = "links"

    code: Mapped[str] = mapped_column(primary_key=True)
    destination: Mapped[str]
    name: Mapped[str]
    created_at: Mapped[int]
    created_by: Mapped[str]
    ended_at: Mapped[int | None]


class Erasure(Tenant, Base):
    """A device that was erased, by its key; `request` is the id of the erasure."""

    __tablename__ = "erasures"

    device: Mapped[bytes] = mapped_column(primary_key=True)
    at: Mapped[int]
    request: Mapped[str]


class IdempotencyKey(Tenant, Base):
    """What a request was answered; `request` is the hash that a repetition must have as well.

    `status` None: the first one is still at work.
    """

    __tablename__ = "idempotency_keys"
    __table_args__ = (Index("ix_idempotency_keys_expires", "expires_at"),)

    key: Mapped[str] = mapped_column(primary_key=True)
    operation: Mapped[str]
    request: Mapped[bytes]
    status: Mapped[int | None]
    answer: Mapped[str | None]
    created_at: Mapped[int]
    expires_at: Mapped[int]


class AuditLine(Base):
    """One line of the audit; `client_id` None is about the installation. The client need not exist:
    what was tried in vain is noted as well.

    `previous` and `client_previous` are the hashes of the line before, in the whole chain and in
    the client's own; `hash` covers both of them and everything else.
    """

    __tablename__ = "audit"
    __table_args__ = (UniqueConstraint("client_id", "client_seq", name="uq_audit_client_seq"),)

    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    client_id: Mapped[int | None]
    client_seq: Mapped[int | None]
    at: Mapped[int]
    who: Mapped[str]
    address: Mapped[str]
    action: Mapped[str]
    object: Mapped[str]
    outcome: Mapped[str]
    request_id: Mapped[str]
    previous: Mapped[bytes]
    client_previous: Mapped[bytes | None]
    hash: Mapped[bytes]


class AuditHead(Base):
    """The last line of a chain: of a client's own, or under WHOLE of all."""

    __tablename__ = "audit_heads"

    client_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    seq: Mapped[int]
    hash: Mapped[bytes]


def tenant_criteria(client: int) -> list[tuple[Any, Any]]:
    """What the rows of a client have in common, a pair of class and condition each."""
    return [
        (Tenant, lambda row: row.client_id == client),
        (Client, Client.id == client),
        (AuditLine, AuditLine.client_id == client),
        (AuditHead, AuditHead.client_id.in_((client, WHOLE))),
    ]
