"""What a test gives: its written records as the records that come in (section 9 of the language).

They pass through the checks of real ones, against the catalog; what is wrong is reported where it
stands.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from relo_dsl.catalog import Catalog, PropertySpec, PropertyType
from relo_dsl.diagnostics import Diagnostics, did_you_mean
from relo_dsl.geo import part_names
from relo_dsl.records import Record, RecordError, check_types, parse_record
from relo_dsl.source import Span
from relo_dsl.syntax import nodes

#: What a record is called that is no event, and the key of its values.
_KINDS = {"identify": "traits", "consent": "consent", "score": "scores"}
#: How the catalog calls what an event, an identify and a score hold.
_WORDS = {"props": "property", "traits": "trait", "scores": "score"}
_CODES = {"props": "unknown-property", "traits": "unknown-trait", "scores": "unknown-score"}


@dataclass(frozen=True)
class RecordReader:
    """Reads the records of one definition's tests.

    With `allow_unknown` a name that the catalog does not have is as good as any other.
    """

    catalog: Catalog
    client: int
    found: Diagnostics
    allow_unknown: bool = False

    def read(self, written: nodes.TestRecord, device: str, at: int, id: str) -> Record | None:
        """The record of a device at `at` (epoch milliseconds) under an id; None, reported, where
        it could not come in.
        """
        before = len(self.found.items)
        raw: dict[str, Any] = {
            "t": written.name.text,
            "ts": at,
            "cid": self.client,
            "did": device,
            "eid": id,
        }
        key = _KINDS.get(written.name.text, "props")
        raw[key] = self._flags(written) if key == "consent" else self._object(written.fields)
        if len(self.found.items) > before:
            return None
        try:
            record = parse_record(raw)
            if self._is_known(written, record, key):
                return check_types(record, self.catalog)
        except RecordError as error:
            self._report(error, written)
        return None

    # ---- values --------------------------------------------------------------------------------

    def _flags(self, written: nodes.TestRecord) -> object:
        match written.fields:
            case ((None, nodes.Number(value)),) if value in range(256):
                return int(value)
        self.found.report(
            "type-mismatch",
            written.span,
            "expected consent flags, a whole number from 0 to 255",
            help="such as `consent(251)`: the sum of the bits that are granted",
        )
        return None

    def _object(self, fields: tuple[tuple[nodes.Name | None, Any], ...]) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for name, value in fields:
            if name is None:
                self.found.report(
                    "expected-property",
                    value.span,
                    "expected a name before the value",
                    help="such as `purchase(revenue: 20)`; only `consent` takes a bare number",
                )
            elif name.text in made:
                self.found.report(
                    "duplicate-definition", name.span, f"the name `{name.text}` stands twice"
                )
            else:
                made[name.text] = self._value(value)
        return made

    def _value(self, value: nodes.TestValue) -> Any:
        match value:
            case nodes.Number(number, percent):
                if percent:
                    self.found.report("expected-value", value.span, "a `%` cannot stand here")
                return number
            case nodes.String(text):
                return text
            case nodes.Boolean(truth):
                return truth
            case nodes.TestObject(fields):
                return self._object(fields)
            case tuple():
                return [self._value(item) for item in value]
        return None

    # ---- names ---------------------------------------------------------------------------------

    def _is_known(self, written: nodes.TestRecord, record: Record, key: str) -> bool:
        """Whether the catalog has the event and all that the record holds."""
        if self.allow_unknown or record.kind == "consent":
            return True
        if record.kind == "event" and record.type not in self.catalog.events:
            help_text, best = did_you_mean(record.type, self.catalog.events, "event")
            self.found.report(
                "unknown-event",
                written.name.span,
                f"there is no event `{record.type}`",
                help=help_text,
                replacement=best,
            )
            return False
        known = self._known(record)
        if known is None:
            return True
        unknown = list(_unknown_names(record, known))
        for name in unknown:
            array = _array_around(name, known) if name in record.values else None
            if array is None:
                self._report_unknown(name, known, key, written)
            else:
                self._report_object(name, array, written)
        return not unknown

    def _report_unknown(
        self,
        name: str,
        known: Mapping[str, PropertySpec | None],
        key: str,
        written: nodes.TestRecord,
    ) -> None:
        owner = f"event `{written.name.text}`" if key == "props" else "the catalog"
        help_text, best = did_you_mean(name, _all_names(known), _WORDS[key])
        self.found.report(
            _CODES[key],
            _place(_places(written), name, written)[0],
            f"{owner} has no {'' if key == 'props' else _WORDS[key] + ' '}`{name}`",
            help=help_text,
            replacement=best,
        )

    def _report_object(self, name: str, array: str, written: nodes.TestRecord) -> None:
        places = _places(written)
        span = places[array][1] if array in places else _place(places, name, written)[0]
        self.found.report(
            "type-mismatch",
            span,
            f"`{array}`: expected object[], found one object",
            help="an array of objects stands in `[{…}]`",
        )

    def _known(self, record: Record) -> Mapping[str, PropertySpec | None] | None:
        """The names that a record may hold, with their types; None: any."""
        if record.kind == "event":
            return self.catalog.events[record.type].properties
        if record.kind == "identify":
            return self.catalog.traits
        scores = getattr(self.catalog, "scores", None)
        return dict.fromkeys(scores) if scores else None  # a catalog need not name any

    def _report(self, error: RecordError, written: nodes.TestRecord) -> None:
        if error.field == "ts":
            self.found.report("date", written.when.span, error.reason)
            return
        name = (error.field or "").partition(".")[2]
        span = _place(_places(written), name, written)[1]
        shown = f"`{name}`: {error.reason}" if name else error.reason
        self.found.report("type-mismatch", span, shown)


def _unknown_names(record: Record, known: Mapping[str, PropertySpec | None]) -> Iterator[str]:
    """The dotted names in a record that are not known, fields of arrays of objects too."""
    for name, value in record.values.items():
        spec = known.get(name)
        if name not in known and not _is_part_of_point(name, known):
            yield name
        elif spec is not None and spec.type is PropertyType.OBJECTS and isinstance(value, tuple):
            fields = (field for item in value if isinstance(item, Mapping) for field in item)
            yield from (f"{name}.{f}" for f in dict.fromkeys(fields) if f not in spec.fields)


def _is_part_of_point(name: str, known: Mapping[str, PropertySpec | None]) -> bool:
    parent = name.rpartition(".")[0]
    spec = known.get(parent)
    return spec is not None and spec.type is PropertyType.POINT and name in part_names(parent)


def _array_around(name: str, known: Mapping[str, PropertySpec | None]) -> str | None:
    """The array of objects whose field a name would be, were it not written as a plain object."""
    parent = name.rpartition(".")[0]
    while parent:
        spec = known.get(parent)
        if spec is not None and spec.type is PropertyType.OBJECTS:
            return parent
        parent = parent.rpartition(".")[0]
    return None


def _all_names(known: Mapping[str, PropertySpec | None]) -> list[str]:
    fields = (
        f"{name}.{field}"
        for name, spec in known.items()
        if spec is not None
        for field in spec.fields
    )
    return [*known, *fields]


def _places(written: nodes.TestRecord) -> dict[str, tuple[Span, Span]]:
    """Where each dotted name stands first, and its value."""
    places: dict[str, tuple[Span, Span]] = {}

    def visit(name: nodes.Name, value: Any, prefix: str) -> None:
        path = prefix + name.text
        span = getattr(value, "span", name.span)
        places.setdefault(path, (name.span, span))
        for item in value if isinstance(value, tuple) else (value,):
            if isinstance(item, nodes.TestObject):
                for inner, part in item.fields:
                    visit(inner, part, f"{path}.")

    for name, value in written.fields:
        if name is not None:
            visit(name, value, "")
    return places


def _place(
    places: Mapping[str, tuple[Span, Span]], name: str, written: nodes.TestRecord
) -> tuple[Span, Span]:
    """The place of a name, else of what holds it, else of the record."""
    while name:
        if name in places:
            return places[name]
        name = name.rpartition(".")[0]
    return written.span, written.span


def shown_value(value: object) -> str:
    """A value of a record as a test would write it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k}: {shown_value(v)}" for k, v in value.items()) + "}"
    if isinstance(value, tuple):
        return "[" + ", ".join(map(shown_value, value)) + "]"
    text = str(value).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{text}"'


def shown_record(record: Record) -> str:
    """A record as a test would write it, without its time."""
    if record.kind == "consent":
        return f"consent({record.consent})"
    values = ", ".join(f"{name}: {shown_value(value)}" for name, value in record.values.items())
    return f"{record.type}({values})"
