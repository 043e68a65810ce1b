"""Who belongs to a version, in ClickHouse: only changes are stored, and everything follows.

A device is a member of version V where its latest change, among those of published versions up to
V, is that it entered. One `max` finds the latest: over the ordinal, with `entered` as last bit.
"""

# ruff: noqa: S608 - the texts are made of this module's own names; values travel as parameters
from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from relo_dsl.engine import Engine
from relo_dsl.engine.client import Members
from relo_dsl.settings import Limits
from relo_dsl.sql.query import SqlQuery
from relo_server.versions import ledger
from relo_server.versions.barred import Bar
from relo_server.versions.ledger import Step, Version

#: Of queries that read members out: as slowly as whoever takes them.
_UNHURRIED = Limits(max_seconds=86_400)
_OWN = "client_id = {c:UInt32} AND audience = {a:String}"
_ROWS_OF_SEVERAL = (
    "membership WHERE client_id = {c:UInt32} AND audience IN {names:Array(String)} "
    "AND version IN {ids:Array(String)}"
)
_IS_IN = "bitAnd(max(ordinal * 2 + entered), 1) = 1"


@dataclass(frozen=True, slots=True)
class Devices:
    """A query for devices, each once: `text` selects the column `device`.

    Parameters called `c` and `a` are the client and the audience; its others have names that
    nothing in this module uses.
    """

    text: str
    params: Mapping[str, object] = field(default_factory=dict)


NOBODY = Devices("SELECT toFixedString('', 16) AS device WHERE 0")


def _published(upto: str) -> str:
    """Rows of versions that are published, up to the ordinal in a parameter."""
    return (
        f"version IN (SELECT version FROM versions WHERE {_OWN} AND step = 'published' "
        f"AND ordinal <= {{{upto}:UInt32}})"
    )


def members_of(version: Version | None, parameter: str = "past", where: str = "1") -> Devices:
    """The members of a published version; None has none. `parameter` will hold its ordinal.
    `where` tests their `device`, with parameters of its own.

    Its rows come in the order of the keys, without holding them all in memory.
    """
    if version is None:
        return NOBODY
    return Devices(
        f"SELECT device FROM membership WHERE {_OWN} AND ordinal <= {{{parameter}:UInt32}} "
        f"AND {_published(parameter)} AND {where} GROUP BY device HAVING {_IS_IN}",
        {"c": version.client, "a": version.name, parameter: version.ordinal},
    )


def prepared_members(engine: Engine, attempt: Version) -> Members:
    """The members that a version will have, which is prepared and not published yet, in chunks."""
    query = SqlQuery(
        f"SELECT device FROM membership WHERE {_OWN} AND ordinal <= {{o:UInt32}} "
        f"AND (version = {{v:String}} OR {_published('b')}) GROUP BY device HAVING {_IS_IN}",
        _of(attempt) | {"o": attempt.ordinal, "b": attempt.ordinal - 1},
    )
    return engine.members(query, limits=_UNHURRIED)


def _of(version: Version) -> dict[str, object]:
    return {"c": version.client, "a": version.name, "v": version.version}


@dataclass(frozen=True, slots=True)
class Changes:
    """The way from `base` to those of `wanted` who may be published, as version `attempt`. Where
    `wanted` is None these are those of `base`.
    """

    attempt: Version
    base: Version | None
    wanted: Devices | None
    bar: Bar

    def query(self) -> SqlQuery:
        """The rows of `membership` that it takes."""
        attempt, bar = self.attempt, self.bar
        if self.wanted is None:
            # Few leave: the others need not be looked at one by one.
            leaving = members_of(self.base, "b", bar.barred)
            return SqlQuery(
                f"SELECT {{c:UInt32}}, {{a:String}}, device, {{o:UInt32}}, {{v:String}}, 0 "
                f"FROM ({leaving.text})",
                {**leaving.params, **bar.params, **_of(attempt), "o": attempt.ordinal},
            )
        new = f"SELECT device FROM ({self.wanted.text}) WHERE {bar.allowed}"
        changed = f"SELECT device, 1 AS n FROM ({new})"
        old = members_of(self.base, "b")
        if self.base is not None:
            changed = (
                "SELECT device, max(after) AS n FROM ("
                f"SELECT device, 1 AS after, 0 AS before FROM ({new}) UNION ALL "
                f"SELECT device, 0 AS after, 1 AS before FROM ({old.text})"
                ") GROUP BY device HAVING n != max(before)"
            )
        return SqlQuery(
            f"SELECT {{c:UInt32}}, {{a:String}}, device, {{o:UInt32}}, {{v:String}}, n "
            f"FROM ({changed})",
            {
                **self.wanted.params, **old.params, **bar.params, **_of(attempt),
                "o": attempt.ordinal,
            },
        )  # fmt: skip


def add_changes(engine: Engine, changes: Sequence[Changes]) -> dict[str, tuple[int, int]]:
    """Stores changes; by the id of the version, how many entered and how many left, if any did.

    The rows count from the moment the version is recorded as published, and never if it is not.
    """
    texts, params = [], dict[str, object]()
    for number, change in enumerate(changes):
        query = change.query()
        # Every placeholder, and nothing else, has the form {name:Type}.
        texts.append(re.sub(r"\{(\w+):", rf"{{\1_{number}:", query.text))
        params |= {f"{name}_{number}": value for name, value in query.params.items()}
    engine.command(
        "INSERT INTO membership (client_id, audience, device, ordinal, version, entered) "
        f"SETTINGS {_spilling(engine)} {' UNION ALL '.join(texts)}",
        params,
    )
    rows = engine.rows(
        f"SELECT version, countIf(entered = 1), countIf(entered = 0) FROM {_ROWS_OF_SEVERAL} "
        "GROUP BY version",
        _of_several([change.attempt for change in changes]),
    )
    return {str(version): (int(entered), int(left)) for version, entered, left in rows}


