"""Copying an event store into another: from the embedded one to a server, to a cluster, and back.

Rows travel in chunks, each of one client and of a share of its devices, as the bytes in which
ClickHouse itself writes them. A chunk is compared first, by count and checksum, and only what is
not there yet is inserted: a copy that was interrupted, or has to catch up, is simply repeated.
Nothing is ever removed from the target; what it has besides is counted and told.
"""

# ruff: noqa: S608 - the texts are made of names that the store itself gave, and of numbers
from __future__ import annotations

import re
import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from relo_dsl.engine import Engine
from relo_dsl.engine.cluster import made_tables
from relo_dsl.engine.migrate import placed
from relo_dsl.errors import UserError

#: Rows that their retention drops within so many days stay behind: they may go while we count.
_LAST_DAYS = 1
_HERE: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Moved:
    """What became of a table's rows of one client (None: they belong to none).

    `rows` are those of the source, `there` those of the target when all was done, `copied` those
    inserted by this run. `missing` rows of the source are not in the target, `surplus` rows of the
    target are not in the source.
    """

    table: str
    client: int | None
    rows: int
    there: int
    copied: int
    missing: int
    surplus: int
    checksum: int
    checksum_there: int

    @property
    def same(self) -> bool:
        """Whether both stores hold the same rows."""
        return (self.rows, self.checksum) == (self.there, self.checksum_there)

    def to_json(self) -> dict[str, object]:
        return {
            "table": self.table,
            "client": self.client,
            "rows": self.rows,
            "there": self.there,
            "copied": self.copied,
            "missing": self.missing,
            "surplus": self.surplus,
            "checksum": f"{self.checksum:016x}",
            "checksum_there": f"{self.checksum_there:016x}",
            "same": self.same,
        }


def move(
    source: Engine,
    target: Engine,
    *,
    copy: bool = True,
    chunk_rows: int,
    progress: Callable[[str, int], object] = lambda _table, _rows: None,
) -> Iterator[Moved]:
    """Copies all tables and yields, for each and for each client, how the stores compare.

    Both have their tables (`Engine.migrate`). Without `copy` rows are only compared. `progress` is
    called with the rows that were compared or copied. Raises UserError where a table of the target
    cannot take the rows, EngineError where a store fails: then repeat it.
    """
    for name in made_tables():
        table = _Table(source, target, name, chunk_rows, progress)
        table.prepare()
        yield from table.moved(copy=copy)


