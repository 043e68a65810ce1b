"""From staged rows to stored ones: duplicates dropped, consent and retention stamped.

Records are first inserted as they come into Memory tables (`Batch`, or any INSERT), and then, in
one `commit`, moved by the engine itself:

0. records of devices that were erased are dropped, wherever they come from, and deleted where the
   erasure came while they were stored;
1. an id that is stored already, or came earlier in the same staging, is a duplicate, whatever kind
   of record it was on; ids are compared by their `tie`, 64 bits of their SHA-256: among a billion
   records of one client the odds that any two different ids collide are 3 %;
2. flags that a record did not carry are its device's consent at its time, stored or arriving;
3. consent that arrives late corrects the flags of what is stored (see restamp.py), those that a
   change in part had come to among them: at each instant a device's consent is what the records up
   to then make of the client's default, in whatever order they arrive;
4. each table gets its rows in one part, so that a crash leaves all of them or none; a load that
   was interrupted is simply repeated.
"""

# ruff: noqa: S608 - the texts are made of this module's own table names and of numbers
from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING, Self

from relo_dsl.catalog import Catalog, Retention
from relo_dsl.columns import (
    ARRAY_TYPES,
    element_column,
    element_expression,
    event_column,
    length_column,
    length_expression,
    presence_column,
    presence_expression,
    value_expression,
)
from relo_dsl.engine.arrow import ID, staged_columns
from relo_dsl.engine.client import ONE_PART
from relo_dsl.engine.erase import delete_devices
from relo_dsl.engine.errors import EngineError
from relo_dsl.engine.migrate import apply_catalog
from relo_dsl.engine.restamp import restamp

if TYPE_CHECKING:
    from relo_dsl.engine.batch import Batch
    from relo_dsl.engine.client import Engine

#: How long is waited for what another one stores, and how often is looked: seconds.
_PATIENCE_SECONDS, _LOOK_SECONDS = 60.0, 0.1
#: Consent that says only what changes.
_IN_PART = "bitOr(cleared, granted) != 0"
#: A few rows are grouped sooner than code for that is made, and a withdrawal waits for it.
_UNCOMPILED = "compile_aggregate_expressions = 0"
TABLES = ("events", "traits", "scores", "consent")
#: As `relo_dsl.records.tie_of`.
_TIE = f"DEFAULT reinterpretAsUInt64(reverse(substring(SHA256({ID}), 1, 8)))"


@dataclass(frozen=True, slots=True)
class ClientRules:
    """What holds for a client where no record says otherwise."""

    default_flags: int = 255
    retain_months: int = 24
    extended_months: int = 60

    @classmethod
    def of(cls, catalog: Catalog) -> ClientRules:
        """The catalog's rules."""
        kept = catalog.retention or Retention()
        return cls(catalog.default_flags, kept.months, kept.extended_months)


@dataclass(frozen=True, slots=True)
class Committed:
    """What a commit did: records stored, by kind of table, and duplicates dropped."""

    accepted: Mapping[str, int]
    duplicate: int
    restamped: bool
    erased: int = 0
    """Records of devices that were erased: they are never stored again."""


