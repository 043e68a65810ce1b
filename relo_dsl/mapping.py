"""Mappings: how the rows of a foreign table become records, written in YAML.

    group_by: [InvoiceNo]               # one record from all rows of an invoice
    records:                            # the first one whose `when` holds makes the record
      - when: {InvoiceNo: {starts_with: C}}
        t: {value: refund}
        ts: {column: InvoiceDate, zone: Europe/London}
        did: CustomerID
        eid: InvoiceNo
        props:
          revenue: {sum: Quantity * UnitPrice, negate: true}
          products: {rows: {id: StockCode, price: {column: UnitPrice, type: number}}}

A field is the name of a column, or says more: `column`, `value` (a constant), `sum` (over the rows
of a group), `rows` (an array with one object for each row of the group).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from relo_dsl.catalog import Catalog, PropertyType, load_yaml
from relo_dsl.diagnostics import nearest
from relo_dsl.errors import UserError
from relo_dsl.inputs import Progress, Raw, Row, read_table, typed_cell
from relo_dsl.numbers import EXACT, NumberError, exact
from relo_dsl.records import RecordError
from relo_dsl.times import TimeError, parse_instant, to_millis

#: Milliseconds of the units that a time given as a number may count.
TIME_UNITS = {"s": Decimal(1000), "ms": Decimal(1), "us": Decimal("0.001"), "ns": Decimal("1E-6")}


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _from_column_name(value: Any) -> Any:
    return {"column": value} if isinstance(value, str) else value


class FieldSpec(_Model):
    """Where one value of a record comes from, and what it is made into."""

    column: str | None = None
    value: str | int | Decimal | bool | None = None
    sum: str | None = None
    """A column, or columns joined by ` * `: summed over the rows of the group."""
    rows: dict[str, FieldEntry] | None = None
    type: Literal["string", "number", "boolean", "time"] | None = None
    format: str | None = None
    """How a time is written, as Python's strptime reads it; ISO 8601 where it is not given."""
    unit: Literal["s", "ms", "us", "ns"] = "ms"
    """What a time that is a number counts."""
    zone: str = "UTC"
    """Where the clock stands that wrote a time without an offset."""
    negate: bool = False
    names: dict[str, str] = Field(default_factory=dict)
    """Other names for values: `{addtocart: add_to_cart}`; a value without one stays."""

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ValueError, OSError, KeyError):
            close = nearest(value, available_timezones(), limit=1)
            raise ValueError(
                f"no time zone is called `{value}`"
                + (f"; did you mean `{close[0]}`?" if close else "")
            ) from None
        return value

    @model_validator(mode="after")
    def _one_source(self) -> FieldSpec:
        given = [n for n in ("column", "value", "sum", "rows") if getattr(self, n) is not None]
        if len(given) != 1:
            raise ValueError("expected one of `column`, `value`, `sum` and `rows`")
        return self

    @cached_property
    def factors(self) -> tuple[str, ...]:
        """The columns that `sum` multiplies."""
        return tuple(part.strip() for part in (self.sum or "").split("*"))

    def columns(self) -> Iterator[str]:
        """Every column that it reads."""
        if self.column is not None:
            yield self.column
        if self.sum is not None:
            yield from self.factors
        for field in (self.rows or {}).values():
            yield from field.columns()


FieldEntry = Annotated[FieldSpec, BeforeValidator(_from_column_name)]
FieldSpec.model_rebuild()


def _from_plain_value(value: Any) -> Any:
    if isinstance(value, list):
        return {"in": value}
    return value if isinstance(value, dict) else {"equals": value}


def _as_text(value: Any) -> Any:
    return _text_of(value) if isinstance(value, bool | int | float) else value


Text = Annotated[str, BeforeValidator(_as_text)]


