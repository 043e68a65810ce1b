"""Is what is published right? The set against SQL at its instant, and against the ledger."""

# ruff: noqa: S608 - the texts are made of this module's own names; values travel as parameters
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from relo_dsl.engine import Engine
from relo_dsl.sql.query import SqlQuery
from relo_dsl.times import format_instant
from relo_server.sets import Sets, SetsError
from relo_server.versions import ledger
from relo_server.versions.ledger import Kind, Step, Version
from relo_server.versions.membership import NOBODY, Devices, members_of
from relo_server.versions.publisher import Base, Publisher, settle
from relo_server.versions.staging import Staged

#: Numbers of what is compared, in the staged table.
_COMPUTED, _SET = 0, 1
#: How many keys of each kind a report holds.
SHOWN = 1_000


@dataclass(frozen=True, slots=True)
class Difference:
    """Devices that should be in the set and are not, and the other way round; counts and keys."""

    missing: int = 0
    surplus: int = 0
    missing_keys: tuple[str, ...] = ()
    surplus_keys: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        """As in `relo verify --json`."""
        return {
            "missing": self.missing,
            "surplus": self.surplus,
            "missing_keys": list(self.missing_keys),
            "surplus_keys": list(self.surplus_keys),
        }


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check of one set found.

    `sql` compares it with its definition at the instant of its version, less whoever must not be
    published now, and is None where `not_computed` says why that cannot be; `stored` compares it
    with the ledger. `version` is None where nothing is published.
    """

    name: str
    client: int
    version: str | None = None
    ordinal: int | None = None
    at: int | None = None
    size: int = 0
    sql: Difference | None = None
    stored: Difference | None = None
    not_computed: str | None = None
    blocked: bool = False

    @property
    def is_right(self) -> bool:
        """Whether nothing is missing and nothing is surplus."""
        found = [part for part in (self.sql, self.stored) if part is not None]
        return not any(part.missing or part.surplus for part in found)

    def to_json(self) -> dict[str, object]:
        """One line of `relo verify --json`."""
        return {
            "name": self.name,
            "client": self.client,
            "right": self.is_right,
            "version": self.version,
            "ordinal": self.ordinal,
            "at": None if self.at is None else format_instant(self.at),
            "size": self.size,
            "sql": None if self.sql is None else self.sql.to_json(),
            "stored": None if self.stored is None else self.stored.to_json(),
            "not_computed": self.not_computed,
            "blocked": self.blocked,
        }


@dataclass(frozen=True, slots=True)
class Definition:
    """What should be in a set: `query(T)` answers its members at T, `fingerprint` is its plan's."""

    query: Callable[[int], SqlQuery]
    fingerprint: str


def verify(publisher: Publisher, client: int, name: str, definition: Definition | None) -> Checked:
    """Compares what is published under a name with what should be; marks it where there is surplus.

    `definition` is None where the project has none (any more). Raises as the engine and the sets
    do, and SetsError where the set keeps changing while it is read.
    """
    engine, sets = publisher.engine, publisher.sets
    base = settle(engine, sets, client, name)
    now = publisher.clock()
    if base.info is None and (base.last is None or base.last.expires <= now):
        return Checked(name, client)
    with Staged(engine) as staged:
        base = _read(publisher, staged, base, client, name)
        in_set = staged.devices(_SET)
        found = Checked(
            name, client, base.shown,
            ordinal=base.last.ordinal if base.agrees and base.last else None,
            at=base.info.at if base.info else None,
            size=_count(engine, in_set),
            stored=_difference(engine, members_of(base.last), in_set),
        )  # fmt: skip
        found = _against_sql(publisher, staged, base, found, definition)
    return replace(found, blocked=_mark(engine, base, found, now))


def is_whole(engine: Engine, sets: Sets, version: Version) -> bool:
    """Whether the set holds exactly the members of a version."""
    with Staged(engine) as staged:
        staged.add(_SET, sets.found(version.client, version.name))
        found = _difference(engine, members_of(version), staged.devices(_SET))
    return not found.missing and not found.surplus


