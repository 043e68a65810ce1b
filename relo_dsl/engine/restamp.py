"""Consent that arrives late: what is stored after its time gets the flags it should have had.

A record that did not carry flags has its device's consent at its time, and one that changes consent
in part has what it makes of that. When a consent record comes in with a time before that of stored
rows, their `flags`, and the `retain_months` of events, are worked out again from the device's whole
history, before the record itself is stored: a crash in between is mended by repeating the load,
which finds the record new and does it all again.
"""

# ruff: noqa: S608 - the texts are made of this module's own table names and of numbers
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from relo_dsl.engine.client import Engine
    from relo_dsl.engine.cluster import Cluster

#: Devices in one statement on a cluster: each costs some hundred bytes of it.
_DEVICES_AT_ONCE = 500
#: What is stamped, and which rows of it are.
_STAMPED = {
    "events": "1", "traits": "1", "scores": "1", "consent": "bitOr(s.cleared, s.granted) != 0",
}  # fmt: skip


def restamp(
    engine: Engine,
    prefix: str,
    staged_consent: str,
    dropped: str,
    history: str,
    rules: Mapping[str, str],
) -> bool:
    """Corrects stored rows of the devices with newly staged consent; says whether there were any.

    `history` holds these devices' consent, the new one included.
    """
    fresh = f"SELECT * FROM {staged_consent} WHERE seq NOT IN (SELECT seq FROM {dropped})"
    late = [table for table in _STAMPED if _concerned(engine, table, fresh)]
    if not late:
        return False
    joined = f"{prefix}_restamp"
    engine.command(
        f"CREATE TABLE {joined} (client_id UInt32, device FixedString(16), "
        "times Array(DateTime64(3, 'UTC')), stamps Array(UInt8), "
        "default_flags UInt8, retain_months UInt16, extended_months UInt16) "
        "ENGINE = Join(ANY, LEFT, client_id, device)"
    )
    engine.command(
        f"INSERT INTO {joined} SELECT client_id, device, "
        "arrayMap(x -> x.1, arraySort(groupArray((time, flags))) AS steps), "
        "arrayMap(x -> x.2, steps), "
        f"{rules['default_flags']}, {rules['retain_months']}, {rules['extended_months']} "
        f"FROM {history} WHERE (client_id, device) IN (SELECT client_id, device FROM ({fresh})) "
        "GROUP BY client_id, device"
    )
    for table in late:
        if engine.cluster is None:
            _correct(engine, table, joined)
        else:
            _correct_shards(engine, engine.cluster, table, joined)
    engine.command(f"DROP TABLE {joined}")
    return True


def _concerned(engine: Engine, table: str, fresh: str) -> bool:
    """Whether a table has rows at or after the earliest new consent of some device."""
    rows = engine.rows(
        f"SELECT 1 FROM {table} AS s WHERE {_STAMPED[table]} "
        f"AND s.client_id IN (SELECT client_id FROM ({fresh})) "
        f"AND s.time >= (SELECT min(time) FROM ({fresh})) "
        f"AND (s.client_id, s.device) IN (SELECT client_id, device FROM ({fresh})) LIMIT 1"
    )
    return bool(rows)


def _correct(engine: Engine, table: str, joined: str) -> None:
    name = f"{engine.database}.{joined}"

    def look(column: str) -> str:
        # With the database: a mutation runs without a current one.
        return f"joinGet('{name}', '{column}', client_id, device)"

    engine.command(
        f"ALTER TABLE {table} UPDATE {_changes(table, look)} "
        # Waits until it is done everywhere.
        f"WHERE (client_id, device) IN (SELECT client_id, device FROM {name}) "
        "SETTINGS mutations_sync = 2"
    )


def _correct_shards(engine: Engine, cluster: Cluster, table: str, joined: str) -> None:
    """The same on a cluster, whose shards do not have the joined table: what it holds is written
    into the statements. These say everything themselves, so every replica does the same.
    """
    rows = engine.rows(
        "SELECT client_id, hex(device), arrayMap(x -> toUnixTimestamp64Milli(x), times), stamps, "
        f"default_flags, retain_months, extended_months FROM {joined} ORDER BY client_id, device"
    )
    for start in range(0, len(rows), _DEVICES_AT_ONCE):
        some = rows[start : start + _DEVICES_AT_ONCE]
        clients, devices, *columns = ([row[i] for row in some] for i in range(7))
        names = ("times", "stamps", "default_flags", "retain_months", "extended_months")
        values = dict(zip(names, columns, strict=True))
        # One text, so that a mutation compares one number with few: a client id has ten digits.
        keys = [f"{client:010d}{device}" for client, device in zip(clients, devices, strict=True)]
        place = f"indexOf({keys}, concat(leftPad(toString(client_id), 10, '0'), hex(device)))"

        def look(column: str, values: dict[str, list[object]] = values, at: str = place) -> str:
            found = f"{values[column]}[{at}]"
            if column != "times":
                return found
            return f"arrayMap(x -> fromUnixTimestamp64Milli(toInt64(x), 'UTC'), {found})"

        of_them = ", ".join(
            f"({client}, unhex('{device}'))"
            for client, device in zip(clients, devices, strict=True)
        )
        changes = f"UPDATE {_changes(table, look)} WHERE (client_id, device) IN ({of_them})"
        for statement in cluster.alter(table, changes):
            engine.command(statement, settings={"mutations_sync": 2})


def _changes(table: str, look: Callable[[str], str]) -> str:
    """What becomes of a row; `look` gives SQL for what is known of its device."""
    at = f"arrayLastIndex(x -> x <= time, {look('times')})"
    stamp = f"{look('stamps')}[{at}]"
    if table == "consent":
        return f"flags = if(bitOr(cleared, granted) = 0, flags, {stamp})"
    changes = [f"flags = if(carried = 1, flags, if({at} = 0, {look('default_flags')}, {stamp}))"]
    if table == "events":
        granted = f"{at} != 0 AND bitAnd({stamp}, 64) != 0"
        changes.append(
            f"retain_months = if({granted}, {look('extended_months')}, {look('retain_months')})"
        )
    return ", ".join(changes)


def drop_leftovers(engine: Engine) -> None:
    """Removes what an interrupted load or refresh left, where no other process can be at it."""
    if not engine.is_embedded:
        return
    left = engine.rows(
        "SELECT name FROM system.tables WHERE database = {d:String} "
        "AND (name LIKE 'staged\\_%' OR name LIKE 'refresh\\_%')",
        {"d": engine.database},
    )
    if not left:
        return
    # Killed first: a mutation whose table is gone would fail for ever and hold up all others.
    engine.command(
        "KILL MUTATION WHERE database = {d:String} AND NOT is_done AND command LIKE '%staged\\_%' "
        "SYNC",
        {"d": engine.database},
    )
    for (name,) in left:
        engine.command(f"DROP TABLE IF EXISTS `{name}`")