class ColumnTest(_Model):
    """What a column of a row must be like; everything given must hold. Values compare as texts."""

    equals: Text | None = None
    one_of: tuple[Text, ...] | None = Field(None, alias="in")
    starts_with: Text | None = None
    below: Decimal | None = None
    above: Decimal | None = None
    missing: bool | None = None

    def holds(self, value: Any) -> bool:
        """Whether a value (None where it is absent) passes."""
        if self.missing is not None and self.missing is not (value is None):
            return False
        given = [t for t in (self.equals, self.one_of, self.starts_with) if t is not None]
        if not given and self.below is None and self.above is None:
            return True
        if value is None:
            return False
        text = _text_of(value)
        number = (
            _number_or_none(value) if self.below is not None or self.above is not None else None
        )
        return (
            (self.equals is None or text == self.equals)
            and (self.one_of is None or text in self.one_of)
            and (self.starts_with is None or text.startswith(self.starts_with))
            and (self.below is None or (number is not None and number < self.below))
            and (self.above is None or (number is not None and number > self.above))
        )


class RecordSpec(_Model):
    """One kind of record that rows can become."""

    when: dict[str, Annotated[ColumnTest, BeforeValidator(_from_plain_value)]] = Field(
        default_factory=dict
    )
    t: FieldEntry
    ts: FieldEntry
    did: FieldEntry
    eid: FieldEntry | None = None
    cid: FieldEntry | None = None
    flags: FieldEntry | None = None
    consent: FieldEntry | None = None
    props: dict[str, FieldEntry] = Field(default_factory=dict)
    traits: dict[str, FieldEntry] = Field(default_factory=dict)
    scores: dict[str, FieldEntry] = Field(default_factory=dict)

    @property
    def plain(self) -> dict[str, FieldSpec]:
        """The fields outside props, traits and scores that are given."""
        named = {n: getattr(self, n) for n in ("t", "ts", "did", "eid", "cid", "flags", "consent")}
        return {name: field for name, field in named.items() if field is not None}

    def fields(self) -> Iterator[FieldSpec]:
        """All of its fields."""
        yield from self.plain.values()
        for group in (self.props, self.traits, self.scores):
            yield from group.values()


