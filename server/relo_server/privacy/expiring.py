"""Forgetting what was kept long enough, whoever it is of.

- An event goes a week after its retention ended; it was invisible from that end on. A longer
  retention ends with the consent (bit 64) that granted it.
- A profile (traits and scores) goes when nothing was heard of its device for so many days: no
  event, no `identify`, no score and no consent record.
- Memberships go with the audience's `ttl` after its last refresh, or after so many days where
  these are over sooner, and versions older than that are no longer known, but for the latest.

Consent records stay: they say what must not be done. Time is the publisher's clock.
"""

# ruff: noqa: S608 - the texts are made of this module's own names; values travel as parameters
from __future__ import annotations

from dataclasses import dataclass

from relo_dsl.engine import Engine
from relo_dsl.engine.staging import ClientRules
from relo_dsl.settings import Keeping
from relo_dsl.times import UNITS
from relo_server.versions import ledger
from relo_server.versions.ledger import Kind, Version
from relo_server.versions.membership import NOBODY, prune
from relo_server.versions.publication import publish
from relo_server.versions.publisher import Base, Publisher, Wanted

#: Events stay on disk for so long after they have become invisible, as the tables' TTL has it.
_AFTER_DAYS = 7
_OWN = "client_id = {c:UInt32}"
_NOW = "fromUnixTimestamp64Milli({now:Int64}, 'UTC')"
_CUT = "fromUnixTimestamp64Milli({cut:Int64}, 'UTC')"
_GRANTED = (
    "SELECT device FROM (SELECT device, time, groupBitAnd(flags) AS f FROM consent "
    f"WHERE {_OWN} AND time <= {_NOW} GROUP BY device, time) "
    "GROUP BY device HAVING bitAnd(argMax(f, time), 64) != 0"
)
_OVER = (
    f"{_OWN} AND (time + toIntervalMonth(retain_months) + toIntervalDay({_AFTER_DAYS}) <= {_NOW} "
    "OR (retain_months > {m:UInt16} "
    f"AND time + toIntervalMonth({{m:UInt16}}) + toIntervalDay({_AFTER_DAYS}) <= {_NOW} "
    f"AND device NOT IN ({_GRANTED})))"
)
_HEARD_OF = " UNION DISTINCT ".join(
    f"SELECT device FROM {table} WHERE {_OWN} AND time > {_CUT}"
    for table in ("events", "traits", "scores", "consent")
)
_SILENT = f"{_OWN} AND device NOT IN ({_HEARD_OF})"


@dataclass(frozen=True, slots=True)
class Expired:
    """What went: events, devices whose profile it was, audiences and holdouts that nobody
    confirmed, and those of which old versions were forgotten.
    """

    events: int
    profiles: int
    audiences: tuple[str, ...]
    pruned: tuple[str, ...]

    @property
    def found(self) -> bool:
        """Whether there was anything."""
        return bool(self.events or self.profiles or self.audiences or self.pruned)

    def to_json(self) -> dict[str, object]:
        return {
            "events": self.events, "profiles": self.profiles,
            "audiences": list(self.audiences), "pruned": list(self.pruned),
        }  # fmt: skip


def expire(publisher: Publisher, client: int, rules: ClientRules, keeping: Keeping) -> Expired:
    """Forgets what is over of a client, by the publisher's clock. It can be repeated at any time.

    Raises as the engine and the sets do; the next call goes on where it stopped.
    """
    now, engine = publisher.clock(), publisher.engine
    given = {"c": client, "now": now, "m": rules.retain_months}
    events = _delete(engine, "events", _OVER, given)
    given = {"c": client, "cut": now - keeping.profile_days * UNITS["d"]}
    silent = engine.rows(
        "SELECT uniqExact(device) FROM ("
        f"SELECT device FROM traits WHERE {_SILENT} UNION ALL "
        f"SELECT device FROM scores WHERE {_SILENT})",
        given,
    )
    for table in ("traits", "scores"):
        _delete(engine, table, _SILENT, given)
    names = ledger.names(engine, client)
    latest = ledger.latest(engine, client, names)
    over = tuple(name for name in names if _end(publisher, latest[name], now, keeping))
    oldest = now - keeping.membership_days * UNITS["d"]
    pruned = tuple(name for name in names if _forget(engine, client, name, oldest))
    return Expired(events, int(silent[0][0]), over, pruned)


def _delete(engine: Engine, table: str, where: str, given: dict[str, int]) -> int:
    count = int(engine.rows(f"SELECT count() FROM {table} WHERE {where}", given)[0][0])
    if count:
        engine.delete(table, where, given)
        engine.purge(table)
    return count


def _end(publisher: Publisher, last: Version, now: int, keeping: Keeping) -> bool:
    """Empties an audience whose last version is over, and forgets who was in it."""
    engine, days = publisher.engine, keeping.membership_days
    if not last.size or not _why_over(engine, last, now, days):
        return False

    def nobody(base: Base, now: int) -> Wanted | None:
        why = None if base.last is None else _why_over(engine, base.last, now, days)
        if base.last is None or why is None:
            return None  # somebody has refreshed it meanwhile
        return Wanted(
            kind=Kind.EMPTIED, devices=NOBODY, at=base.last.at,
            expires=now + days * UNITS["d"],
            fingerprint=base.last.fingerprint, mask=base.last.mask, reason=why,
        )  # fmt: skip

    version = publish(publisher, last.client, last.name, nobody)
    if version is None:
        return False
    prune(engine, version)
    engine.purge("membership")
    return True


def _why_over(engine: Engine, last: Version, now: int, days: int) -> str | None:
    """Why members must not be kept any longer; None where they may."""
    if last.expires <= now:
        return "its `ttl` was over since its last refresh"
    if ledger.confirmed(engine, last) + days * UNITS["d"] <= now:
        return f"no refresh has confirmed it for {days} days"
    return None


def _forget(engine: Engine, client: int, name: str, oldest: int) -> bool:
    """Forgets the members of versions that were built before `oldest`, but for the latest."""
    published = ledger.history(engine, client, name, held=False)
    known = ledger.floor(engine, client, name)
    young = [one for one in published if one.built > oldest]
    first = young[-1] if young else published[0]
    if first.ordinal <= max(known, published[-1].ordinal):
        return False
    prune(engine, first)
    engine.purge("membership")
    return True
