"""Sets that were lost, published again from the ledger, without computing anything anew."""

from __future__ import annotations

from relo_dsl.errors import UserError
from relo_dsl.times import format_instant
from relo_server.versions.ledger import Kind, Version
from relo_server.versions.membership import members_of
from relo_server.versions.publication import publish
from relo_server.versions.publisher import Base, Publisher, Wanted
from relo_server.versions.verify import is_whole


class Expired(UserError):
    """The `ttl` of a version is over: it is never published again."""


def rebuild(publisher: Publisher, client: int, name: str) -> Version | None:
    """Publishes the latest version again, without whoever withdrew or was erased since.

    It keeps its instant and its end. Returns None where the set is there and right. Raises
    UserError where nothing was ever published, Expired where its time is over, and as `publish`.
    """

    def plan(base: Base, now: int) -> Wanted | None:
        last = base.last
        if last is None:
            raise UserError(f"`{name}` was never published", f"`relo build {name}` publishes it")
        require_current(last, now)
        if base.agrees and is_whole(publisher.engine, publisher.sets, last):
            return None
        return Wanted(
            kind=Kind.REBUILD,
            devices=members_of(last),
            at=last.at,
            expires=last.expires,
            fingerprint=last.fingerprint,
            mask=last.mask,
            whole=True,
        )

    return publish(publisher, client, name, plan)


def require_current(version: Version, now: int) -> None:
    """Raises Expired where a version's `ttl` is over."""
    if version.expires <= now:
        raise Expired(
            f"version {version.ordinal} of `{version.name}` ended at "
            f"{format_instant(version.expires)}, by its `ttl`",
            f"`relo build {version.name}` computes it anew",
        )
