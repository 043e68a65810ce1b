"""Reads the audit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from relo_server.platform.models import AuditLine
from relo_server.platform.store import TenantSession


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which lines: of an action (`tokens.*` is a group of them), of somebody, so many."""

    action: str | None = None
    who: str | None = None
    limit: int = 50
    before: int | None = None
    """Only lines with smaller numbers: for the next page."""


def latest(session: Session, wanted: Wanted) -> list[dict[str, Any]]:
    """The latest lines that the session may see, the latest last, as plain values."""
    # A client's lines have numbers of their own: the others would tell how busy others are.
    number = AuditLine.client_seq if isinstance(session, TenantSession) else AuditLine.seq
    query = select(AuditLine).order_by(number.desc()).limit(wanted.limit)
    if wanted.action is not None and wanted.action.endswith(".*"):
        query = query.where(AuditLine.action.startswith(wanted.action[:-1], autoescape=True))
    elif wanted.action is not None:
        query = query.where(AuditLine.action == wanted.action)
    if wanted.who is not None:
        query = query.where(AuditLine.who == wanted.who)
    if wanted.before is not None:
        query = query.where(number < wanted.before)
    lines = session.scalars(query).all()
    return [_plain(line, number.key) for line in reversed(lines)]


def _plain(line: AuditLine, number: str) -> dict[str, Any]:
    return {
        "line": getattr(line, number),
        "at": line.at,
        "client": line.client_id,
        "who": line.who,
        "address": line.address,
        "action": line.action,
        "object": line.object,
        "outcome": line.outcome,
        "request_id": line.request_id,
    }
