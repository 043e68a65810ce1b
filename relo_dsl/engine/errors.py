"""What can go wrong between us and ClickHouse, said in terms of what the user can do."""

from __future__ import annotations

import re

from relo_dsl.errors import UserError

# ClickHouse's error codes for a limit that was reached, and the setting that holds the limit.
_LIMITS = {
    158: "max_rows_to_read",
    159: "max_seconds",
    160: "max_seconds",
    241: "max_memory_bytes",
}
# Codes of a server that cannot do now what is right to ask of it, and the way out.
_STATES = {
    164: "give the user of `events` the right to write, or name another server",
    202: "it is busy: try again, or raise `max_concurrent_queries` there",
    209: "it did not reach another server in time: see to its network, then try again",
    210: "it did not reach another server: see to its network, then try again",
    242: "a table there is read-only: see to its ClickHouse Keeper and its disks, then try again",
    243: "its disk is full: make room, then try again",
    252: "it merges more slowly than it is written to: wait a while, then try again",
    279: "a shard of the cluster does not answer: see to it, then try again",
    285: "too few replicas are alive: see to them, then try again",
    286: "too few replicas have the rows: see to them, then try again",
    289: "the replica that answered lags behind: try again",
    319: "nobody knows whether the rows were stored: try again, they are stored once",
    497: "give the user of `events` the rights that it lacks",
    516: "the name or the password in `events` is wrong",
    999: "its ClickHouse Keeper does not answer: see to it, then try again",
}
_UNREACHED = (
    "see whether the server runs and can be reached (`events` in relo.toml, or RELO_EVENTS), then "
    "try again; nothing was stored or published by halves"
)


class EngineError(Exception):
    """ClickHouse refused or failed; `code` is its error number, 0 where it gave none."""

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


class StoreError(EngineError, UserError):
    """The event store did not answer, broke off, or cannot do this now: the statement is right.

    Whatever was asked may be asked again.
    """

    def __init__(self, message: str, hint: str, code: int = 0) -> None:
        super().__init__(message, code)
        self.hint = hint


def our_error(error: Exception, where: str) -> Exception:
    """An error of clickhouse-connect as one of ours; `where` is the folder or URL of the store."""
    message = first_line(error)
    found = re.search(r"Code: (\d+)", str(error))
    code = int(found.group(1)) if found else 0
    if code in _LIMITS:
        setting = _LIMITS[code]
        return UserError(
            f"the query reached a limit: {message}",
            f"raise `{setting}` under [limits] in relo.toml, or ask for less",
        )
    if code in _STATES:
        return StoreError(f"the event store {where} refused: {message}", _STATES[code], code)
    if code == 0 and _is_transport(error):
        return StoreError(f"the event store {where} did not answer: {message}", _UNREACHED)
    return EngineError(message, code)


def _is_transport(error: Exception) -> bool:
    """Whether the answer is missing or incomplete, rather than an answer that says no."""
    from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError

    # A server's own errors carry their number; without one it is a proxy, or a connection.
    return isinstance(error, OperationalError | DatabaseError)


def first_line(error: Exception) -> str:
    """The first line of an error's text, without what is put around it, cut at 500."""
    text = str(error).strip().split("\n")[0]
    text = re.sub(r"^Received ClickHouse exception, code: \d+, server response: ", "", text)
    text = re.sub(r"^(Code: \d+\. DB::Exception: )+", "", text)
    return re.sub(r"( \(version [^)]*\)\.?)?( \(for url [^)]*\))?$", "", text)[:500]


class translated:  # noqa: N801 - reads as a statement
    """Turns clickhouse-connect's errors into ours."""

    def __init__(self, where: str) -> None:
        self._where = where

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None:
            return
        from clickhouse_connect.driver.exceptions import Error

        if isinstance(error, Error):
            raise our_error(error, self._where) from error
