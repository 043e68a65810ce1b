"""One way to run SQL: embedded chDB, or a ClickHouse server by URL.

The embedded engine opens one folder per process, does not survive `fork`, and would crash Python if
the interpreter ended in mid-query: `Engine` holds a lock on the folder, refuses to work in a forked
child, and closes itself at exit.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from relo_dsl.engine.cluster import SESSION, Cluster
from relo_dsl.engine.errors import EngineError, first_line, translated
from relo_dsl.engine.lock import FolderLock
from relo_dsl.engine.parameters import in_pieces, sendable
from relo_dsl.errors import UserError
from relo_dsl.settings import Limits, Settings
from relo_dsl.sql.query import SqlQuery

if TYPE_CHECKING:
    import pyarrow as pa
    from clickhouse_connect.driver.client import Client
    from clickhouse_connect.driver.common import StreamContext

# Generated queries nest deeper and are longer than what people write.
_SESSION = {
    "max_query_size": 64 * 2**20,
    "max_ast_elements": 1_000_000,
    "max_expanded_ast_elements": 5_000_000,
    "max_parser_depth": 4_000,
}
# What goes wrong is told by our errors; its warnings would be printed with their tracebacks.
logging.getLogger("clickhouse_connect").addHandler(logging.NullHandler())
#: Seconds until a server must have taken the connection.
CONNECT_SECONDS = 10
#: Seconds beyond a query's own limit after which an answer counts as lost.
SILENCE_SECONDS = 300
_NOT_OPENED = (
    "see whether the server runs and takes this name and password; `events` in relo.toml, or "
    "RELO_EVENTS, names it"
)
#: Settings of an insert whose rows appear all at once or, after a crash, not at all.
ONE_PART: dict[str, object] = {
    "min_insert_block_size_rows": 1_000_000_000,
    "min_insert_block_size_bytes": 0,
    "max_insert_block_size": 1_000_000_000,
    "max_insert_threads": 1,
    "async_insert": 0,
}


@dataclass(frozen=True, slots=True)
class Result:
    """The rows of a query and what they cost."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    elapsed_s: float
    rows_read: int
    bytes_read: int


class _Streamed:
    """The answer of a query, to be read once; what that cost is known when it has been read."""

    def __init__(self, engine: Engine, query: SqlQuery, limits: Limits) -> None:
        self._engine = engine
        self._query = query
        self._limits = limits
        self.elapsed_s = 0.0
        self.rows_read = 0
        self.bytes_read = 0

    def _read(self, *, arrow: bool = False) -> Iterator[Any]:
        """The blocks of the answer: columns, or Arrow record batches."""
        engine = self._engine
        engine.open_streams()  # now, so that it does not count as cost
        # chDB tells a stream's cost nowhere, only what the process has read in all. In a service
        # others read meanwhile: then it is about right, and must not be below nothing.
        counts = [engine.counters(), engine.counters()] if engine.is_embedded else []
        started = time.perf_counter()
        with engine.stream(self._query, self._limits, arrow=arrow) as stream, engine.translated():
            yield from stream
            summary = _summary_of(stream.source)
        self.elapsed_s = time.perf_counter() - started
        if engine.is_embedded:
            first, second, last = (*counts, engine.counters())
            # What was read since `second`, without what reading `second` itself cost.
            self.rows_read = max(0, last[0] - second[0] - (second[0] - first[0]))
            self.bytes_read = max(0, last[1] - second[1] - (second[1] - first[1]))
        else:
            self.rows_read = int(summary.get("read_rows", 0))
            self.bytes_read = int(summary.get("read_bytes", 0))


class Members(_Streamed):
    """Device keys in chunks, counted as they come."""

    def __init__(self, engine: Engine, query: SqlQuery, limits: Limits) -> None:
        super().__init__(engine, query, limits)
        self.count = 0

    def __iter__(self) -> Iterator[list[bytes]]:
        for columns in self._read():
            self.count += len(columns[0])
            yield list(columns[0])


class Blocks(_Streamed):
    """Arrow record batches with all columns of the answer."""

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        yield from self._read(arrow=True)