class _Table:
    """One table in two stores."""

    def __init__(
        self,
        source: Engine,
        target: Engine,
        name: str,
        chunk_rows: int,
        progress: Callable[[str, int], object],
    ) -> None:
        self.name = name
        self._source = source
        self._target = target
        self._chunk_rows = chunk_rows
        self._progress = progress
        self._columns = _columns(source, name)
        self._listed = ", ".join(f"`{column}`" for column in self._columns)
        self._hash = f"sipHash64(formatRow('RowBinary', {self._listed}))"
        self._kept = _kept(source, name)

    def prepare(self) -> None:
        """Gives the target the columns that a catalog added to the source."""
        there = _columns(self._target, self.name)
        for column, (kind, default, codec) in self._columns.items():
            if column not in there:
                more = f"DEFAULT {default}" if default else ""
                change = f"ADD COLUMN IF NOT EXISTS `{column}` {kind} {more} {codec}"
                for statement in placed(self._target, f"ALTER TABLE {self.name} {change}"):
                    self._target.command(statement)
            elif there[column][0] != kind:
                raise UserError(
                    f"the column `{column}` of `{self.name}` is {kind} here and "
                    f"{there[column][0]} there",
                    "name another database by `--to-database`",
                )

    def moved(self, *, copy: bool) -> Iterator[Moved]:
        """Each client's rows, copied and compared."""
        if "client_id" not in self._columns:
            yield self._client(None, copy=copy)
            return
        clients = set()
        for engine in (self._source, self._target):
            clients |= {
                row[0] for row in engine.rows(f"SELECT DISTINCT client_id FROM {self.name}")
            }
        for client in sorted(clients):
            yield self._client(client, copy=copy)

    def _client(self, client: int | None, *, copy: bool) -> Moved:
        copied = missing = surplus = 0
        for chunk in self._chunks(client):
            here, there = self._sums(self._source, chunk), self._sums(self._target, chunk)
            if here != there and copy:
                copied += self._copy(chunk, there)
                there = self._sums(self._target, chunk)
            if here != there:
                left, more = self._difference(chunk)
                missing, surplus = missing + left, surplus + more
            self._progress(self.name, here[0])
        whole = self._of(client)
        rows, checksum = self._sums(self._source, whole)
        rows_there, checksum_there = self._sums(self._target, whole)
        return Moved(
            self.name, client, rows, rows_there, copied, missing, surplus, checksum, checksum_there
        )

    def _of(self, client: int | None) -> str:
        return self._kept if client is None else f"client_id = {int(client)} AND {self._kept}"

    def _chunks(self, client: int | None) -> Iterator[str]:
        """Conditions that cut the rows of a client by device, none far larger than a chunk."""
        whole = self._of(client)
        # What the target has besides must fit into a chunk too, to be counted.
        counts = [engine.rows(f"SELECT count() FROM {self.name} WHERE {whole}")[0][0]
                  for engine in (self._source, self._target)]  # fmt: skip
        pieces = max(1, -(-max(counts) // self._chunk_rows))
        if pieces == 1 or "device" not in self._columns:
            yield whole
            return
        for piece in range(pieces):
            yield f"{whole} AND cityHash64(device) % {pieces} = {piece}"

    def _sums(self, engine: Engine, chunk: str) -> tuple[int, int]:
        """How many rows there are, and a checksum in which their order has no part."""
        asked = f"SELECT count(), sum({self._hash}) FROM {self.name} WHERE {chunk}"
        ((rows, checksum),) = engine.rows(asked)
        return int(rows), int(checksum or 0)

    def _copy(self, chunk: str, there: tuple[int, int]) -> int:
        """Inserts what the target lacks; how many rows that were."""
        data = self._source.native(f"SELECT {self._listed} FROM {self.name} WHERE {chunk}")
        names = list(self._columns)
        if there == _HERE:
            self._target.insert_native(self.name, names, data)
            return self._sums(self._target, chunk)[0]
        staged = f"staged_{secrets.token_hex(4)}_move"
        made = ", ".join(f"`{name}` {kind}" for name, (kind, _, _) in self._columns.items())
        self._target.command(f"CREATE TABLE {staged} ({made}) ENGINE = Memory")
        try:
            self._target.insert_native(staged, names, data)
            self._target.command(
                f"INSERT INTO {self.name} ({self._listed}) SELECT {self._listed} FROM {staged} "
                f"WHERE {self._hash} NOT IN (SELECT {self._hash} FROM {self.name} WHERE {chunk})"
            )
        finally:
            self._target.command(f"DROP TABLE IF EXISTS {staged}")
        return self._sums(self._target, chunk)[0] - there[0]

    def _difference(self, chunk: str) -> tuple[int, int]:
        """Rows of a chunk that are in the source alone, and in the target alone."""
        asked = f"SELECT {self._hash} FROM {self.name} WHERE {chunk}"
        here, there = (
            Counter(row[0] for row in engine.rows(asked)) for engine in (self._source, self._target)
        )
        return (here - there).total(), (there - here).total()


def _columns(engine: Engine, table: str) -> dict[str, tuple[str, str, str]]:
    """The columns that hold values: their types, DEFAULT expressions and codecs."""
    rows = engine.rows(
        "SELECT name, type, default_expression, compression_codec FROM system.columns "
        "WHERE database = {d:String} AND table = {t:String} "
        "AND default_kind IN ('', 'DEFAULT') ORDER BY position",
        {"d": engine.database, "t": table},
    )
    return {str(name): (str(kind), str(default), str(codec)) for name, kind, default, codec in rows}


def _kept(engine: Engine, table: str) -> str:
    """A condition for the rows that the table's TTL will not drop soon."""
    (row,) = engine.rows(
        "SELECT create_table_query FROM system.tables WHERE database = {d:String} "
        "AND name IN ({t:String}, {l:String}) ORDER BY name DESC LIMIT 1",
        {"d": engine.database, "t": table, "l": f"{table}_local"},
    )
    found = re.search(r" TTL (.*?) SETTINGS ", str(row[0]))
    return f"({found[1]}) > now() + toIntervalDay({_LAST_DAYS})" if found else "1"
