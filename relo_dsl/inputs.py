"""Files of events: JSON lines, CSV and Parquet, read one record at a time.

Whatever the format, what comes out is a raw record as section 9 of the language has it, beside the
place that it came from. A record that cannot be read comes out as the error that says why, so that
a loader can count it and go on; `read_records` stops at the first one instead.


Tables (CSV, Parquet) have the columns `t`, `ts`, `cid`, `did`, `eid`, `flags`, `consent`, and
`props.NAME`, `traits.NAME`, `scores.NAME`, or whole JSON objects in `props`, `traits`, `scores`.
An empty cell is an absent value.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO

from relo_dsl.catalog import Catalog, PropertyType
from relo_dsl.diagnostics import nearest
from relo_dsl.errors import UserError
from relo_dsl.numbers import read_number
from relo_dsl.records import Record, RecordError, check_types, decode_line, parse_record
from relo_dsl.times import format_instant, to_millis

#: What reads from the standard input, as JSON lines.
STDIN = "-"
JSON_LINES = (".jsonl", ".ndjson", ".json")
TABLES = (".csv", ".tsv", ".parquet")
#: The longest CSV cell, in characters.
MAX_CELL = 16 * 1024 * 1024
_PARQUET_BATCH = 8_192
_READ_BYTES = 1 << 18
# Values of Arrow that are already what JSON would have.
_READY = (str, float, int, bool)

_PLAIN_COLUMNS = ("t", "ts", "cid", "did", "eid", "flags", "consent")
_GROUPS = ("props", "traits", "scores")
_REQUIRED = ("t", "ts", "did")

Raw = Mapping[str, Any]
#: Told, while a file is read, how many more of its bytes have been.
Progress = Callable[[int], object]


@dataclass(frozen=True, slots=True)
class Row:
    """One record as it stands in a file, or why it cannot be read. `line` starts at 1.

    In Parquet, which has no lines, it is the number of the row. `text` is what stood there, where
    that could not be read.
    """

    file: str
    line: int
    content: Raw | RecordError
    text: str | None = None

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}"


def read_rows(
    path: Path | str, catalog: Catalog | None = None, progress: Progress | None = None
) -> Iterator[Row]:
    """The raw records of a file, in its order; the ending of its name tells the format.

    A CSV cell is typed by the catalog where that names its property, else by its whole column.
    Raises UserError where the file cannot be read, or a table lacks or misnames a column.
    """
    name = str(path)
    match _format(name):
        case "json":
            yield from _json_lines(name, progress)
        case "parquet":
            for row in _parquet_rows(name, progress, _check_header, "Z"):
                content = row.content
                if not isinstance(content, RecordError):
                    content = _parquet_record(content)
                yield Row(row.file, row.line, content)
        case delimiter:
            yield from _csv_rows(name, delimiter, catalog, progress)


def read_table(
    path: Path | str,
    progress: Progress | None = None,
    check: Callable[[str, Sequence[str]], object] | None = None,
) -> Iterator[Row]:
    """The rows of any table as its columns have them: foreign data, for a mapping.

    Absent values and empty cells are left out; CSV cells are texts; JSON lines are flattened to
    dotted names; a time without a zone is ISO 8601 without an offset. `check` is called with the
    file's name and its columns, where it names them.
    Raises UserError where the file cannot be read.
    """
    name = str(path)
    match _format(name):
        case "json":
            for row in _json_lines(name, progress):
                flat = row.content if isinstance(row.content, RecordError) else _flat(row.content)
                yield Row(row.file, row.line, flat, row.text)
        case "parquet":
            yield from _parquet_rows(name, progress, check, "")
        case delimiter:
            yield from _csv_columns(name, delimiter, progress, check)


def _format(name: str) -> str:
    """`json`, `parquet`, or the delimiter of a CSV file. Raises UserError for any other file."""
    base = name.lower().removesuffix(".gz")
    if name == STDIN or base.endswith(JSON_LINES):
        return "json"
    if base.endswith((".csv", ".tsv")):
        return "\t" if base.endswith(".tsv") else ","
    if base.endswith(".parquet") and base == name.lower():
        return "parquet"
    known = ", ".join((*JSON_LINES, *TABLES))
    raise UserError(f"cannot tell the format of {name}", f"its name must end in {known}")


def _flat(raw: Raw, prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in raw.items():
        if isinstance(value, Mapping):
            flat.update(_flat(value, f"{prefix}{key}."))
        elif value is not None:
            flat[f"{prefix}{key}"] = value
    return flat


def read_records(
    paths: Iterable[Path | str], default_client: int | None, catalog: Catalog | None = None
) -> Iterator[tuple[str, Record]]:
    """(place, record) for every record of several files, one file after the other.

    Raises UserError with the place and the reason at the first one that cannot be used. Whether
    values have the catalog's types is left to `checked`.
    """
    for path in paths:
        for row in read_rows(path, catalog):
            try:
                if isinstance(row.content, RecordError):
                    raise row.content
                yield row.place, parse_record(row.content, default_client)
            except RecordError as error:
                raise refusal(row.place, error) from error


def checked(record: Record, place: str, catalog: Catalog) -> Record:
    """The record with its values as the catalog types them. Raises UserError where they differ."""
    try:
        return check_types(record, catalog)
    except RecordError as error:
        raise refusal(place, error) from error


def refusal(place: str, error: RecordError) -> UserError:
    """What a user is told of a record that cannot be used."""
    found = f", found `{error.value}`" if error.value not in ("", "None") else ""
    return UserError(f"{place}: {error}{found}")


# ---- JSON lines --------------------------------------------------------------------------------


def _json_lines(name: str, progress: Progress | None) -> Iterator[Row]:
    with _opened(name, progress) as stream:
        for number, line in enumerate(stream, 1):
            text = (line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line).strip()
            if not text:
                continue
            try:
                yield Row(name, number, decode_line(text))
            except RecordError as error:
                yield Row(name, number, error, text.decode(errors="replace"))


class _Counted(io.RawIOBase):
    """A file that tells how much of it is read."""

    def __init__(self, file: io.FileIO, progress: Progress) -> None:
        self._file = file
        self._progress = progress

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = self._file.readinto(buffer) or 0
        self._progress(count)
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


@contextmanager
def _opened(
    name: str, progress: Progress | None = None
) -> Iterator[BinaryIO | io.BufferedReader | gzip.GzipFile]:
    """The bytes of a file, unpacked where it ends in .gz; trouble on the way is a UserError.

    `progress` is told of bytes before they are unpacked.
    """
    if name == STDIN:
        yield sys.stdin.buffer
        return
    try:
        with Path(name).open("rb", buffering=0) as file:
            raw = file if progress is None else _Counted(file, progress)
            plain = io.BufferedReader(raw, _READ_BYTES)
            if name.lower().endswith(".gz"):
                with gzip.open(plain, "rb") as packed:
                    yield packed
            else:
                yield plain
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(f"cannot read {name}: its gzip data are damaged ({error})") from error
    except OSError as error:
        raise UserError(f"cannot read {name}: {error.strerror or error}") from error


# ---- CSV ---------------------------------------------------------------------------------------


def _csv_rows(
    name: str, delimiter: str, catalog: Catalog | None, progress: Progress | None
) -> Iterator[Row]:
    header: list[str] = []
    types: dict[str, PropertyType] = {}
    for line, cells in _cells(name, delimiter, progress):
        if not header:
            if isinstance(cells, RecordError):
                raise UserError(f"{name}:{line}: {cells}")
            _check_header(name, cells)
            header = cells
            types = _column_types(name, delimiter, header)
            continue
        content = _csv_record(header, cells, types, catalog)
        yield Row(name, line, content, _cells_text(content, cells, delimiter))
    if not header:
        raise UserError(f"{name} is empty: its first line must name the columns")


def _csv_columns(
    name: str,
    delimiter: str,
    progress: Progress | None,
    check: Callable[[str, Sequence[str]], object] | None,
) -> Iterator[Row]:
    header: list[str] = []
    for line, cells in _cells(name, delimiter, progress):
        if header:
            content = _as_columns(header, cells)
            yield Row(name, line, content, _cells_text(content, cells, delimiter))
        elif isinstance(cells, RecordError):
            raise UserError(f"{name}:{line}: {cells}")
        else:
            header = cells
            if check:
                check(name, header)
    if not header:
        raise UserError(f"{name} is empty: its first line must name the columns")


def _cells_text(
    content: Raw | RecordError, cells: list[str] | RecordError, delimiter: str
) -> str | None:
    if isinstance(cells, RecordError) or not isinstance(content, RecordError):
        return None
    return delimiter.join(cells)


def _as_columns(header: Sequence[str], cells: list[str] | RecordError) -> Raw | RecordError:
    """The cells that are not empty, by column."""
    if isinstance(cells, RecordError):
        return cells
    if len(cells) != len(header):
        return RecordError(f"expected {len(header)} cells, as in the first line")
    return {column: cell for column, cell in zip(header, cells, strict=True) if cell}


def _cells(
    name: str, delimiter: str, progress: Progress | None = None
) -> Iterator[tuple[int, list[str] | RecordError]]:
    """(first line, cells) of every row that is not empty; the first is the header."""
    csv.field_size_limit(MAX_CELL)
    with _opened(name, progress) as stream:
        # A byte that is not UTF-8 becomes half a surrogate pair, which the record refuses.
        text = io.TextIOWrapper(stream, "utf-8-sig", errors="surrogateescape", newline="")
        reader = csv.reader(text, delimiter=delimiter, strict=True)
        while True:
            line = reader.line_num + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield line, RecordError(f"not CSV: {error}")
                continue
            if cells:
                yield line, cells


def _csv_record(
    header: Sequence[str],
    cells: list[str] | RecordError,
    types: Mapping[str, PropertyType],
    catalog: Catalog | None,
) -> Raw | RecordError:
    columns = _as_columns(header, cells)
    if isinstance(columns, RecordError):
        return columns
    kind = columns.get("t", "")
    typed: dict[str, Any] = {}
    for column, cell in columns.items():
        wanted = _catalog_type(catalog, kind, column) or types.get(column, PropertyType.STRING)
        typed[column] = typed_cell(cell, wanted)
    return shape(typed)


def typed_cell(cell: str, wanted: PropertyType) -> Any:
    """The value that the text of a cell stands for, or the text itself where it is no such value.

    Arrays stand in cells as JSON.
    """
    if wanted is PropertyType.NUMBER or (wanted is PropertyType.TIME and cell.isdecimal()):
        return _number(cell) if _NUMBER.fullmatch(cell) else cell
    if wanted is PropertyType.BOOLEAN:
        return _BOOLEANS.get(cell, cell)
    if wanted.value.endswith("[]") or (wanted is PropertyType.POINT and cell[:1] == "["):
        try:
            return json.loads(cell, parse_float=read_number)
        except (ValueError, RecursionError):
            return cell
    return cell


_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?")
_BOOLEANS = {"true": True, "false": False}


def _number(cell: str) -> int | Decimal:
    return Decimal(cell) if len(cell) > 30 or not cell.lstrip("-").isdecimal() else int(cell)


def _column_types(name: str, delimiter: str, header: Sequence[str]) -> dict[str, PropertyType]:
    """What each column holds, from all of its cells: numbers, `true` and `false`, else texts.

    Numbers with leading zeros are texts: they are postcodes and article numbers.
    """
    wanted = dict.fromkeys(_PLAIN_COLUMNS, PropertyType.STRING)
    wanted.update(dict.fromkeys(("ts", "cid", "flags", "consent"), PropertyType.NUMBER))
    open_columns = [i for i, column in enumerate(header) if "." in column]
    if not open_columns:
        return wanted
    numbers, booleans, filled = set(open_columns), set(open_columns), set[int]()
    for line, cells in _cells(name, delimiter):
        if line == 1 or isinstance(cells, RecordError) or len(cells) != len(header):
            continue
        for index in open_columns:
            cell = cells[index]
            if not cell:
                continue
            filled.add(index)
            if index in numbers and not _NUMBER.fullmatch(cell):
                numbers.discard(index)
            if index in booleans and cell not in _BOOLEANS:
                booleans.discard(index)
    wanted.update((header[index], PropertyType.NUMBER) for index in numbers & filled)
    wanted.update((header[index], PropertyType.BOOLEAN) for index in booleans & filled)
    return wanted


def _catalog_type(catalog: Catalog | None, kind: str, column: str) -> PropertyType | None:
    group, _, name = column.partition(".")
    if catalog is None or not name:
        return None
    if group == "traits":
        spec = catalog.traits.get(name)
    elif kind in catalog.events:
        spec = catalog.events[kind].properties.get(name)
    else:
        spec = None
    return None if spec is None else spec.type


# ---- Parquet -----------------------------------------------------------------------------------


def _parquet_rows(
    name: str,
    progress: Progress | None,
    check: Callable[[str, Sequence[str]], object] | None,
    offset: str,
) -> Iterator[Row]:
    """The rows as JSON would have them, absent values left out.

    `offset` is written behind times that have no zone.
    """
    import pyarrow as pa  # only here: it takes longer to import than most files to read
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(name) as file:
            if check:
                check(name, file.schema_arrow.names)
            line, a_row = 0, Path(name).stat().st_size / max(1, file.metadata.num_rows)
            for batch in file.iter_batches(batch_size=_PARQUET_BATCH):
                for columns in batch.to_pylist():
                    line += 1
                    yield Row(name, line, _parquet_columns(columns, offset))
                if progress:
                    progress(int(line * a_row) - int((line - batch.num_rows) * a_row))
    except OSError as error:
        raise UserError(f"cannot read {name}: {error.strerror or error}") from error
    except pa.ArrowException as error:
        raise UserError(f"cannot read {name} as Parquet: {error}") from error


def _parquet_columns(columns: Mapping[str, Any], offset: str) -> Raw | RecordError:
    try:
        return {
            k: v if type(v) in _READY else _plain_value(v, offset)
            for k, v in columns.items()
            if v is not None
        }
    except RecordError as error:
        return error


def _parquet_record(columns: Raw) -> Raw | RecordError:
    present = dict(columns)
    for column in ("ts", "cid", "flags", "consent"):
        value = present.get(column)
        if isinstance(value, float) and value.is_integer():  # what pandas makes of gaps
            present[column] = int(value)
    return shape(present)


def _plain_value(value: Any, offset: str) -> Any:
    """A value of Arrow as JSON would have it; nulls inside structures are absent values."""
    if isinstance(value, datetime):
        if value.tzinfo is None:
            return format_instant(to_millis(value.replace(tzinfo=UTC)))[:-1] + offset
        return format_instant(to_millis(value))
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, dict):
        return {k: _plain_value(v, offset) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [_plain_value(item, offset) for item in value if item is not None]
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError as error:
            raise RecordError("bytes that are not UTF-8 text") from error
    return value


# ---- from columns to records -------------------------------------------------------------------


def shape(columns: Mapping[str, Any]) -> Raw | RecordError:
    """The raw record of one row of a table; absent values are not in `columns`."""
    raw: dict[str, Any] = {}
    groups: dict[str, dict[str, Any]] = {}
    for column, value in columns.items():
        group, _, name = column.partition(".")
        if column in _GROUPS:
            values = _json_object(value)
            if values is None:
                return RecordError("expected a JSON object", column, value)
        elif name:
            values = {name: value}
        else:
            raw[column] = value
            continue
        held = groups.setdefault(group, {})
        for key in values:
            if key in held:
                return RecordError("the property stands twice", f"{group}.{key}", values[key])
        held.update(values)
    return {**raw, **groups}


def _json_object(value: Any) -> Mapping[str, Any] | None:
    """The object that a cell holds or writes as JSON text; None where it does neither."""
    if isinstance(value, str):
        try:
            return decode_line(value)
        except RecordError:
            return None
    return value if isinstance(value, Mapping) else None


def _check_header(name: str, header: Sequence[str]) -> None:
    """Raises a UserError about all that is wrong with the names of the columns."""
    problems = [f"no column `{column}`" for column in _REQUIRED if column not in header]
    for column in dict.fromkeys(header):
        if header.count(column) > 1:
            problems.append(f"two columns `{column}`")
        group, _, rest = column.partition(".")
        if column not in (*_PLAIN_COLUMNS, *_GROUPS) and not (group in _GROUPS and rest):
            close = nearest(column, (*_PLAIN_COLUMNS, *_GROUPS))
            meant = f"`{close[0]}`" if close else f"`props.{column}`"
            problems.append(f"unknown column `{column}`; did you mean {meant}?")
    if problems:
        raise UserError(
            f"{name} cannot be read as events: " + "; ".join(problems),
            "columns are t, ts, cid, did, eid, flags, consent, props.NAME, traits.NAME, "
            "scores.NAME",
        )
