"""The ledger: every version of every audience, and what became of it. Rows are only appended."""

# ruff: noqa: S608 - the texts are made of this module's own names; values travel as parameters
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any

from relo_dsl.engine import Engine
from relo_dsl.errors import UserError
from relo_dsl.times import format_instant


class Step(StrEnum):
    """What became of a version."""

    PREPARED = "prepared"
    """Its changes are stored; the set may or may not have moved to it."""
    PUBLISHED = "published"
    ABANDONED = "abandoned"
    """It was overtaken before the set moved, and never will be published."""
    HELD = "held"
    """It was computed and held back."""
    SURPLUS = "surplus"
    """A check found members in its set that should not be there."""
    RIGHT = "right"
    """A check found nobody in its set who should not be there."""
    PRUNED = "pruned"
    """The members of versions before it are not known any more."""


class Kind(StrEnum):
    """Why there is a version."""

    REFRESH = "refresh"
    WITHDRAWAL = "withdrawal"
    ROLLBACK = "rollback"
    REBUILD = "rebuild"
    EMPTIED = "emptied"


@dataclass(frozen=True, slots=True)
class Version:
    """One version of an audience; `name` may be that of a holdout. Times are epoch milliseconds.

    `at` is the instant that was evaluated. `size` counts its members, `entered` and `left` who
    changed since the version before; `withheld` the devices that consent held back. `rows_read` and
    `bytes_read` are its even share of what the queries read that it was computed in. `whole` says
    that its set was filled anew, `forced` that a limit spoke against publishing it, `reason` why
    it is or was held back.
    """

    client: int
    name: str
    version: str
    ordinal: int
    kind: Kind
    at: int
    built: int
    expires: int
    fingerprint: str
    mask: int
    size: int
    entered: int = 0
    left: int = 0
    withheld: int = 0
    duration_ms: int = 0
    rows_read: int = 0
    bytes_read: int = 0
    by: str = ""
    forced: bool = False
    whole: bool = False
    reason: str = ""
    step: Step = Step.PREPARED

    def to_json(self) -> dict[str, object]:
        """One version of `relo history --json`."""
        found: dict[str, object] = {item.name: getattr(self, item.name) for item in fields(self)}
        for time in ("at", "built", "expires"):
            found[time] = format_instant(getattr(self, time))
        return found


# Fields that have another name, or another form, in the table.
_NAMED = {"client": "client_id", "name": "audience", "left": "departed", "by": "author"}
_TIMES = ("at", "built", "expires")
_TYPES = {
    "client": "UInt32",
    "ordinal": "UInt32",
    "mask": "UInt8",
    "forced": "UInt8",
    "whole": "UInt8",
    **dict.fromkeys(("name", "version", "kind", "fingerprint", "by", "reason", "step"), "String"),
}
_FIELDS = [item.name for item in fields(Version)]
_COLUMNS = [_NAMED.get(name, name) for name in _FIELDS]
_OWN = "client_id = {c:UInt32} AND audience = {a:String}"
_OF_SEVERAL = "client_id = {c:UInt32} AND audience IN {names:Array(String)}"


def record(engine: Engine, version: Version, step: Step) -> Version:
    """Appends a step of a version; when this returns, it is on the disk."""
    return record_all(engine, [version], step)[0]


def record_all(engine: Engine, versions: Sequence[Version], step: Step) -> list[Version]:
    """The same for several versions, in one statement."""
    done = [replace(version, step=step) for version in versions]
    if not done:
        return []
    arrays = ", ".join(f"{{{n}:Array({_type(n)})}} AS _{n}" for n in _FIELDS)
    values = ", ".join(_value(name) for name in _FIELDS)
    engine.command(
        f"INSERT INTO versions ({', '.join(_COLUMNS)}) "
        f"SELECT {values} FROM system.one ARRAY JOIN {arrays}",
        {name: [_plain(getattr(version, name)) for version in done] for name in _FIELDS},
    )
    return done


def _type(name: str) -> str:
    return "Int64" if name in _TIMES else _TYPES.get(name, "UInt64")


