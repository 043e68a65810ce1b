"""The records that come in (section 9 of the language): read, checked, flattened. No I/O.

What an engineer should know of the checks:
- `ts` is epoch milliseconds, or RFC 3339; a text without an offset is UTC, a date its midnight.
  Digits finer than a millisecond are cut. Texts of digits are not times: a CSV reader converts.
- `did` and `eid` are texts; a whole number is taken as its decimal text, so 7 and "7" are one.
- Nested objects become dotted names; null is absence, but in an `identify` sets a trait missing.
- A time may be a date alone, which stays one: whose midnight it means, a definition decides.
- A point is `[lat, lon]`, `"lat,lon"` or an object of `lat` and `lon`; see relo_dsl.geo.
- Arrays hold scalars, or objects whose fields are scalars; nulls in arrays are left out.
- Nothing is coerced: where the catalog wants another type the record is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, cast

from relo_dsl.catalog import Catalog, PropertySpec, PropertyType
from relo_dsl.diagnostics import nearest
from relo_dsl.geo import SPELLINGS, coordinates, part_names
from relo_dsl.numbers import NumberError, exact, plain, read_number
from relo_dsl.times import TimeError, parse_instant, parse_moment

Scalar = str | Decimal | bool
Value = Scalar | tuple[Scalar, ...] | tuple[Mapping[str, Scalar], ...]

#: Instants that the engine can store and a retention can be added to: the years 1900 to 2199.
MIN_TIME = -2_208_988_800_000
MAX_TIME = 7_258_118_400_000
MAX_DEPTH = 32

_COMMON = frozenset({"t", "ts", "cid", "did", "eid"})
#: What each kind carries beside the common keys: the key of its values, and `flags`.
_KEYS = {
    "event": _COMMON | {"props", "flags"},
    "identify": _COMMON | {"traits", "flags"},
    "consent": _COMMON | {"consent"},
    "score": _COMMON | {"scores", "flags"},
}
_ALL_KEYS = frozenset().union(*_KEYS.values())
#: The values of `t` that are no event's name, but for `event`, which may be one.
KINDS = frozenset(_KEYS)


class RecordError(ValueError):
    """A record that is refused: why, at which field, and the value (shortened) that stood there.

    `reason` is the same text for the same mistake, so that refusals can be counted by it.
    """

    def __init__(self, reason: str, field: str | None = None, value: object = None) -> None:
        super().__init__(f"{field}: {reason}" if field else reason)
        self.reason = reason
        self.field = field
        self.value = _shorten(value)


@dataclass(frozen=True, slots=True)
class Record:
    """One accepted record. `time` is epoch milliseconds UTC.

    `values` holds an event's properties, an identify's traits (None: set to missing) or a score's
    scores; `flags` is None unless the record carried its own; `consent` is a consent record's. One
    that changes consent in part says no flags, but the bits that are `cleared` and `granted`.
    """

    kind: str
    type: str
    time: int
    client: int
    device: str
    id: str
    flags: int | None
    values: Mapping[str, Value | None]
    consent: int | None = None
    cleared: int = 0
    granted: int = 0


def decode_line(text: str | bytes) -> dict[str, Any]:
    """One JSON line as a raw record, its numbers exact. Raises RecordError."""
    try:
        raw = _DECODER.decode(text if isinstance(text, str) else text.decode("utf-8-sig"))
    except RecursionError as error:
        raise RecordError(f"nested deeper than {MAX_DEPTH}") from error
    except ValueError as error:
        raise RecordError("not JSON", value=text) from error
    if not isinstance(raw, dict):
        raise RecordError("a record is a JSON object", value=raw)
    return raw


def _no_constant(name: str) -> None:
    raise ValueError(name)


# Made once: json.loads would make a new decoder for every line.
_DECODER = json.JSONDecoder(parse_float=read_number, parse_constant=_no_constant)


def parse_record(raw: Mapping[str, Any], default_client: int | None = None) -> Record:
    """A checked record from a decoded one; `default_client` stands in for an absent `cid`.

    Raises RecordError, whose reason names what was expected.
    """
    type_ = raw.get("t")
    if not isinstance(type_, str) or not type_:
        raise RecordError("expected the name of the event", "t", type_)
    kind = type_ if type_ in _KEYS else "event"
    if not raw.keys() <= _KEYS[kind]:
        _refuse_key(raw, kind)
    values: Mapping[str, Value | None] = {}
    if kind == "event":
        values = _flatten(raw.get("props"), "props", keep_null=False)
    elif kind == "identify":
        values = _flatten(raw.get("traits"), "traits", keep_null=True)
    elif kind == "score":
        values = _scores(raw.get("scores"))
    return Record(
        kind=kind,
        type=_text(type_, "t"),
        time=_when(raw.get("ts")),
        client=_client(raw.get("cid"), default_client),
        device=_identifier(raw.get("did"), "did"),
        id=default_id(raw) if raw.get("eid") is None else _identifier(raw["eid"], "eid"),
        flags=None if raw.get("flags") is None else _flags(raw["flags"], "flags"),
        values=values,
        consent=_flags(raw.get("consent"), "consent") if kind == "consent" else None,
    )


def _refuse_key(raw: Mapping[str, Any], kind: str) -> None:
    key = next(key for key in raw if key not in _KEYS[kind])
    if key in _ALL_KEYS:
        article = "an" if kind in ("event", "identify") else "a"
        raise RecordError(f"{article} {kind} record takes no `{key}`", key, raw[key])
    close = nearest(str(key), _KEYS[kind])
    hint = f"; did you mean `{close[0]}`?" if close else ""
    raise RecordError(f"unknown key `{_shorten(key)}`{hint}", str(key), raw[key])


def parse_time(value: object, field: str = "ts") -> int:
    """Epoch milliseconds of a number or an RFC 3339 text. Raises RecordError."""
    if isinstance(value, str):
        try:
            millis = parse_instant(value)
        except TimeError as error:
            raise RecordError("expected epoch milliseconds or RFC 3339", field, value) from error
    elif isinstance(value, int | Decimal | float) and not isinstance(value, bool):
        # Out of range before the floor: int() of a huge exponent would take all memory.
        if not (MIN_TIME <= value < MAX_TIME):
            raise RecordError("the time lies outside the years 1900 to 2199", field, value)
        millis = int(value)
    else:
        raise RecordError("expected epoch milliseconds or RFC 3339", field, value)
    if not MIN_TIME <= millis < MAX_TIME:
        raise RecordError("the time lies outside the years 1900 to 2199", field, value)
    return millis


def _when(value: object) -> int:
    """The time of a record.

    The very first instant stands, in the engine, for the end of every window that reaches further
    back: what happened then could not be told from what such a window leaves out.
    """
    millis = parse_time(value)
    if millis == MIN_TIME:
        raise RecordError("the time lies outside the years 1900 to 2199", "ts", value)
    return millis


def _client(value: object, default: int | None) -> int:
    if value is None:
        if default is None:
            raise RecordError("no client: give `cid`, or set one", "cid")
        return default
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**32:
        raise RecordError("expected a whole number from 0 to 4294967295", "cid", value)
    return value


def _identifier(value: object, field: str) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**40:
        return str(value)
    if not isinstance(value, str) or not value:
        raise RecordError("expected a text that is not empty", field, value)
    return _text(value, field)


def _flags(value: object, field: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 255:
        raise RecordError("expected consent flags, a whole number from 0 to 255", field, value)
    return value


def _text(value: str, field: str) -> str:
    """The text itself; half a surrogate pair (JSON can write one) cannot be kept as UTF-8."""
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise RecordError("the text is not valid Unicode", field, ascii(value)) from error
    return value


def _number(value: int | float | Decimal, field: str) -> Decimal:
    if isinstance(value, int) and -(10**15) < value < 10**15:
        return Decimal(value)
    try:
        return exact(value)
    except NumberError as error:
        raise RecordError(_reason(str(error)), field, value) from error


def _reason(message: str) -> str:
    """Keeps the offending number out of the reason, so that equal mistakes count together."""
    return message if message.startswith("the number") else "expected a finite number"


def _scalar(value: object, field: str) -> Scalar:
    if isinstance(value, str):
        return _text(value, field)
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float | Decimal):
        return _number(value, field)
    raise RecordError("expected a text, a number or a boolean", field, value)


def _scores(raw: object) -> dict[str, Value | None]:
    if not isinstance(raw, Mapping) or not raw:
        raise RecordError("expected an object of scores", "scores", raw)
    scores: dict[str, Value | None] = {}
    for name, value in raw.items():
        field = f"scores.{name}"
        if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
            raise RecordError("expected a number", field, value)
        scores[_text(name, field)] = _number(value, field)
    return scores


def _flatten(raw: object, field: str, *, keep_null: bool) -> dict[str, Value | None]:
    if raw is None:
        return {}
    if not isinstance(raw, Mapping):
        raise RecordError("expected an object", field, raw)
    flat: dict[str, Value | None] = {}
    for key, value in raw.items():
        if isinstance(value, Mapping):
            for name, part in _walk(value, f"{key}.", 1, field):
                _put(flat, name, part, field, keep_null)
        else:
            _put(flat, key, value, field, keep_null)
    return flat


def _put(
    flat: dict[str, Value | None], name: object, value: object, field: str, keep_null: bool
) -> None:
    if not isinstance(name, str) or not name:
        raise RecordError("a property has no name", field, value)
    if not name.isascii():
        _text(name, field)
    if name in flat:
        raise RecordError("the property stands twice", f"{field}.{name}", value)
    if isinstance(value, str):
        flat[name] = value if value.isascii() else _text(value, f"{field}.{name}")
    elif value is None:
        if keep_null:
            flat[name] = None
    elif isinstance(value, list | tuple):
        flat[name] = _array(value, f"{field}.{name}")
    else:
        flat[name] = _scalar(value, f"{field}.{name}")


def _walk(
    raw: Mapping[Any, Any], prefix: str, depth: int, field: str
) -> Iterator[tuple[str, object]]:
    if depth > MAX_DEPTH:
        raise RecordError(f"nested deeper than {MAX_DEPTH}", field)
    for key, value in raw.items():
        if not isinstance(key, str) or not key:
            raise RecordError("a property has no name", field, value)
        if isinstance(value, Mapping):
            yield from _walk(value, f"{prefix}{key}.", depth + 1, field)
        else:
            yield prefix + key, value


def _array(items: list[Any] | tuple[Any, ...], field: str) -> Value:
    present = [item for item in items if item is not None]
    if present and isinstance(present[0], Mapping):
        return tuple(_element(item, field) for item in present)
    return tuple(_scalar(item, field) for item in present)


def _element(item: object, field: str) -> Mapping[str, Scalar]:
    if not isinstance(item, Mapping):
        raise RecordError("expected only objects in this array", field, item)
    fields: dict[str, Scalar] = {}
    for name, value in _walk(item, "", 0, field):
        if name in fields:
            raise RecordError("the property stands twice", f"{field}.{name}", value)
        if value is not None:
            fields[_text(name, field)] = _scalar(value, f"{field}.{name}")
    return fields


def tie_of(eid: str) -> int:
    """What orders events of one time: the first 8 bytes of the SHA-256 of the id, unsigned."""
    return int.from_bytes(hashlib.sha256(eid.encode()).digest()[:8], "big")


def default_id(raw: Mapping[str, Any]) -> str:
    """The id of a record that names none: SHA-256, in hex, of its canonical JSON.

    Canonical: keys sorted, no white space, non-ASCII characters as they are, numbers as written.
    """
    try:
        text = json.dumps(raw, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    except TypeError:  # it holds decimals, which the standard encoder does not know
        text = _canonical(raw)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _canonical(value: object) -> str:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, Mapping):
        parts = (f"{json.dumps(str(k), ensure_ascii=False)}:{_canonical(value[k])}"
                 for k in sorted(value))  # fmt: skip
        return "{" + ",".join(parts) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_canonical, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def check_types(record: Record, catalog: Catalog) -> Record:
    """The record as the catalog types it: times become decimals of epoch milliseconds, but for
    local dates, which stay texts, and points pairs of decimals under one name.

    A property that the catalog does not name stays as it is. Raises RecordError where a value has
    another type than the catalog says.
    """
    if record.kind == "event":
        event = catalog.events.get(record.type)
        specs, field = (event.properties if event else {}), "props"
        points = event.points if event else ()
    elif record.kind == "identify":
        specs, field, points = catalog.traits, "traits", catalog.trait_points
    else:
        return record
    values = _folded(record.values, points, specs, field) if points else record.values
    changed: dict[str, Value | None] = {}
    for name, value in values.items():
        spec = specs.get(name)
        if spec is None or value is None:
            continue
        typed = typed_value(value, spec, f"{field}.{name}")
        if typed is not value:
            changed[name] = typed
    if not changed and values is record.values:
        return record
    return Record(
        record.kind, record.type, record.time, record.client, record.device, record.id,
        record.flags, {**values, **changed}, record.consent,
    )  # fmt: skip


def _folded(
    values: Mapping[str, Value | None],
    points: tuple[str, ...],
    specs: Mapping[str, PropertySpec],
    field: str,
) -> Mapping[str, Value | None]:
    """The values with the parts of points (`home.lat`, `home.lon`) under the points' own names.

    Parts that are all null set the point missing. Raises RecordError where one part is alone.
    """
    for name in points:
        parts = [part for part in part_names(name) if part in values]
        if not parts or name in values:
            continue
        pair = next(
            (
                (values[f"{name}.{a}"], values[f"{name}.{b}"])
                for a, b in SPELLINGS
                if f"{name}.{a}" in values and f"{name}.{b}" in values
            ),
            None,
        )
        if pair is None or (None in pair and pair != (None, None)):
            raise RecordError("expected a latitude and a longitude", f"{field}.{name}")
        point = None if pair == (None, None) else cast("Value", pair)
        values = {k: v for k, v in values.items() if k not in parts or k in specs} | {name: point}
    return values


def typed_value(value: Value, spec: PropertySpec, field: str) -> Value:
    """The value as the type wants it, or RecordError; only times change their form."""
    if spec.type is PropertyType.OBJECTS:
        return _typed_objects(value, spec, field)
    if spec.type in (PropertyType.STRINGS, PropertyType.NUMBERS):
        wanted = str if spec.type is PropertyType.STRINGS else Decimal
        if not isinstance(value, tuple) or not all(isinstance(item, wanted) for item in value):
            raise RecordError(f"expected {spec.type.value}, found {kind_of(value)}", field, value)
        return value
    if spec.type is PropertyType.POINT:
        point = coordinates(value)
        if point is None:
            raise RecordError("expected a point such as [19.4326, -99.1332]", field, value)
        return point
    if isinstance(value, tuple):
        raise RecordError(f"expected {spec.type.value}, found {kind_of(value)}", field, value)
    return _typed_scalar(value, spec.type, field)


def _typed_scalar(value: object, wanted: PropertyType, field: str) -> Scalar:
    if wanted is PropertyType.TIME and isinstance(value, str | Decimal):
        instant = parse_time(value, field)
        moment = parse_moment(value) if isinstance(value, str) else instant
        return Decimal(instant) if isinstance(moment, int) else moment.isoformat()
    if isinstance(value, str) and wanted is PropertyType.STRING:
        return value
    if isinstance(value, bool) and wanted is PropertyType.BOOLEAN:
        return value
    if isinstance(value, Decimal) and wanted is PropertyType.NUMBER:
        return value
    raise RecordError(f"expected {wanted.value}, found {kind_of(value)}", field, value)


def _typed_objects(value: Value, spec: PropertySpec, field: str) -> Value:
    if not isinstance(value, tuple) or not all(isinstance(item, Mapping) for item in value):
        raise RecordError(f"expected object[], found {kind_of(value)}", field, value)
    if _already_typed(value, spec):
        return value
    elements = []
    changed = False
    for item in value:
        assert isinstance(item, Mapping)
        typed = dict(item)
        for name, part in item.items():
            if name in spec.fields:
                typed[name] = _typed_scalar(part, spec.fields[name].type, f"{field}.{name}")
                changed = changed or typed[name] is not part
        elements.append(typed)
    return tuple(elements) if changed else value


#: The one class of values of these types; times come in several.
_CLASSES = {PropertyType.STRING: str, PropertyType.NUMBER: Decimal, PropertyType.BOOLEAN: bool}


def _already_typed(elements: tuple[Any, ...], spec: PropertySpec) -> bool:
    """Whether no field needs a second look: nearly always, and a third of a load's time less."""
    classes = {name: _CLASSES.get(field.type) for name, field in spec.fields.items()}
    for element in elements:
        for name, part in element.items():
            if name in classes and type(part) is not classes[name]:
                return False
    return True


def kind_of(value: object) -> str:
    """What a value is called in messages: the catalog's type names."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "string"
    if isinstance(value, int | float | Decimal):
        return "number"
    if isinstance(value, tuple):
        kinds = {"object" if isinstance(item, Mapping) else kind_of(item) for item in value}
        return f"{kinds.pop()}[]" if len(kinds) == 1 else "an array of mixed types"
    return type(value).__name__


def _shorten(value: object, limit: int = 60) -> str:
    if isinstance(value, Decimal):
        text = plain(value) if value.is_finite() and abs(value.adjusted()) < limit else str(value)
    elif isinstance(value, bytes):
        text = value.decode(errors="replace")
    else:
        text = value if isinstance(value, str) else str(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"