class Staging:
    """Four Memory tables that a load fills, named in `tables`; `commit` empties them.

    `rules` are those of each client; for one that they do not hold it is the catalog's. Where `now`
    (epoch ms) is given, consent was dated by this system's clock: what is stored of a device after
    that was dated before the clock was put back, and what comes goes behind it.
    """

    def __init__(
        self, engine: Engine, catalog: Catalog, rules: Mapping[int, ClientRules] | None = None,
        now: int | None = None,
    ) -> None:  # fmt: skip
        apply_catalog(engine, catalog)
        self._engine = engine
        self._catalog = catalog
        self._now = now
        usual = ClientRules.of(catalog)
        self._rules = {
            client: replace(usual, default_flags=catalog.flags_of(client))
            for client in catalog.consent_defaults
        } | dict(rules or {})
        self._storing = f"relo-store/{engine.database}/"
        self._prefix = f"staged_{secrets.token_hex(4)}"
        self.tables = {name: f"{self._prefix}_{name}" for name in TABLES}
        self._columns = staged_columns(catalog)
        self._ids = f"{self._prefix}_ids"
        self._dropped = f"{self._prefix}_dropped"
        self._instants = f"{self._prefix}_instants"
        self._history = f"{self._prefix}_history"
        for name, table in self.tables.items():
            columns = ", ".join(f"{c} {kind}" for c, kind in self._columns[name].items())
            if name == "events":  # whoever has no tie gives the id, and the engine makes it
                columns = columns.replace("tie UInt64", f"{ID} String EPHEMERAL, tie UInt64 {_TIE}")
            self._make(table, columns)
        self._make(self._ids, "seq UInt64, client_id UInt32, tie UInt64, kind UInt8")
        self._make(self._dropped, "seq UInt64")
        instant = "client_id UInt32, device FixedString(16), time DateTime64(3, 'UTC'), flags UInt8"
        self._make(self._instants, f"{instant}, said UInt8, cleared UInt8, granted UInt8")
        self._make(self._history, instant)

    def _make(self, table: str, columns: str) -> None:
        self._engine.command(f"CREATE TABLE {table} ({columns}) ENGINE = Memory")

    def add(self, batch: Batch) -> None:
        """Stages a batch."""
        for name, table in batch.tables():
            self._engine.insert_arrow(self.tables[name], table)

    def commit(self) -> Committed:
        """Stores what is staged. After an EngineError the same commit can be repeated.

        One commit at a time: what another one is storing could not be seen.
        """
        with self._engine.storing:
            return self._commit()

    def _commit(self) -> Committed:
        self._wait_for_others()
        self._collect_ids()
        staged = self._counts()
        if not any(staged.values()):
            return Committed(staged, 0, restamped=False)
        self._find_duplicates()
        erased = self._drop_erased()
        dropped = self._counts(f"seq IN (SELECT seq FROM {self._dropped})")
        if self._now is not None and staged["consent"] > dropped["consent"]:
            self._put_behind(self._now)
        self._find_history(has_consent=staged["consent"] > dropped["consent"])
        corrected = False
        if staged["consent"] > dropped["consent"]:
            corrected = restamp(
                self._engine, self._prefix, self.tables["consent"], self._dropped, self._history,
                self._rule_columns(),
            )  # fmt: skip
        # Consent first: what it stamps must never be there without it.
        for name in ("consent", "events", "traits", "scores"):
            if staged[name] > dropped[name]:
                self._store(name)
        self._delete_erased()
        self._clear()
        accepted = {name: staged[name] - dropped[name] for name in TABLES}
        return Committed(accepted, sum(dropped.values()) - erased, corrected, erased)

    def _wait_for_others(self) -> None:
        """A server may go on with what it was told to store before the connection broke; whoever
        repeats that would not see it yet.
        """
        engine = self._engine
        if engine.is_embedded:
            return
        processes = "system.processes"
        if engine.cluster is not None:
            processes = f"clusterAllReplicas(`{engine.cluster.name}`, {processes})"
        query = (
            f"SELECT count() FROM {processes} "
            "WHERE startsWith(initial_query_id, {own:String}) SETTINGS skip_unavailable_shards = 1"
        )
        late = time.monotonic() + _PATIENCE_SECONDS
        while engine.rows(query, {"own": self._storing})[0][0]:
            if time.monotonic() > late:
                raise EngineError("what was sent before is still being stored")
            time.sleep(_LOOK_SECONDS)

    def _collect_ids(self) -> None:
        """One row a record; some kinds have several rows a record in their staged table."""
        parts = []
        for kind, name in enumerate(TABLES):
            one = " WHERE name = ''" if name == "traits" else ""
            distinct = "DISTINCT " if name == "scores" else ""
            table = self.tables[name]
            parts.append(f"SELECT {distinct}seq, client_id, tie, {kind} FROM {table}{one}")
        self._engine.command(f"TRUNCATE TABLE {self._ids}")
        self._engine.command(f"INSERT INTO {self._ids} {' UNION ALL '.join(parts)}")

    def _counts(self, where: str = "1") -> dict[str, int]:
        rows = self._engine.rows(
            f"SELECT kind, count() FROM {self._ids} WHERE {where} GROUP BY kind"
        )
        found = dict(rows)
        return {name: int(found.get(kind, 0)) for kind, name in enumerate(TABLES)}

    def _find_duplicates(self) -> None:
        self._engine.command(f"TRUNCATE TABLE {self._dropped}")
        stored = " UNION ALL ".join(
            f"SELECT client_id, tie FROM {name} "
            f"WHERE client_id IN (SELECT client_id FROM {self._ids}) "
            f"AND (client_id, tie) IN (SELECT client_id, tie FROM {self._ids})"
            + (" AND name = ''" if name == "traits" else "")
            for name in TABLES
        )
        self._engine.command(
            f"INSERT INTO {self._dropped} "
            f"SELECT seq FROM {self._ids} WHERE (client_id, tie) IN ({stored}) "
            "UNION DISTINCT "
            "SELECT arrayJoin(arraySlice(arraySort(groupArray(seq)), 2)) AS seq "
            f"FROM {self._ids} GROUP BY client_id, tie HAVING count() > 1"
        )

    def _drop_erased(self) -> int:
        """Whoever was erased does not come back, whatever file or spool has it."""
        if not self._exists("erasures"):
            return 0
        before = self._engine.rows(f"SELECT count() FROM {self._dropped}")
        rows = " UNION DISTINCT ".join(
            f"SELECT seq FROM {table} WHERE (client_id, device) IN "
            "(SELECT client_id, device FROM erasures)"
            for table in self.tables.values()
        )
        self._engine.command(
            f"INSERT INTO {self._dropped} SELECT DISTINCT seq FROM ({rows}) "
            f"WHERE seq NOT IN (SELECT seq FROM {self._dropped})"
        )
        after = self._engine.rows(f"SELECT count() FROM {self._dropped}")
        return int(after[0][0]) - int(before[0][0])

    def _delete_erased(self) -> None:
        """Whoever was erased since `_drop_erased`: what deletes may have looked too early. It is
        looked for in what is stored, because a commit before may have been interrupted here.
        """
        late: dict[int, list[bytes]] = {}
        if self._exists("erasures"):
            devices = " UNION DISTINCT ".join(
                f"SELECT client_id, device FROM {table}" for table in self.tables.values()
            )
            for client, device in self._engine.rows(
                f"SELECT client_id, hex(device) FROM ({devices}) "
                "WHERE (client_id, device) IN (SELECT client_id, device FROM erasures)"
            ):
                late.setdefault(int(client), []).append(bytes.fromhex(str(device)))
        for client, keys in late.items():
            delete_devices(self._engine, client, keys, TABLES)

    def _put_behind(self, now: int) -> None:
        """Dates consent after that of the same device which has a date that is still to come."""
        table = self.tables["consent"]
        late = self._engine.rows(
            "SELECT client_id, hex(device), toUnixTimestamp64Milli(max(time)) FROM consent "
            f"WHERE (client_id, device) IN (SELECT client_id, device FROM {table}) "
            "AND time > fromUnixTimestamp64Milli({now:Int64}, 'UTC') GROUP BY client_id, device "
            f"SETTINGS {_UNCOMPILED}",
            {"now": now},
        )
        for client, device, last in late:
            own = f"client_id = {int(client)} AND device = unhex('{device}')"
            ((first,),) = self._engine.rows(
                f"SELECT toUnixTimestamp64Milli(min(time)) FROM {table} WHERE {own}"
            )
            later = max(0, int(last) + 1 - int(first))
            self._engine.command(
                f"ALTER TABLE {table} UPDATE time = time + toIntervalMillisecond({later}) "
                f"WHERE {own}",
                settings={"mutations_sync": 1},
            )

    def _find_history(self, *, has_consent: bool) -> None:
        """The consent of every device that is staged, one row an instant, stored or arriving."""
        for table in (self._instants, self._history):
            self._engine.command(f"TRUNCATE TABLE {table}")
        if not has_consent and not self._exists("consent"):
            return
        devices = " UNION DISTINCT ".join(
            f"SELECT client_id, device FROM {table}" for table in self.tables.values()
        )
        columns = "client_id, device, time, flags, cleared, granted"
        self._engine.command(
            f"INSERT INTO {self._instants} SETTINGS {_UNCOMPILED} SELECT client_id, device, time, "
            f"groupBitAnd(if({_IN_PART}, 255, flags)) AS all_, max(NOT {_IN_PART}) AS said_, "
            "groupBitOr(cleared) AS cleared_, groupBitOr(granted) AS granted_ FROM ("
            f"SELECT {columns} FROM consent WHERE (client_id, device) IN ({devices}) UNION ALL "
            f"SELECT {columns} FROM {self.tables['consent']} "
            f"WHERE seq NOT IN (SELECT seq FROM {self._dropped})"
            ") GROUP BY client_id, device, time"
        )
        partly = f"SELECT client_id, device FROM {self._instants} WHERE {_IN_PART}"
        self._engine.command(
            f"INSERT INTO {self._history} SELECT client_id, device, time, flags "
            f"FROM {self._instants} WHERE (client_id, device) NOT IN ({partly})"
        )
        if self._exists(f"{self._instants} WHERE {_IN_PART}"):
            self._follow_changes(partly)

    def _follow_changes(self, partly: str) -> None:
        """The same for devices of which some records say only what changes. Of one instant, flags
        that are said hold, and what is cleared is cleared, whatever else is granted.
        """
        default = f"toUInt8({self._rule_columns()['default_flags']})"
        before = f"if(empty(found), {default}, found[-1])"
        kept = f"bitAnd(if(step.3 = 1, step.2, bitOr({before}, step.5)), bitNot(step.4))"
        steps = "arraySort(groupArray((time, flags, said, cleared, granted)))"
        self._engine.command(
            f"INSERT INTO {self._history} SELECT client_id, device, one.1, one.2 FROM ("
            f"SELECT client_id, device, {steps} AS steps, arrayFold((found, step) -> "
            f"arrayPushBack(found, {kept}), steps, emptyArrayUInt8()) AS flags_ "
            f"FROM {self._instants} WHERE (client_id, device) IN ({partly}) "
            "GROUP BY client_id, device"
            ") ARRAY JOIN arrayZip(arrayMap(x -> x.1, steps), flags_) AS one"
        )

    def _exists(self, what: str) -> bool:
        return bool(self._engine.rows(f"SELECT 1 FROM {what} LIMIT 1"))

    def _rule_columns(self) -> dict[str, str]:
        """SQL for each rule of the client in `client_id`; numbers only, nothing from outside."""
        plain = ClientRules.of(self._catalog)
        columns = {}
        for name in ("default_flags", "retain_months", "extended_months"):
            usual = getattr(plain, name)
            values = {c: getattr(r, name) for c, r in self._rules.items()}
            odd = {c: v for c, v in values.items() if v != usual}
            keys, found = list(odd), list(odd.values())
            columns[name] = f"transform(client_id, {keys}, {found}, {usual})" if odd else str(usual)
        return columns

    def _store(self, name: str) -> None:
        kept = (
            f"SELECT * FROM {self.tables[name]} WHERE seq NOT IN (SELECT seq FROM {self._dropped})"
        )
        columns = [c for c in self._columns[name] if c != "seq"]
        values = dict(zip(columns, columns, strict=True))
        source = kept
        if name == "consent" and self._exists(f"{self.tables[name]} WHERE {_IN_PART}"):
            source = (
                f"SELECT s.*, h.flags AS h_flags FROM ({kept}) AS s LEFT ANY JOIN {self._history} "
                "AS h ON s.client_id = h.client_id AND s.device = h.device AND s.time = h.time"
            )
            values["flags"] = f"if({_IN_PART}, h_flags, flags)"
        elif name != "consent":
            source = self._with_consent(kept)
            values |= self._stamps()
            if name == "events":
                columns.append("retain_months")
        if name == "events" and self._exists(f"{self.tables[name]} WHERE rest != ''"):
            values |= self._fallbacks()
        chosen = ", ".join(f"{values[column]} AS {column}_" for column in columns)
        # By its id `_wait_for_others` knows it.
        id_ = f"{self._storing}{self._prefix}_{name}"
        self._engine.command(
            f"INSERT INTO {name} ({', '.join(columns)}) SETTINGS {_one_part()} "
            f"SELECT {chosen} FROM ({source})",
            settings={} if self._engine.is_embedded else {"query_id": id_},
        )

    def _with_consent(self, kept: str) -> str:
        if not self._exists(self._history):
            return f"SELECT *, 0 AS h_flags, 0 AS h_known FROM ({kept})"
        return (
            f"SELECT s.*, h.h_flags AS h_flags, h.h_known AS h_known FROM ({kept}) AS s "
            "ASOF LEFT JOIN (SELECT client_id, device, time AS h_time, flags AS h_flags, "
            f"1 AS h_known FROM {self._history}) AS h "
            "ON s.client_id = h.client_id AND s.device = h.device AND s.time >= h.h_time"
        )

    def _stamps(self) -> dict[str, str]:
        rule = self._rule_columns()
        implied = f"if(h_known = 1, h_flags, {rule['default_flags']})"
        granted = "h_known = 1 AND bitAnd(h_flags, 64) != 0"
        return {
            "flags": f"if(carried = 1, flags, {implied})",
            "retain_months": f"if({granted}, {rule['extended_months']}, {rule['retain_months']})",
        }

    def _fallbacks(self) -> dict[str, str]:
        """A property that one event names and another does not: its column holds it for both."""
        values: dict[str, str] = {}
        for name, spec in self._catalog.all_properties():
            kind = str(spec.type)
            here = "rest = ''"
            if kind in ARRAY_TYPES:
                column = presence_column(name, kind)
                here = f"(rest = '' OR {column} = 1)"
                values[column] = f"if({here}, {column}, {presence_expression(name, kind)})"
            if kind != "object[]":
                column = event_column(name, kind)
                read = value_expression(name, kind)
                late = read if kind in ARRAY_TYPES else f"ifNull({column}, {read})"
                if kind == "point":
                    late = f"if(empty({column}), {read}, {column})"
                values[column] = f"if({here}, {column}, {late})"
                continue
            column = length_column(name)
            values[column] = f"if({here}, {column}, {length_expression(name)})"
            for field, field_spec in spec.fields.items():
                column = element_column(name, field, field_spec.type)
                read = element_expression(name, field, str(field_spec.type))
                values[column] = f"if({here}, {column}, {read})"
        return values

    @property
    def _all_tables(self) -> tuple[str, ...]:
        mine = (self._ids, self._dropped, self._instants, self._history)
        return (*self.tables.values(), *mine)

    def _clear(self) -> None:
        for table in self._all_tables:
            self._engine.command(f"TRUNCATE TABLE {table}")

    def close(self) -> None:
        """Drops the staging tables and what was not committed."""
        for table in self._all_tables:
            self._engine.command(f"DROP TABLE IF EXISTS {table}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _one_part() -> str:
    return ", ".join(f"{name} = {value}" for name, value in ONE_PART.items())