def _value(name: str) -> str:
    return f"fromUnixTimestamp64Milli(_{name}, 'UTC')" if name in _TIMES else f"_{name}"


def _plain(value: object) -> object:
    return str(value) if isinstance(value, StrEnum) else value


def _rows(engine: Engine, where: str, params: Mapping[str, object]) -> list[Version]:
    columns = [
        f"toUnixTimestamp64Milli({column})" if column in _TIMES else column for column in _COLUMNS
    ]
    text = f"SELECT {', '.join(columns)} FROM versions WHERE {where}"
    return [_version(row) for row in engine.rows(text, params)]


def _version(row: tuple[Any, ...]) -> Version:
    values = dict(zip(_FIELDS, row, strict=True))
    values |= {
        "kind": Kind(values["kind"]),
        "step": Step(values["step"]),
        "forced": bool(values["forced"]),
        "whole": bool(values["whole"]),
    }
    return Version(**values)


def _own(client: int, name: str) -> dict[str, object]:
    return {"c": client, "a": name}


def _several(client: int, names: Sequence[str]) -> dict[str, object]:
    return {"c": client, "names": list(names)}


def latest(engine: Engine, client: int, names: Sequence[str]) -> dict[str, Version]:
    """Of each name the latest version that is recorded as published, where there is one."""
    found = _rows(
        engine,
        f"{_OF_SEVERAL} AND step = 'published' ORDER BY version DESC LIMIT 1 BY audience",
        _several(client, names),
    )
    return {version.name: version for version in found}


def last(engine: Engine, client: int, name: str) -> Version | None:
    """The latest version that is recorded as published."""
    return latest(engine, client, [name]).get(name)


def prepared(engine: Engine, client: int, name: str, version: str) -> Version | None:
    """The version of that id, if it was prepared."""
    found = _rows(
        engine,
        f"{_OWN} AND version = {{v:String}} AND step = 'prepared' LIMIT 1",
        {**_own(client, name), "v": version},
    )
    return found[0] if found else None


def history(
    engine: Engine, client: int, name: str, *, held: bool = True, limit: int = 1_000_000
) -> list[Version]:
    """The published versions, newest first, each once; with `held` also those held back."""
    steps = "('published', 'held')" if held else "('published')"
    found = _rows(
        engine,
        f"{_OWN} AND step IN {steps} ORDER BY version DESC, recorded LIMIT 1 BY version "
        "LIMIT {n:UInt64}",
        {**_own(client, name), "n": limit},
    )
    return _newest_first(found)


def _newest_first(found: Iterable[Version]) -> list[Version]:
    return sorted(found, key=lambda item: item.version, reverse=True)


def upto(engine: Engine, client: int, name: str, ordinal: int) -> Version | None:
    """The latest published version whose ordinal is at most this."""
    found = _rows(
        engine,
        f"{_OWN} AND step = 'published' AND ordinal <= {{o:UInt32}} ORDER BY version DESC LIMIT 1",
        {**_own(client, name), "o": ordinal},
    )
    return found[0] if found else None


def origin(engine: Engine, version: Version) -> Version:
    """The version that last said who belongs, before people were only taken out of it."""
    found = _rows(
        engine,
        f"{_OWN} AND step = 'published' AND ordinal <= {{o:UInt32}} "
        "AND kind IN ('refresh', 'rollback', 'emptied') ORDER BY version DESC LIMIT 1",
        {**_own(version.client, version.name), "o": version.ordinal},
    )
    return found[0] if found else version


def confirmed(engine: Engine, version: Version) -> int:
    """When a refresh last said who belongs to a version (epoch milliseconds): a withdrawal, rebuild
    or rollback has the instant of the refresh whose members it has.
    """
    found = engine.rows(
        f"SELECT count(), toUnixTimestamp64Milli(max(built)) FROM versions WHERE {_OWN} "
        "AND step = 'published' AND kind = 'refresh' "
        "AND at = fromUnixTimestamp64Milli({t:Int64}, 'UTC')",
        {**_own(version.client, version.name), "t": version.at},
    )
    return int(found[0][1]) if found[0][0] else version.built


