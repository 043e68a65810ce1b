"""The audit: who did what, in lines that nobody can change unseen.

Each line carries an HMAC over all it says, its place, and the HMAC of the line before it, both in
the whole chain and in its client's own. So an altered line fits no longer, a removed one leaves a
gap, and a moved one says where it belongs. Without the installation's key none can be made anew.
What was cut off at the end shows by the heads, which say what the last line is; and if these were
put back too, by a line that somebody noted elsewhere (`expected`).
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import Table, insert, select, update
from sqlalchemy.orm import Session

from relo_server.platform.models import WHOLE, AuditHead, AuditLine
from relo_server.platform.store import TenantSession

START = bytes(32)
_TEXT_LENGTH = 500
#: Texts come from requests; neither database stores these, and a line must be storable.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_LINES = cast(Table, AuditLine.__table__)
# Made once: json.dumps would make a new encoder for every line.
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Entry:
    """What a line says. `who` is `token:ID`, `user:ID`, `os:NAME` or empty for nobody known."""

    who: str
    action: str
    object: str
    outcome: str
    address: str = "local"
    request_id: str = ""


class Audit:
    """Writes lines; `key` is the one derived for the audit."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def append(self, session: Session, entry: Entry, now: int) -> int:
        """Adds a line and returns its number. A tenant's session adds to its client's chain.

        The end of the chain stays locked until the transaction ends: let it be the last thing
        that a transaction does.
        """
        return self.append_all(session, [(entry, now)])

    def append_all(self, session: Session, entries: Sequence[tuple[Entry, int]]) -> int:
        """The same of several, each with its instant; the number of the last one."""
        client = session.client if isinstance(session, TenantSession) else None
        seq, previous = _head(session, WHOLE)
        client_seq, client_previous = (None, None) if client is None else _head(session, client)
        lines: list[dict[str, Any]] = []
        for entry, now in entries:
            seq += 1
            client_seq = None if client_seq is None else client_seq + 1
            line: dict[str, Any] = {
                "seq": seq,
                "client_id": client,
                "client_seq": client_seq,
                "at": now,
                **{name: _storable(getattr(entry, name)) for name in Entry.__slots__},
                "previous": previous,
                "client_previous": client_previous,
            }
            line["hash"] = previous = line_hash(self._key, line)
            client_previous = None if client is None else previous
            lines.append(line)
        # By the table itself: the mapper would look at every line, and there may be thousands.
        session.connection().execute(insert(_LINES), lines)
        _move_head(session, WHOLE, seq, previous)
        if client is not None and client_seq is not None:
            _move_head(session, client, client_seq, previous)
        return seq


def line_hash(key: bytes, line: Mapping[str, Any]) -> bytes:
    """The HMAC-SHA256 of a line: canonical JSON of every column but `hash`, bytes in hex."""
    plain = {
        name: value.hex() if isinstance(value, bytes) else value
        for name, value in line.items()
        if name != "hash"
    }
    return hmac.digest(key, _CANONICAL.encode(plain).encode(), "sha256")


def _storable(text: str) -> str:
    return _UNSTORABLE.sub("\ufffd", text)[:_TEXT_LENGTH]


def _head(session: Session, chain: int) -> tuple[int, bytes]:
    """The end of a chain, locked; nobody else can add to it before this transaction ends.

    The whole chain's is locked first by everybody, so that a client's first one needs no care.
    """
    query = select(AuditHead.seq, AuditHead.hash).where(AuditHead.client_id == chain)
    found = session.execute(query.with_for_update()).one_or_none()
    if found is not None:
        return found.seq, bytes(found.hash)
    session.execute(insert(AuditHead).values(client_id=chain, seq=0, hash=START))
    return 0, START


def _move_head(session: Session, chain: int, seq: int, hash_: bytes) -> None:
    session.execute(
        update(AuditHead).where(AuditHead.client_id == chain).values(seq=seq, hash=hash_)
    )