class TableMapping(_Model):
    """A whole mapping file."""

    group_by: tuple[str, ...] = ()
    drop_repeated_rows: bool = False
    """Rows of a group that are the same in every column count once."""
    records: tuple[RecordSpec, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _groups(self) -> TableMapping:
        grouped = any(
            field.sum is not None or field.rows is not None
            for record in self.records
            for field in record.fields()
        )
        if grouped and not self.group_by:
            raise ValueError("`sum` and `rows` need `group_by`")
        return self

    def columns(self) -> set[str]:
        """Every column that it reads."""
        used = set(self.group_by)
        for record in self.records:
            used.update(record.when)
            for field in record.fields():
                used.update(field.columns())
        return used


def load_mapping(path: Path) -> TableMapping:
    """Reads and checks a mapping file. Raises UserError that names each wrong place."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot read the mapping {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"the mapping {path} is not UTF-8") from error
    return parse_mapping(text, str(path))


def parse_mapping(text: str, name: str = "<mapping>") -> TableMapping:
    """Reads a mapping from YAML text; `name` is what errors call it."""
    try:
        return TableMapping.model_validate(load_yaml(text) or {})
    except yaml.YAMLError as error:
        raise UserError(f"the mapping {name} is not YAML: {error}") from error
    except ValidationError as error:
        problems = [_problem(item) for item in error.errors()]
        raise UserError(f"the mapping {name} cannot be used:\n  " + "\n  ".join(problems)) from None


def _problem(item: Any) -> str:
    where = ".".join(str(part) for part in item["loc"]) or "the file"
    if item["type"] == "extra_forbidden":
        close = nearest(str(item["loc"][-1]), _KEYS)
        return f"{where}: unknown key" + (f"; did you mean `{close[0]}`?" if close else "")
    message = str(item["msg"]).removeprefix("Value error, ")
    return f"{where}: {message[:1].lower()}{message[1:]}"


_KEYS = sorted(
    {
        field.alias or name
        for model in (TableMapping, RecordSpec, FieldSpec, ColumnTest)
        for name, field in model.model_fields.items()
    }
)


# ---- from rows to records ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Mapped:
    """A raw record, or why there is none, and the rows that it was made of.

    `line` is that of the first of them; `sources` are all of them, as they stood in the file.
    """

    file: str
    line: int
    content: Raw | RecordError
    sources: tuple[Any, ...]
    repeated: int = 0

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}"


def read_mapped(
    path: Path | str,
    mapping: TableMapping,
    catalog: Catalog | None = None,
    progress: Progress | None = None,
) -> Iterator[Mapped]:
    """The records that a file's rows become.

    A value without a `type` gets the catalog's, where that names its property. With `group_by` all
    rows are kept in memory until the file is read. Raises UserError where the file cannot be read
    or lacks a column.
    """
    rows = read_table(path, progress, lambda name, header: _check_columns(name, header, mapping))
    maker = _Maker(mapping, catalog)
    if not mapping.group_by:
        for row in rows:
            yield maker.record([row])
        return
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        if isinstance(row.content, RecordError):
            yield Mapped(row.file, row.line, row.content, (row.text,))
            continue
        key = tuple(_text_of(row.content.get(column, "")) for column in mapping.group_by)
        groups.setdefault(key, []).append(row)
    for group in groups.values():
        yield maker.record(group)


def _check_columns(name: str, header: Sequence[str], mapping: TableMapping) -> None:
    missing = sorted(mapping.columns() - set(header))
    if missing:
        parts = []
        for column in missing:
            close = nearest(column, header, limit=1)
            parts.append(f"no column `{column}`" + (f"; is it `{close[0]}`?" if close else ""))
        known = ", ".join(f"`{column}`" for column in header[:20])
        raise UserError(
            f"{name} does not have what the mapping needs: " + ", ".join(parts),
            f"its columns are {known}",
        )


class _Maker:
    """Makes records out of rows."""

    def __init__(self, mapping: TableMapping, catalog: Catalog | None) -> None:
        self._mapping = mapping
        self._catalog = catalog or Catalog()

    def record(self, rows: list[Row]) -> Mapped:
        first = rows[0]
        contents = [row.content for row in rows if not isinstance(row.content, RecordError)]
        if isinstance(first.content, RecordError):
            return Mapped(first.file, first.line, first.content, (first.text,))
        kept = _distinct(contents) if self._mapping.drop_repeated_rows else contents
        made = self._made(kept)
        repeated = len(contents) - len(kept)
        return Mapped(first.file, first.line, made, tuple(contents), repeated)

    def _made(self, rows: Sequence[Raw]) -> Raw | RecordError:
        for spec in self._mapping.records:
            if all(test.holds(rows[0].get(column)) for column, test in spec.when.items()):
                try:
                    return self._raw(spec, rows)
                except RecordError as error:
                    return error
        return RecordError("no `when` of the mapping holds")

    def _raw(self, spec: RecordSpec, rows: Sequence[Raw]) -> Raw:
        raw: dict[str, Any] = {}
        for name, field in spec.plain.items():
            found = _plain(name, field, rows)
            if found is None:
                raise RecordError(f"{_source(field)} is empty", name)
            raw[name] = found
        kind = raw["t"]
        for group in ("props", "traits", "scores"):
            wanted: Mapping[str, FieldSpec] = getattr(spec, group)
            values = {
                name: self._value(field, rows, kind, group, name) for name, field in wanted.items()
            }
            values = {name: value for name, value in values.items() if value is not None}
            if values:
                raw[group] = values
        return raw

    def _value(
        self, field: FieldSpec, rows: Sequence[Raw], kind: str, group: str, name: str
    ) -> Any:
        where = f"{group}.{name}"
        spec = None
        if group == "traits":
            spec = self._catalog.traits.get(name)
        elif kind in self._catalog.events:
            spec = self._catalog.events[kind].properties.get(name)
        if field.rows is not None:
            types = {n: s.type for n, s in spec.fields.items()} if spec else {}
            return [_element(field.rows, row, types, where) for row in rows]
        wanted = PropertyType.NUMBER if group == "scores" else spec.type if spec else None
        return _typed(field, rows, wanted, where)


def _distinct(rows: list[Raw]) -> list[Raw]:
    seen: dict[tuple[tuple[str, str], ...], Raw] = {}
    for row in rows:
        seen.setdefault(tuple(sorted((name, repr(value)) for name, value in row.items())), row)
    return list(seen.values())


def _element(
    fields: Mapping[str, FieldSpec], row: Raw, types: Mapping[str, PropertyType], where: str
) -> dict[str, Any]:
    values = {
        name: _typed(field, [row], types.get(name), f"{where}.{name}")
        for name, field in fields.items()
    }
    return {name: value for name, value in values.items() if value is not None}


def _plain(name: str, field: FieldSpec, rows: Sequence[Raw]) -> Any:
    """A value of the record itself: `ts` is a time, `cid`, `flags`, `consent` whole numbers."""
    if name == "ts":
        return _typed(field, rows, PropertyType.TIME, name)
    if name in ("t", "did", "eid"):
        value = _typed(field, rows, None, name)
        return value if value is None else _text_of(value)
    number = _typed(field, rows, PropertyType.NUMBER, name)
    return int(number) if isinstance(number, Decimal) and number == int(number) else number


def _typed(field: FieldSpec, rows: Iterable[Raw], wanted: PropertyType | None, where: str) -> Any:
    """The value of a field over some rows, None where it is absent. Raises RecordError."""
    if field.sum is not None:
        return _negated(field, _sum(field.factors, rows, where))
    value = field.value
    if field.column is not None:
        value = next((v for r in rows if (v := _present(r.get(field.column))) is not None), None)
    if value is None:
        return None
    if field.names:
        value = field.names.get(_text_of(value), value)
    kind = PropertyType(field.type) if field.type else wanted
    match kind:
        case None:
            return _negated(field, value) if field.negate else value
        case PropertyType.TIME:
            return _instant(field, value, where)
        case PropertyType.NUMBER:
            return _negated(field, _number(value, where))
        case PropertyType.STRING:
            return _text_of(value)
        case _:
            return typed_cell(value, kind) if isinstance(value, str) else value


def _sum(factors: Sequence[str], rows: Iterable[Raw], where: str) -> Decimal | None:
    """The exact sum of products; rows that lack a factor do not count; None where all do."""
    total: Decimal | None = None
    for row in rows:
        product = Decimal(1)
        for column in factors:
            value = _present(row.get(column))
            if value is None:
                break
            product = EXACT.multiply(product, _number(value, where))
        else:
            total = EXACT.add(total or Decimal(0), product)
    return total


def _negated(field: FieldSpec, value: Any) -> Any:
    return -value if field.negate and isinstance(value, int | float | Decimal) else value


def _number(value: Any, where: str) -> Decimal:
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return Decimal(int(value))  # most of them, and much faster
    try:
        return exact(value.strip() if isinstance(value, str) else value)
    except (NumberError, TypeError) as error:
        raise RecordError("expected a number", where, value) from error


def _number_or_none(value: Any) -> Decimal | None:
    try:
        return Decimal(_text_of(value))
    except InvalidOperation:
        return None


def _instant(field: FieldSpec, value: Any, where: str) -> int:
    """Epoch milliseconds; smaller units are cut."""
    try:
        if isinstance(value, str) and field.format is not None:
            moment = datetime.strptime(value, field.format)
            zone = moment.tzinfo or ZoneInfo(field.zone)
            return to_millis(moment.replace(tzinfo=zone))
        if isinstance(value, str) and not _is_number(value):
            return parse_instant(value, field.zone)
        # Nanoseconds have more digits than a number of an event may have.
        number = _number_or_none(value)
        if number is None or not number.is_finite() or number.adjusted() > 30:
            raise ValueError(value)
        return math.floor(EXACT.multiply(number, TIME_UNITS[field.unit]))
    except (TimeError, ValueError) as error:
        form = f" written as {field.format}" if field.format else ""
        raise RecordError(f"expected a time{form}", where, value) from error


def _is_number(text: str) -> bool:
    return text.lstrip("-").replace(".", "", 1).isdecimal()


def _present(value: Any) -> Any:
    """None for what a table calls absent: nothing, or not a number."""
    return None if isinstance(value, float) and math.isnan(value) else value


def _text_of(value: Any) -> str:
    """A value as the text of an id: without the point that gaps in a column make of 17850."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float | Decimal) and math.isfinite(value) and value == int(value):
        return str(int(value))
    return str(value)


def _source(field: FieldSpec) -> str:
    return f"the column `{field.column}`" if field.column else "the value"