def names(engine: Engine, client: int) -> list[str]:
    """The names of all audiences and holdouts that were ever published for a client."""
    rows = engine.rows(
        "SELECT DISTINCT audience FROM versions WHERE client_id = {c:UInt32} "
        "AND step = 'published' ORDER BY audience",
        {"c": client},
    )
    return [str(name) for (name,) in rows]


def clients(engine: Engine) -> list[int]:
    """All clients that ever published something."""
    rows = engine.rows(
        "SELECT DISTINCT client_id FROM versions WHERE step = 'published' ORDER BY client_id"
    )
    return [int(client) for (client,) in rows]


def find(engine: Engine, client: int, name: str, wanted: str) -> Version:
    """The published version with this ordinal or id. Raises UserError where there is none."""
    published = history(engine, client, name, held=False)
    for version in published:
        if wanted == version.version or (wanted.isdecimal() and int(wanted) == version.ordinal):
            return version
    if not published:
        raise UserError(f"`{name}` was never published", f"`relo build {name}` publishes it")
    raise UserError(
        f"`{name}` has no version `{wanted}`",
        f"`relo history {name}` shows them; the latest is {published[0].ordinal}",
    )


def floor(engine: Engine, client: int, name: str) -> int:
    """The ordinal of the oldest version whose members are still known."""
    text = f"SELECT max(ordinal) FROM versions WHERE {_OWN} AND step = 'pruned'"
    return int(engine.rows(text, _own(client, name))[0][0])


def require_known(engine: Engine, version: Version) -> None:
    """Raises UserError where the members of a version were pruned."""
    oldest = floor(engine, version.client, version.name)
    if version.ordinal < oldest:
        raise UserError(
            f"the members of version {version.ordinal} of `{version.name}` are not kept any more",
            f"the oldest that are belong to version {oldest}; `keep_versions` under [publishing] "
            "in relo.toml says how many are kept",
        )


def is_blocked(engine: Engine, client: int, name: str) -> bool:
    """Whether a check found members in the published set that should not be there.

    It stays so until a check finds none, or the set was filled anew. Exports ask this first.
    """
    rows = engine.rows(
        "SELECT step, version, toUnixTimestamp64Micro(recorded) FROM versions "
        f"WHERE {_OWN} AND step IN ('surplus', 'right') ORDER BY recorded DESC, step DESC LIMIT 1",
        _own(client, name),
    )
    if not rows or rows[0][0] == Step.RIGHT:
        return False
    filled = engine.rows(
        f"SELECT 1 FROM versions WHERE {_OWN} AND step = 'published' AND whole = 1 "
        "AND version != {v:String} AND toUnixTimestamp64Micro(recorded) > {r:Int64} LIMIT 1",
        {**_own(client, name), "v": rows[0][1], "r": rows[0][2]},
    )
    return not filled


def blocked(engine: Engine, client: int, names: Sequence[str]) -> set[str]:
    """Those of several names for which `is_blocked` holds."""
    rows = engine.rows(
        f"SELECT DISTINCT audience FROM versions WHERE {_OF_SEVERAL} AND step = 'surplus'",
        _several(client, names),
    )
    return {str(name) for (name,) in rows if is_blocked(engine, client, str(name))}


def latest_instants(engine: Engine, client: int) -> dict[str, int]:
    """The instant that the latest published version of each set of a client holds for."""
    rows = engine.rows(
        "SELECT audience, toUnixTimestamp64Milli(argMax(at, version)) FROM versions "
        "WHERE client_id = {c:UInt32} AND step = 'published' GROUP BY audience",
        {"c": client},
    )
    return {str(name): int(at) for name, at in rows}


def latest_ids(engine: Engine, client: int) -> dict[str, str]:
    """The id of the latest published version of each audience and holdout of a client."""
    rows = engine.rows(
        "SELECT audience, max(version) FROM versions WHERE client_id = {c:UInt32} "
        "AND step = 'published' GROUP BY audience",
        {"c": client},
    )
    return {str(name): str(version) for name, version in rows}
