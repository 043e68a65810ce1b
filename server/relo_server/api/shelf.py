"""The definitions that the service keeps: written, replaced, taken away."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import delete

from relo_dsl.setkeys import HOLDOUT
from relo_server.api.callers import Caller
from relo_server.api.definitions import Kept
from relo_server.api.problems import Problem
from relo_server.platform.models import Audience
from relo_server.platform.store import TenantSession
from relo_server.security.clients import ensure_client
from relo_server.security.tokens import new_id

API = "api"


def etag_of(text: str) -> str:
    """What tells one text of a definition from another, for `ETag` and `If-Match`."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Preconditions:
    """`If-Match` and `If-None-Match` of a request: etags without quotes, or `*`."""

    match: frozenset[str] = frozenset()
    none_match: frozenset[str] = frozenset()

    @classmethod
    def read(cls, match: str | None, none_match: str | None) -> Preconditions:
        return cls(_etags(match), _etags(none_match))

    def require(self, etag: str | None) -> None:
        """Raises Problem (412) unless what is there, by its etag, is what the request expects."""
        if self.match and (etag is None or not self.match & {etag, "*"}):
            raise Problem(
                412, "changed", "the audience is not as the request expects it",
                "read it again, and send its ETag as `If-Match`",
            )  # fmt: skip
        if etag is not None and self.none_match & {etag, "*"}:
            raise Problem(412, "exists", "there is an audience of that name already")


def _etags(header: str | None) -> frozenset[str]:
    parts = (header or "").split(",")
    return frozenset(part.strip().removeprefix("W/").strip('"') for part in parts if part.strip())


def require_free(kept: Kept, name: str) -> None:
    """Raises Problem (409) where a file owns the name: it is changed in git, not here."""
    row = kept.rows.get(name)
    if name in kept.workspace and (row is None or row.owner != API):
        file = row.file if row is not None else kept.workspace.source(name).name
        raise Problem(
            409, "owned_by_file", f"`{name}` is defined in `{file}`",
            "change that file: the service takes over what it says",
        )  # fmt: skip


def put(caller: Caller, name: str, text: str, conditions: Preconditions) -> tuple[Audience, bool]:
    """Writes a definition that was found sound; the row, and whether it is new."""
    now = caller.house.clock()
    with caller.house.platform.tenant(caller.client) as session:
        ensure_client(session, now)
        row = _locked(session, name)
        conditions.require(None if row is None else row.etag)
        created = row is None
        file = None if row is None else row.file
        row = write(session, caller, row, Audience(name=name, owner=API, file=file, text=text), now)
        session.flush()
    return row, created


def write(
    session: TenantSession, caller: Caller, row: Audience | None, wanted: Audience, now: int
) -> Audience:
    """Makes of a row, None where it is new, what is `wanted`: name, owner, file and text."""
    if row is None:
        row = Audience(client_id=caller.client, name=wanted.name, owner=wanted.owner)
        row.created_at = now
        session.add(row)
    row.id = row.id or new_id(now)
    row.text, row.etag, row.file = wanted.text, etag_of(wanted.text), wanted.file
    row.updated_at, row.updated_by = now, caller.who.subject
    return row


def unpublish(caller: Caller, names: Iterable[str]) -> None:
    """Drops the sets of audiences that are no more, and their holdouts."""
    for name in names:
        for part in (name, name + HOLDOUT):
            caller.house.sets.drop(caller.client, part)


def remove(caller: Caller, name: str, conditions: Preconditions) -> None:
    """Takes a definition away. Raises Problem (404, 412)."""
    with caller.house.platform.tenant(caller.client) as session:
        row = _locked(session, name)
        if row is None:
            raise Problem(404, "unknown_audience", f"there is no audience `{name}`")
        conditions.require(row.etag)
        session.execute(delete(Audience).where(Audience.name == name))


def _locked(session: TenantSession, name: str) -> Audience | None:
    return session.get(Audience, (session.client, name), with_for_update=True)
