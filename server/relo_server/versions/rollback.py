"""Back to the members of an older version, as a new one."""

from __future__ import annotations

from dataclasses import dataclass

from relo_dsl.setkeys import HOLDOUT
from relo_server.versions import ledger
from relo_server.versions.ledger import Kind, Version
from relo_server.versions.membership import NOBODY, members_of
from relo_server.versions.publication import publish
from relo_server.versions.publisher import Base, Publisher, Wanted
from relo_server.versions.rebuild import require_current


@dataclass(frozen=True, slots=True)
class RolledBack:
    """The version gone back to, the new one with its members, and the holdout's, if it has one."""

    to: Version
    version: Version
    holdout: Version | None


def rollback(publisher: Publisher, client: int, name: str, wanted: str) -> RolledBack:
    """Publishes the members of version `wanted` (ordinal or id) of an audience, and its holdout.

    Whoever lacks now the consent that the old version or the current one needs stays out, and
    whoever was erased. The new version has the instant and the end of the old one. Raises
    UserError where there is no such version, its members are not known any more, or its `ttl` is
    over; and as `publish` does.
    """
    old = ledger.find(publisher.engine, client, name, wanted)
    version = _back(publisher, name, old, old)
    holdout = None
    if ledger.last(publisher.engine, client, name + HOLDOUT) is not None:
        holdout = _back(publisher, name + HOLDOUT, _holdout_of(publisher, old), old)
    return RolledBack(old, version, holdout)


def _holdout_of(publisher: Publisher, old: Version) -> Version | None:
    """The version of the holdout that was computed together with a version of its audience."""
    versions = ledger.history(publisher.engine, old.client, old.name + HOLDOUT, held=False)
    together = (v for v in versions if (v.at, v.fingerprint) == (old.at, old.fingerprint))
    return next(together, None)


def _back(publisher: Publisher, name: str, old: Version | None, like: Version) -> Version:
    """Publishes the members of `old`, or nobody, at the instant of `like`."""
    if old is not None:
        ledger.require_known(publisher.engine, old)

    def plan(base: Base, now: int) -> Wanted:
        require_current(like, now)
        return Wanted(
            kind=Kind.ROLLBACK,
            devices=NOBODY if old is None else members_of(old),
            at=like.at,
            expires=like.expires,
            fingerprint=like.fingerprint,
            mask=like.mask if base.last is None else like.mask | base.last.mask,
            source=old,
            reason=f"to version {like.ordinal}",
        )

    version = publish(publisher, like.client, name, plan)
    assert version is not None
    return version