def _of_several(versions: Sequence[Version]) -> dict[str, object]:
    return {
        "c": versions[0].client,
        "names": [version.name for version in versions],
        "ids": [version.version for version in versions],
    }


def _spilling(engine: Engine) -> str:
    """Settings of a statement over whole audiences: what does not fit goes to the disk.

    In the text: the embedded engine would need two more statements for each of them.
    """
    memory = engine.limits.max_memory_bytes
    return f"max_memory_usage = {memory}, max_bytes_before_external_group_by = {memory // 2}"


def count_allowed(engine: Engine, wanted: Devices, bar: Bar) -> int:
    """How many of the devices may be published."""
    return _count(engine, f"SELECT device FROM ({wanted.text}) WHERE {bar.allowed}", wanted, bar)


def count_barred(engine: Engine, wanted: Devices, bar: Bar) -> int:
    """How many of the devices must not be published."""
    return _count(engine, f"SELECT device FROM ({wanted.text}) WHERE {bar.barred}", wanted, bar)


def _count(engine: Engine, text: str, wanted: Devices, bar: Bar) -> int:
    found = engine.rows(f"SELECT count() FROM ({text})", {**wanted.params, **bar.params})
    return int(found[0][0])


def changes_of(
    engine: Engine, attempts: Sequence[Version]
) -> dict[str, tuple[list[bytes], list[bytes]]]:
    """Who entered and who left with versions of one client, by their ids: for few, because they
    are held in memory.
    """
    found: dict[str, tuple[list[bytes], list[bytes]]] = {}
    for version, device, entered in engine.rows(
        f"SELECT version, device, entered FROM {_ROWS_OF_SEVERAL}", _of_several(attempts)
    ):
        arrived, gone = found.setdefault(str(version), ([], []))
        (arrived if entered else gone).append(bytes(device))
    return found


def members(engine: Engine, version: Version) -> Iterator[list[bytes]]:
    """The members of a published version, in chunks. Raises UserError where they were pruned."""
    ledger.require_known(engine, version)
    found = members_of(version)
    return iter(engine.members(SqlQuery(found.text, found.params), limits=_UNHURRIED))


def differences(
    engine: Engine, before: Version, after: Version, *, limit: int
) -> tuple[tuple[int, list[bytes]], tuple[int, list[bytes]]]:
    """Who entered and who left from one version of an audience to another, in either order.

    Each with how many there are and the first `limit` keys in order. Raises UserError where a
    version's members were pruned.
    """
    for version in (before, after):
        ledger.require_known(engine, version)
    params: dict[str, object] = {
        "c": before.client, "a": before.name, "n": limit,
        "low": min(before.ordinal, after.ordinal), "high": max(before.ordinal, after.ordinal),
    }  # fmt: skip
    forward = before.ordinal <= after.ordinal
    sides = []
    for entered in (forward, not forward):
        changed = (
            "SELECT device, "
            "bitAnd(max(if(ordinal <= {low:UInt32}, ordinal * 2 + entered, 0)), 1) AS before, "
            "bitAnd(max(ordinal * 2 + entered), 1) AS after "
            f"FROM membership WHERE {_OWN} AND ordinal <= {{high:UInt32}} AND {_published('high')} "
            f"GROUP BY device HAVING after {'>' if entered else '<'} before"
        )
        count = int(engine.rows(f"SELECT count() FROM ({changed})", params)[0][0])
        first = engine.rows(
            f"SELECT device FROM ({changed}) ORDER BY device LIMIT {{n:UInt64}}", params
        )
        sides.append((count, [bytes(key) for (key,) in first]))
    return sides[0], sides[1]


def prune(engine: Engine, oldest: Version) -> None:
    """Forgets who belonged to versions before `oldest`; its members and all later ones stay exact.

    First it is written down that they are gone, so that a crash on the way leaves nothing that
    could be read wrongly. A deletion reaches one part of the table after the other; two of them
    keep every state in between exact: first what a later change covers, then those who had left
    and have nothing left to be covered.
    """
    ledger.record(engine, oldest, Step.PRUNED)
    params = {"c": oldest.client, "a": oldest.name, "o": oldest.ordinal}
    old = f"{_OWN} AND ordinal <= {{o:UInt32}}"
    latest = (
        f"SELECT device, max(ordinal) FROM membership WHERE {old} AND {_published('o')} "
        "GROUP BY device"
    )
    engine.delete(
        "membership",
        f"{old} AND ((device, ordinal) NOT IN ({latest}) OR NOT {_published('o')})",
        params,
    )
    inside = f"SELECT device FROM membership WHERE {old} AND entered = 1"
    engine.delete("membership", f"{old} AND entered = 0 AND device NOT IN ({inside})", params)


def prune_old(engine: Engine, latest: Version, keep: int) -> None:
    """Forgets the members of all but the latest `keep` versions, once twice as many are kept."""
    if latest.ordinal < 2 * keep:
        return
    oldest_known = max(1, ledger.floor(engine, latest.client, latest.name))
    if latest.ordinal - oldest_known + 1 < 2 * keep:
        return
    oldest = ledger.upto(engine, latest.client, latest.name, latest.ordinal - keep + 1)
    if oldest is not None:
        prune(engine, oldest)
