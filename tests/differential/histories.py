"""Random records around the instants at which a definition could change its mind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from decimal import Decimal
from typing import Any

from relo_dsl.catalog import PropertySpec, PropertyType
from relo_dsl.numbers import plain
from relo_dsl.plan import Plan
from relo_dsl.terms import Property, Selection, Window
from relo_dsl.times import parse_instant, subtract_months
from tests.differential.pen import Chooser
from tests.differential.world import CATALOG, NUMBERS, STRINGS

_EVENTS = tuple(CATALOG.events)
#: Instants of evaluation: an ordinary one, clock changes, ends of months, a leap day, the epoch.
INSTANTS = tuple(
    parse_instant(text)
    for text in (
        "2026-06-15T12:00:00Z",
        "2026-03-29T01:00:00Z",
        "2026-03-31T23:59:59.999Z",
        "2026-01-01T00:00:00Z",
        "2026-06-15T22:00:00Z",
        "2026-11-01T06:00:00Z",
        "2024-02-29T12:00:00Z",
        "1970-01-02T00:00:00Z",
    )
)
_FLAGS = (255, 0, 254, 251, 239, 223, 191, 127, 64, 4, 1, 21, 55, 253)
_MIN_TIME = parse_instant("1910-01-01")


@dataclass(frozen=True)
class Vocabulary:
    """What a plan speaks of: data that never mention it would test little."""

    windows: tuple[Window, ...]
    events: tuple[str, ...]
    names: tuple[str, ...]
    strings: tuple[str, ...]
    numbers: tuple[str, ...]

    @classmethod
    def of(cls, plan: Plan) -> Vocabulary:
        nodes = list(_walk(plan.condition))
        properties = [node for node in nodes if isinstance(node, Property)]
        found = {
            "windows": [node for node in nodes if isinstance(node, Window)],
            "events": [e for node in nodes if isinstance(node, Selection) for e in node.events],
            "names": [node.parent or node.name for node in properties],
            "strings": [node for node in nodes if isinstance(node, str)],
            "numbers": [plain(node) for node in nodes if isinstance(node, Decimal)],
        }
        return cls(**{name: tuple(dict.fromkeys(values)) for name, values in found.items()})


def _walk(node: Any) -> Iterator[Any]:
    """Everything in a bound tree, the values that predicates compare with among it."""
    yield node
    if isinstance(node, tuple):
        for item in node:
            yield from _walk(item)
    elif is_dataclass(node) and not isinstance(node, Property):
        for item in fields(node):
            yield from _walk(getattr(node, item.name))


@dataclass
class Historian:
    """Writes records, raw, as they would come in: `cid` 0 is the case's own client, 1 another."""

    pen: Chooser
    plan: Plan
    words: Vocabulary

    def device(self, device: str, edges: list[int]) -> list[dict[str, Any]]:
        """What is recorded about one device, in no order of time."""
        pen = self.pen
        found: list[dict[str, Any]] = []
        for _ in range(pen.pick((1, 2, 2, 3, 4, 6))):
            found.append(self._happening(device, edges))
        seen = [record["ts"] for record in found]
        for _ in range(pen.pick((0, 0, 1, 1, 2, 3))):
            moment = pen.pick([*edges, *seen]) + pen.pick((0, -1, 1))
            found.append({"t": "consent", "ts": moment, "did": device, "consent": self._flags()})
        for number, record in enumerate(found):
            record["cid"] = 1 if pen.chance(5) else 0
            record["eid"] = f"{device}{number}"
        for _ in range(pen.pick((0, 0, 0, 1, 2))):
            found.append(self._again(pen.pick(found), found))
        if pen.chance(30):
            found.reverse()
        if pen.chance(20):
            cut = pen.between(0, len(found))
            found = found[cut:] + found[:cut]
        return found

    def _again(self, first: dict[str, Any], found: list[dict[str, Any]]) -> dict[str, Any]:
        """A second record under the id of another: the same, or different in content or kind."""
        if self.pen.chance(40):
            return dict(first)
        return {**self.pen.pick(found), "eid": first["eid"]}

    def _flags(self) -> int:
        mask = self.plan.mask or 1
        lowest = mask & -mask
        return self.pen.pick((255, mask, 255 - lowest, mask - lowest, mask | 64, *_FLAGS))

    def edges(self, instant: int) -> list[int]:
        """Both sides of every end of every window, of T and of retention."""
        return sorted({edge for edge in self._edges(instant) if edge > _MIN_TIME})

    def _edges(self, instant: int) -> Iterator[int]:
        ends = [instant]
        for window in self.words.windows:
            after, until = window.bounds(instant)
            ends += [until] if after is None else [after, until]
        for months in (self.plan.retention_months, self.plan.extended_months):
            if months is not None:
                ends.append(subtract_months(instant, months))
        for end in ends:
            yield from (end - 1, end, end + 1)
        yield instant - 3_600_000

    def _happening(self, device: str, edges: list[int]) -> dict[str, Any]:
        pen = self.pen
        record: dict[str, Any] = {"ts": pen.pick(edges), "did": device}
        if pen.chance(22):
            record["t"] = "identify"
            record["traits"] = self._values(CATALOG.traits, null=True)
        else:
            event = pen.pick(("purchase", "view", *_EVENTS))
            if self.words.events and pen.chance(75):
                event = pen.pick(self.words.events)
            record["t"] = event
            record["props"] = self._values(CATALOG.events[event].properties, null=False)
            if pen.chance(12):
                record["props"].update(self._strangers(event))
        if pen.chance(15):
            record["flags"] = self._flags()
        return record

    def _values(self, specs: dict[str, PropertySpec], *, null: bool) -> dict[str, Any]:
        if not specs:
            return {}
        values: dict[str, Any] = {}
        named = tuple(name for name in self.words.names if name in specs)
        chosen = self.pen.some(tuple(specs), 0, 4)
        for name in (*chosen, *(self.pen.some(named, 1, 4) if named else ())):
            if self.pen.chance(8):
                values[name] = None
            else:
                values[name] = self._value(specs[name])
        return values

    def _strangers(self, event: str) -> dict[str, Any]:
        """Properties that the catalog gives to other events only, some of another type."""
        own = CATALOG.events[event].properties
        others = [
            (name, spec)
            for other in CATALOG.events.values()
            for name, spec in other.properties.items()
            if name not in own
        ]
        if not others:
            return {}
        _, spec = self.pen.pick(others)
        return {self.pen.pick(others)[0]: self._value(spec) for _ in range(2)}

    def _value(self, spec: PropertySpec) -> Any:
        pen = self.pen
        match spec.type:
            case PropertyType.STRING:
                return self._text(spec)
            case PropertyType.NUMBER:
                return self._number()
            case PropertyType.BOOLEAN:
                return pen.pick((False, True))
            case PropertyType.TIME:
                return pen.pick((1_781_524_800_000, 0, -1, "2026-06-15T12:00:00.001Z",
                                 "2026-06-15", "1900-01-01T00:00:00+00:00", 7_258_118_399_999))  # fmt: skip
            case PropertyType.STRINGS:
                return [self._text(spec) for _ in range(pen.between(0, 3))]
            case PropertyType.NUMBERS:
                return [self._number() for _ in range(pen.between(0, 3))]
            case PropertyType.OBJECTS:
                return [self._element(spec) for _ in range(pen.pick((1, 2, 0, 3)))]

    def _text(self, spec: PropertySpec) -> str:
        values = spec.enum or STRINGS
        named = tuple(word for word in self.words.strings if not spec.enum or word in spec.enum)
        return self.pen.pick(named if named and self.pen.chance(50) else values)

    def _number(self) -> Number:
        named = self.words.numbers
        return Number(self.pen.pick(named if named and self.pen.chance(50) else NUMBERS))

    def _element(self, spec: PropertySpec) -> dict[str, Any]:
        chosen = self.pen.some(tuple(spec.fields), 0, 4)
        return {name: self._value(spec.fields[name]) for name in chosen}


class Number(str):
    """A number as JSON text, so that it is read exactly and printed as it was drawn."""

    __slots__ = ()