def _read(publisher: Publisher, staged: Staged, base: Base, client: int, name: str) -> Base:
    """Stages the members of the set, all of one version, and returns what is published then."""
    if base.info is None:
        return base
    keys = list(publisher.sets.found(client, name))
    after = settle(publisher.engine, publisher.sets, client, name)
    if after.shown != base.shown:
        raise SetsError(f"`{name}` was published anew while it was being checked", "check it again")
    staged.add(_SET, keys)
    return after


def _against_sql(
    publisher: Publisher, staged: Staged, base: Base, found: Checked, definition: Definition | None
) -> Checked:
    """Compares with the definition, where the version was computed from the same one."""
    last = base.last
    if last is None or base.unknown:
        return replace(found, not_computed="no record tells of the version in the set")
    engine, origin = publisher.engine, ledger.origin(publisher.engine, last)
    if origin.kind is Kind.ROLLBACK:
        return replace(found, not_computed=f"it went back {origin.reason}")
    if origin.kind is Kind.EMPTIED:
        return replace(found, sql=_difference(engine, NOBODY, staged.devices(_SET)))
    if definition is None:
        return replace(found, not_computed="it has no definition any more")
    if definition.fingerprint != last.fingerprint:
        return replace(found, not_computed="its definition has changed since")
    query = definition.query(last.at)
    text = f"SELECT toUInt32(0) AS plan, toUInt8(0) AS part, device FROM ({query.text})"
    staged.fill([SqlQuery(text, query.params)], {0: _COMPUTED})
    computed = staged.devices(_COMPUTED)
    bar = publisher.bar(last.client, last.mask, publisher.clock())
    expected = Devices(f"{computed.text} AND {bar.allowed}", bar.params)
    # Whoever withdrew since and consented again comes back with the next refresh.
    returned = (
        "device NOT IN (SELECT device FROM consent WHERE client_id = {c:UInt32} "
        "AND time > fromUnixTimestamp64Milli({at:Int64}, 'UTC') "
        "AND bitAnd(flags, {mask:UInt8}) != {mask:UInt8})"
    )
    missing = Devices(f"{expected.text} AND {returned}", {**bar.params, "at": last.at})
    return replace(found, sql=_difference(engine, expected, staged.devices(_SET), missing))


def _difference(
    engine: Engine, expected: Devices, in_set: Devices, required: Devices | None = None
) -> Difference:
    """What differs; `required` are those of the expected that must not be missing (None: all)."""
    required = required or expected
    missing = Devices(
        f"SELECT device FROM ({required.text}) WHERE device NOT IN ({in_set.text})", required.params
    )
    surplus = Devices(
        f"SELECT device FROM ({in_set.text}) WHERE device NOT IN ({expected.text})", expected.params
    )
    return Difference(
        _count(engine, missing), _count(engine, surplus), _first(engine, missing),
        _first(engine, surplus),
    )  # fmt: skip


def _count(engine: Engine, devices: Devices) -> int:
    return int(engine.rows(f"SELECT count() FROM ({devices.text})", devices.params)[0][0])


def _first(engine: Engine, devices: Devices) -> tuple[str, ...]:
    text = f"SELECT device FROM ({devices.text}) ORDER BY device LIMIT {SHOWN}"
    return tuple(bytes(key).hex() for (key,) in engine.rows(text, devices.params))


def _mark(engine: Engine, base: Base, found: Checked, now: int) -> bool:
    """Writes down whether there is surplus, where that is news; whether exports are blocked."""
    blocked = ledger.is_blocked(engine, found.client, found.name)
    parts = [part for part in (found.sql, found.stored) if part is not None]
    surplus = any(part.surplus for part in parts)
    if surplus != blocked:
        version = _shown(base, now) if base.info else base.last
        assert version is not None
        ledger.record(engine, version, Step.SURPLUS if surplus else Step.RIGHT)
    return surplus


def _shown(base: Base, now: int) -> Version:
    """The version in the set, whether or not a record tells of it."""
    if base.agrees and base.last is not None:
        return base.last
    info = base.info
    assert info is not None
    return Version(
        client=info.client, name=info.name, version=info.version, ordinal=0, kind=Kind.REFRESH,
        at=info.at, built=now, expires=info.expires_at, fingerprint=info.fingerprint,
        mask=info.mask, size=info.size,
    )  # fmt: skip