class Engine:
    """A connection, for one thread at a time. Use as a context manager, or call `close`."""

    def __init__(
        self,
        connect: Mapping[str, Any],
        *,
        lock: FolderLock | None,
        database: str,
        limits: Limits,
        cluster: str | None = None,
    ) -> None:
        """Use `Engine.open`, `Engine.embedded` or `Engine.server`."""
        self._connect = dict(connect)
        self._lock = lock
        self._pid = os.getpid()
        self._streams: Client | None = None
        #: Held while records are compared with those stored and then stored themselves.
        self.storing = threading.RLock()
        self.limits = limits
        self.database = database
        self.is_embedded = lock is not None
        self.cluster = None if cluster is None else Cluster(cluster, database)
        self.where = str(connect.get("path") or _without_password(connect["dsn"]))
        try:
            self._client: Client | None = self._new_client()
        except BaseException:
            if lock:
                lock.release()
            raise
        atexit.register(self.close)

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """The engine that the settings name, its tables brought up to date.

        Raises UserError if the embedded store is in use or the server cannot be reached.
        """
        if settings.events == "embedded":
            engine = cls.embedded(settings.data, limits=settings.limits)
        else:
            engine = cls.server(
                settings.events,
                database=settings.database,
                limits=settings.limits,
                cluster=settings.cluster,
            )
        try:
            engine.migrate()
        except BaseException:
            engine.close()
            raise
        return engine

    @classmethod
    def embedded(cls, folder: Path, *, limits: Limits | None = None) -> Self:
        """chDB over the files in `folder`/clickhouse. Makes no tables: see `migrate`."""
        lock = FolderLock(folder / "lock", "event store", "events")
        connect = {"interface": "chdb", "path": str(folder / "clickhouse")}
        return cls(connect, lock=lock, database="default", limits=limits or Limits())

    @classmethod
    def server(
        cls,
        url: str,
        *,
        database: str,
        limits: Limits | None = None,
        cluster: str | None = None,
        silence_seconds: float = SILENCE_SECONDS,
    ) -> Self:
        """A ClickHouse server, or one node of a `cluster`. Makes the database if it is missing, but
        no tables. An answer that is `silence_seconds` later than a query may take counts as lost.
        """
        limits = limits or Limits()
        connect = {
            "dsn": url,
            # In the body: what a definition looks for has no place in a proxy's log of URLs.
            "form_encode_query_params": True,
            "connect_timeout": CONNECT_SECONDS,
            # Nothing comes before a query is done, and the server itself stops it at its limit.
            "send_receive_timeout": limits.max_seconds + silence_seconds,
        }
        engine = cls(connect, lock=None, database=database, limits=limits, cluster=cluster)
        with closing(engine):
            made = f"CREATE DATABASE IF NOT EXISTS `{database}`"
            engine.command(engine.cluster.create_database() if engine.cluster else made)
        connect["database"] = database
        return cls(connect, lock=None, database=database, limits=limits, cluster=cluster)

    def _new_client(self) -> Client:
        import clickhouse_connect  # heavy: over a second with chDB
        from clickhouse_connect.driver.exceptions import Error

        session = {**_SESSION, **(SESSION if self.cluster else {})}
        try:
            client = clickhouse_connect.get_client(**self._connect, settings=session)
        except Error as error:
            raise UserError(
                f"cannot open the event store {self.where}: {first_line(error)}",
                None if self.is_embedded else _NOT_OPENED,
            ) from error
        if self.is_embedded:
            # clickhouse-connect 1.12 takes the rows that chDB returned for those that it read.
            client._backend._summary = _chdb_summary  # type: ignore[attr-defined]
        return client

    def another(self) -> Self:
        """A second connection to the same store, for another thread. Close it before this one."""
        cluster = None if self.cluster is None else self.cluster.name
        made = type(self)(
            self._connect, lock=None, database=self.database, limits=self.limits, cluster=cluster
        )
        made.is_embedded = self.is_embedded
        made.storing = self.storing
        return made

    def translated(self) -> translated:
        """Turns clickhouse-connect's errors into ours, which name this store."""
        return translated(self.where)

    @property
    def client(self) -> Client:
        """The clickhouse-connect client. Raises EngineError after `close` or in a forked child."""
        if self._client is None:
            raise EngineError("the engine is closed")
        if os.getpid() != self._pid:
            raise EngineError("the engine does not survive fork: open it in the child")
        return self._client

    def migrate(self) -> None:
        """Brings the tables up to date, and clears away what an interrupted load left behind.

        Call it once, after opening: it takes every staging table for a leftover.
        """
        from relo_dsl.engine.migrate import migrate
        from relo_dsl.engine.restamp import drop_leftovers

        migrate(self)
        drop_leftovers(self)

    def query(
        self, query: SqlQuery, *, limits: Limits | None = None,
        settings: Mapping[str, int] | None = None,
    ) -> Result:  # fmt: skip
        """Runs a read-only query within the limits (the engine's own by default).

        `settings` are ClickHouse's for how it is run; none of them changes what comes out. Raises
        UserError where a limit was reached, EngineError for anything else.
        """
        compiled = self._compiled(query, limits or self.limits)
        more = "".join(f", {name} = {value}" for name, value in (settings or {}).items())
        text, params = self._prepared(SqlQuery(compiled.text + more, compiled.params))
        client = self.client
        started = time.perf_counter()
        with self.translated():
            result = client.query(text, parameters=params or None)
            found = result.result_rows  # read only now: an answer may still break off
        elapsed = time.perf_counter() - started
        summary = result.summary
        return Result(
            tuple(result.column_names),
            [tuple(row) for row in found],
            elapsed,
            int(summary.get("read_rows", 0)),
            int(summary.get("read_bytes", 0)),
        )

    def members(self, query: SqlQuery, *, limits: Limits | None = None) -> Members:
        """Streams the first column of a read-only query, 16-byte device keys, in chunks.

        Other queries may run between chunks; a second stream may not. Raises as `query` does.
        """
        _ = self.client  # refuses a closed or forked engine
        return Members(self, query, limits or self.limits)

    def blocks(self, query: SqlQuery, *, limits: Limits | None = None) -> Blocks:
        """Streams a read-only query as Arrow record batches; otherwise as `members`."""
        _ = self.client
        return Blocks(self, query, limits or self.limits)

    def open_streams(self) -> Client:
        """The connection kept for streams, opened at first use."""
        if self._streams is None:
            self._streams = self._new_client()
        return self._streams

    def stream(self, query: SqlQuery, limits: Limits, *, arrow: bool = False) -> StreamContext:
        """The blocks of a read-only query, over a connection kept for streams: columns or Arrow."""
        text, params = self._prepared(self._compiled(query, limits))
        # A server then sends what the query cost, or its error, before the first row.
        whole = None if self.is_embedded else {"wait_end_of_query": 1}
        with self.translated():
            client = self.open_streams()
            ask = client.query_arrow_stream if arrow else client.query_column_block_stream
            return ask(text, parameters=params or None, settings=whole)

    def counters(self) -> tuple[int, int]:
        """Rows and bytes that this server, or this process, has read from tables so far."""
        found = dict(
            self.rows("SELECT event, value FROM system.events WHERE event LIKE 'Selected%'")
        )
        return int(found.get("SelectedRows", 0)), int(found.get("SelectedBytes", 0))

    def command(
        self,
        text: str,
        params: Mapping[str, object] | None = None,
        settings: Mapping[str, object] | None = None,
    ) -> None:
        """Runs a statement that changes something. Raises EngineError."""
        self._command(self._internal(text, params), settings or {})

    def delete(self, table: str, condition: str, params: Mapping[str, object]) -> None:
        """Deletes the rows of a table for which `condition` holds.

        When it returns, nobody sees them. Raises EngineError; then some of them may be gone.
        """
        settings: dict[str, object] = {"lightweight_deletes_sync": 2}
        if self.cluster is None:
            deletion = f"DELETE FROM {table} WHERE {condition}"  # noqa: S608 - texts of ours
            self.command(deletion, params, settings)
            return
        # Every copy of a shard works out the sets for itself, and all come to the same.
        settings["allow_nondeterministic_mutations"] = 1
        self._command(SqlQuery(self.cluster.delete(table, condition), params), settings)

    def purge(self, table: str) -> None:
        """Writes the parts anew of which rows were deleted: until then these are only hidden.

        Raises EngineError.
        """
        settings: dict[str, object] = {"mutations_sync": 2}
        change = "APPLY DELETED MASK"
        texts = [f"ALTER TABLE {table} {change}"]
        if self.cluster is not None:
            texts = self.cluster.alter(table, change)
        for text in texts:
            self.command(text, settings=settings)

    def rows(self, text: str, params: Mapping[str, object] | None = None) -> list[tuple[Any, ...]]:
        """The rows of an internal query, without limits."""
        text, sent = self._prepared(self._internal(text, params))
        with self.translated():
            found = self.client.query(text, parameters=sent or None)
            return [tuple(row) for row in found.result_rows]

    def insert_arrow(self, table: str, data: pa.Table, *, one_part: bool = False) -> None:
        """Appends an Arrow table to a table that has all of its columns.

        With `one_part` its rows appear all at once: after a crash there are all of them or none.
        """
        with self.translated():
            self.client.insert_arrow(table, data, settings=dict(ONE_PART) if one_part else None)

    def native(self, text: str) -> bytes:
        """The rows of an internal query as ClickHouse's own bytes, all of them or an error."""
        whole = None if self.is_embedded else {"wait_end_of_query": 1}
        with self.translated():
            return bytes(self.client.raw_query(text, settings=whole, fmt="Native"))

    def insert_native(self, table: str, columns: Sequence[str], data: bytes) -> None:
        """Appends what `native` gave; after a crash all of its rows are there or none."""
        # Bytes would be sent again, and perhaps stored again, where the answer to them is lost:
        # clickhouse-connect 1.12 does so with whatever it can read twice.
        once = (part for part in (data,))
        with self.translated():
            self.client.raw_insert(table, columns, once, settings=dict(ONE_PART), fmt="Native")

    def _compiled(self, query: SqlQuery, limits: Limits) -> SqlQuery:
        placed = query if self.cluster is None else self.cluster.query(query)
        return _read_only(placed, limits)

    def _command(self, statement: SqlQuery, settings: Mapping[str, object]) -> None:
        text, sent = self._prepared(statement)
        with self.translated():
            self.client.command(text, parameters=sent or None, settings=dict(settings))

    def _internal(self, text: str, params: Mapping[str, object] | None) -> SqlQuery:
        return SqlQuery(self.cluster.internal(text) if self.cluster else text, params or {})

    def _prepared(self, query: SqlQuery) -> tuple[str, dict[str, object]]:
        params = sendable(query.params)
        return (query.text, params) if self.is_embedded else in_pieces(query.text, params)

    def close(self) -> None:
        """Closes the connection and lets go of the lock; a second call does nothing."""
        atexit.unregister(self.close)
        if os.getpid() != self._pid:
            return
        for client in (self._streams, self._client):
            if client is not None:
                client.close()
        self._streams = self._client = None
        if self._lock:
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _read_only(query: SqlQuery, limits: Limits) -> SqlQuery:
    """The query with the settings of a compiled one. readonly 1: 2 would allow file() and url().

    They stand in the text because clickhouse-connect gives settings of some statements to the whole
    session, where readonly could never be taken back; no other SETTINGS in a query can undo them.
    """
    settings = (
        f"readonly = 1, max_execution_time = {limits.max_seconds}, "
        f"max_memory_usage = {limits.max_memory_bytes}, "
        f"max_bytes_before_external_group_by = {limits.spill_bytes}, "
        f"max_rows_to_read = {limits.max_rows_to_read}"
    )
    return SqlQuery(f"{query.text}\nSETTINGS {settings}", query.params)


def _summary_of(source: Any) -> Mapping[str, str]:
    """What a stream's query cost, by a server's account; Arrow streams leave it in the header."""
    if hasattr(source, "summary"):
        return dict(source.summary)
    return dict(json.loads(getattr(source, "headers", {}).get("X-ClickHouse-Summary", "{}")))


def _chdb_summary(result: Any) -> dict[str, str]:
    return {
        "read_rows": str(result.storage_rows_read()),
        "read_bytes": str(result.storage_bytes_read()),
    }


def _without_password(url: str) -> str:
    return re.sub(r"//[^@/]*@", "//", url)
