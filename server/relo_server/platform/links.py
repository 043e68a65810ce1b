"""Click links, kept: added, listed, ended, and found by their code."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import select

from relo_dsl.times import format_instant
from relo_server.ingest.links import client_of, new_code
from relo_server.platform.models import Link
from relo_server.platform.store import Platform, TenantSession
from relo_server.security.clients import ensure_client

#: How long a link that was found, or was not, is believed; and how many are remembered.
_BELIEVED_SECONDS = 5.0
_REMEMBERED = 50_000


def add_link(session: TenantSession, destination: str, name: str, by: str, now: int) -> Link:
    """A new link; the destination was checked before."""
    ensure_client(session, now)
    link = Link(
        client_id=session.client, code=new_code(session.client), destination=destination,
        name=name, created_at=now, created_by=by, ended_at=None,
    )  # fmt: skip
    session.add(link)
    session.flush()
    return link


def list_links(session: TenantSession) -> Sequence[Link]:
    """The client's links, the oldest first, those that have ended too."""
    return session.scalars(select(Link).order_by(Link.created_at, Link.code)).all()


def end_link(session: TenantSession, code: str, now: int) -> Link | None:
    """From now on the link leads nowhere; again is no error. None if there is none."""
    link = session.scalars(select(Link).where(Link.code == code)).first()
    if link is not None:
        link.ended_at = link.ended_at or now
    return link


def link_json(link: Link) -> dict[str, Any]:
    """A link as the API and the command tell it."""
    return {
        "code": link.code,
        "path": f"/c/{link.code}",
        "destination": link.destination,
        "name": link.name,
        "created_at": format_instant(link.created_at),
        "ended_at": None if link.ended_at is None else format_instant(link.ended_at),
    }


class Led(NamedTuple):
    """Where a link leads."""

    client: int
    destination: str
    name: str


class Links:
    """Finds links by their codes, and remembers them for moments."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._known: OrderedDict[str, tuple[float, Led | None]] = OrderedDict()

    def remembered(self, code: str) -> tuple[bool, Led | None]:
        """Whether it is known, and what."""
        found = self._known.get(code)
        if found is None or time.monotonic() - found[0] > _BELIEVED_SECONDS:
            return client_of(code) is None, None
        return True, found[1]

    def find(self, code: str) -> Led | None:
        """Where a code leads; None where there is no such link, or it has ended."""
        client = client_of(code)
        if client is None:
            return None
        with self._platform.tenant(client, reading=True) as session:
            link = session.scalars(select(Link).where(Link.code == code)).first()
            led = None
            if link is not None and link.ended_at is None:
                led = Led(client, link.destination, link.name)
        self._known[code] = time.monotonic(), led
        self._known.move_to_end(code)
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return led

    def forget(self, code: str) -> None:
        """It was changed here."""
        self._known.pop(code, None)
