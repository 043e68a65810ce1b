"""Random records around the instants at which a definition could change its mind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from relo_dsl.catalog import PropertySpec, PropertyType
from relo_dsl.plan import Plan
from relo_dsl.records import MAX_TIME, MIN_TIME
from relo_dsl.times import parse_instant, subtract_months
from tests.differential.pen import Chooser
from tests.differential.values import point_value, time_value
from tests.differential.vocabulary import Number, Vocabulary
from tests.differential.world import CATALOG, FEW_NUMBERS, NUMBERS, STRINGS

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


@dataclass
class Historian:
    """Writes records, raw, as they would come in: `cid` 0 is the case's own client, 1 another."""

    pen: Chooser
    plan: Plan
    words: Vocabulary
    moments: tuple[int, ...] = ()  # ends of windows, for values that are times

    def device(self, device: str, edges: list[int]) -> list[dict[str, Any]]:
        """What is recorded about one device, in no order of time."""
        pen = self.pen
        found: list[dict[str, Any]] = []
        if self.plan.default_flags == 0 and pen.chance(85):
            # Or hardly anything of an opt-in client would ever be seen.
            found.append({"t": "consent", "ts": edges[0] - 1, "did": device, "consent": 255})
        for _ in range(pen.pick((2, 3, 4, 4, 6, 8) if self.words.gaps else (1, 2, 2, 3, 4, 6))):
            found.append(self._happening(device, edges))
            if self.words.gaps and len(found) > 1 and pen.chance(50):
                distance = pen.pick((0, *self.words.gaps)) + pen.pick((0, 1, -1))
                found[-1]["ts"] = max(_MIN_TIME, pen.pick(found[:-1])["ts"] + distance)
        if pen.chance(35):
            seen = [record["ts"] for record in found]
            for _ in range(pen.pick((1, 1, 2, 3))):
                moment = pen.pick([*edges, *seen]) + pen.pick((0, -1, 1))
                found.append(
                    {"t": "consent", "ts": moment, "did": device, "consent": self._flags()}
                )
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
        ends = {end for window in self.words.windows for end in window.ends(instant)} | {instant}
        known = sorted(end for end in ends if end is not None and MIN_TIME < end < MAX_TIME - 1)
        self.moments = tuple(end + step for end in known for step in (0, 1, -1))
        return sorted({edge for edge in self._edges(instant) if edge > _MIN_TIME})

    def _edges(self, instant: int) -> Iterator[int]:
        ends = [instant]
        for window in self.words.windows:
            after, until = window.bounds(instant)
            ends += [until] if after is None else [after, until]
        for months in (self.plan.retention_months, self.plan.extended_months):
            if months is not None:
                ends.append(subtract_months(instant, months))
        ends += [end - gap for gap in self.words.gaps for end in ends[:3]]
        for end in ends:
            yield from (end - 1, end, end + 1)
        yield instant - 3_600_000

    def _happening(self, device: str, edges: list[int]) -> dict[str, Any]:
        pen = self.pen
        record: dict[str, Any] = {"ts": pen.pick(edges), "did": device}
        if self.words.scores and pen.chance(25):
            record["t"] = "score"
            names = pen.some(self.words.scores, 1, 2)
            record["scores"] = {name: self._number(name) for name in names}
        elif pen.chance(60 if self.words.held else 22):
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
        chosen = self.pen.some(tuple(specs), 0, 3)
        for name in (*chosen, *(name for name in named if self.pen.chance(70))):
            values[name] = None if self.pen.chance(6) else self._value(name, specs[name])
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
        name, spec = self.pen.pick(others)
        return {self.pen.pick(others)[0]: self._value(name, spec) for _ in range(2)}

    def _value(self, name: str, spec: PropertySpec) -> Any:
        pen = self.pen
        match spec.type:
            case PropertyType.STRING:
                return pen.pick(spec.enum) if spec.enum else self._string(name)
            case PropertyType.NUMBER:
                return self._number(name)
            case PropertyType.BOOLEAN:
                return pen.pick((False, True))
            case PropertyType.TIME:
                return time_value(pen, self.moments)
            case PropertyType.POINT:
                return point_value(pen)
            case PropertyType.STRINGS:
                return [self._string(name) for _ in range(pen.between(0, 3))]
            case PropertyType.NUMBERS:
                return [self._number(name) for _ in range(pen.between(0, 3))]
            case PropertyType.OBJECTS:
                return [self._element(spec) for _ in range(pen.pick((1, 2, 0, 3)))]

    def _string(self, name: str) -> str:
        """A string that the definition tests this property for, or any."""
        named = self.words.values.get((name, PropertyType.STRING))
        return str(self.pen.pick(named if named and self.pen.chance(65) else STRINGS))

    def _number(self, name: str) -> Number:
        named = self.words.values.get((name, PropertyType.NUMBER))
        if named and self.pen.chance(65):
            return Number(self.pen.pick(named))
        if self.words.numbers and self.pen.chance(25):
            return self.pen.pick(self.words.numbers)
        return Number(self.pen.pick(NUMBERS if self.pen.chance(25) else FEW_NUMBERS))

    def _element(self, spec: PropertySpec) -> dict[str, Any]:
        chosen = [name for name in spec.fields if self.pen.chance(55)]
        return {name: self._value(name, spec.fields[name]) for name in chosen}
