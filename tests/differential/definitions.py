"""Random definitions, as text: every predicate, window, measure and way to join them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from relo_dsl.catalog import PropertyType
from tests.differential.more import MORE
from tests.differential.pen import Pen
from tests.differential.world import (
    CATALOG,
    FEW_NUMBERS,
    LISTS,
    NUMBERS,
    PATTERNS,
    STRINGS,
    TRAITS,
    Named,
    dotted,
    properties,
)
from tests.differential.writing_times import point_test, time_test

_AGES = ("1d", "7d", "30d", "1h", "1ms", "2d", "1d12h", "60d", "12h", "90d", "1w", "1s", "365d")
_DATES = (
    "2026-06-01", "2026-03-29", "2026-06-15", "2026-06-15T12:00", "2026-06-15T11:59:59.999",
    "2026-06-14T12:00:00Z", "2026-06-14T12:00:00.001+02:00", "2026-11-01", "2026-01-01",
    "2026-02-28", "2025-12-31",
)  # fmt: skip
_PERIODS = (
    "today", "yesterday", "this week", "last week", "this month", "last month", "this quarter",
    "last quarter", "this year", "last year", "in 2026", "in 2026-Q2", "in 2026-06", "in 2026-03",
    "on 2026-06-14", "on 2026-03-29", "in 2025", "in 2026-Q1",
)  # fmt: skip
ZONES = ("UTC", "America/Mexico_City", "Europe/Berlin", "Asia/Kathmandu", "Pacific/Apia",
         "America/New_York", "America/Santiago", "Asia/Kolkata")  # fmt: skip
_PERIOD_KINDS = ("days", "weeks", "months")
_OPERATORS = ("=", "!=", "<", "<=", ">", ">=")
_EVENTS = tuple(CATALOG.events)
_REQUIRED = ("analytics", "email", "personalization, push", "64", "128", "255", "cross_client, 2")
_EXPORTS = ("meta", "email", "push", "onsite", "crm", "mixed", "meta, email", "google_ads, onsite")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def quote(text: str) -> str:
    """A string literal of the language."""
    plain = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return '"' + _CONTROL.sub(lambda found: f"\\u{{{ord(found.group()):x}}}", plain) + '"'


@dataclass
class Writer:
    """Writes the definitions of one case, and remembers which names there are."""

    pen: Pen
    segments: list[str] = field(default_factory=list)
    selections: dict[str, tuple[str, ...]] = field(default_factory=dict)  # lets: name to events
    conditions: list[str] = field(default_factory=list)
    numbers: list[str] = field(default_factory=list)
    quantities: list[str] = field(default_factory=list)
    bare: bool = False  # whether the comparison at hand has a measure without a window

    # ---- files ---------------------------------------------------------------------------------

    def file(self) -> str:
        """Segments first, each free to name those before it; the audience `main` last."""
        texts = []
        for index in range(self.pen.pick((0, 0, 0, 0, 0, 0, 1, 1, 2, 3))):
            texts.append(self._definition("segment", f"s{index + 1}"))
            self.segments.append(f"s{index + 1}")
        texts.append(self._definition("audience", "main"))
        return "\n".join(texts)

    def _definition(self, kind: str, name: str) -> str:
        lines = [f"{kind} {name}"]
        if self.pen.chance(25):
            lines.append(f'  timezone "{self.pen.pick(ZONES)}"')
        if kind == "audience" and self.pen.chance(25):
            lines.append(f"  export {self.pen.pick(_EXPORTS)}")
        if kind == "audience" and self.pen.chance(20):
            lines.append(f"  require consent {self.pen.pick(_REQUIRED)}")
        lines += self._lets()
        lines.append(f"  match {self.condition(2 if kind == 'audience' else 1)}")
        if kind == "audience":
            lines += self._after()
        self.selections, self.conditions, self.numbers, self.quantities = {}, [], [], []
        return "\n".join(lines) + "\n"

    def _after(self) -> list[str]:
        """A ranking, a sample, a holdout: each now and then."""
        pen, lines = self.pen, []
        if pen.chance(12):
            amount = pen.pick(("1", "2", "3", "50%", "10%", "33.4%", "100%", "7"))
            which = pen.pick(("top", "bottom"))
            lines.append(f"  keep {which} {amount} by {self.quantity(1)}")
        if pen.chance(6):
            lines.append(f"  sample {pen.pick(('50%', '10%', '99.5%', '100%'))}")
        if pen.chance(6):
            lines.append(f"  holdout {pen.pick(('50%', '5%', '90%', '0.1%'))}")
        return lines

    def _lets(self) -> list[str]:
        lines = []
        for index in range(self.pen.pick((0, 0, 0, 0, 0, 1, 2))):
            name = f"let_{index}"
            kind = self.pen.between(0, 3)
            if kind == 0:
                events, text = self.selection()
                self.selections[name] = events
            elif kind == 1:
                text = self.leaf(0)
                self.conditions.append(name)
            elif kind == 2:
                text = self.pen.pick(NUMBERS)
                self.numbers.append(name)
            else:
                text = self.quantity(1)
                self.quantities.append(name)
            lines.append(f"  let {name} = {text}")
        return lines

    # ---- conditions ----------------------------------------------------------------------------

    def condition(self, depth: int) -> str:
        """A chain of operands, with repeats of the one before."""
        count = self.pen.pick((1, 1, 1, 2, 2, 3)) if depth else 1
        mixed = self.pen.chance(15)
        op = self.pen.pick(("and", "or"))
        text, repeatable = self._operand(depth)
        for _ in range(count - 1):
            if repeatable and not mixed and self.pen.chance(25):
                negation = "not " if self.pen.chance(40) else ""
                text += f"\n    {op} {negation}{self.window()}"
                continue
            operand, repeatable = self._operand(depth)
            text += f"\n    {self.pen.pick(('and', 'or')) if mixed else op} {operand}"
        return text

    def _operand(self, depth: int) -> tuple[str, bool]:
        """An operand, and whether a window after it would repeat something."""
        kind = self.pen.between(0, 9) if depth else 0
        if kind == 9:
            return f"({self.condition(depth - 1)})", False
        if kind == 8:
            return f"not ({self.condition(depth - 1)})", False
        leaf, repeatable = self._leaf(depth)
        if self.pen.chance(15):
            leaf = f"not {leaf}"
        return leaf, repeatable

    def leaf(self, depth: int) -> str:
        return self._leaf(depth)[0]

    def _leaf(self, depth: int) -> tuple[str, bool]:
        if MORE and self.pen.chance(35):
            return self.pen.pick(MORE)(self, depth)
        kind = self.pen.between(0, 19)
        if kind < 8:
            return ("no " if self.pen.chance(25) else "") + self.did(), True
        if kind < 14:
            text = self.comparison(depth)
            return text, self.bare
        if kind < 17:
            return self.trait(), False
        if kind == 17:
            return f"in list {dotted(self.pen.pick(LISTS))}", False
        if self.segments:
            return f"in segment {self.pen.pick(self.segments)}", False
        if self.conditions:
            return self.pen.pick(self.conditions), False
        return self.did(), True

    def did(self) -> str:
        _, text = self.selection()
        window = f" {self.window()}" if self.pen.chance(60) else ""
        return text + window

    # ---- windows -------------------------------------------------------------------------------

    def window(self) -> str:
        pen = self.pen
        match pen.between(0, 9):
            case 0 | 1 | 2:
                return f"within {pen.pick(_AGES)}"
            case 3:
                first, second = pen.pick(_AGES), pen.pick(_AGES)
                return f"between {first} and {second} ago" if first != second else "within 7d"
            case 4:
                return f"before {pen.pick(_AGES)} ago"
            case 5:
                return f"{pen.pick(('since', 'before'))} {pen.pick(_DATES)}"
            case 6:
                return self._from_to()
            case 7:
                unit = pen.pick(("days", "weeks", "months"))
                return f"within {pen.pick((1, 2, 3, 13))} calendar {unit}"
            case _:
                return pen.pick(_PERIODS)

    def _from_to(self) -> str:
        first, last = sorted((self.pen.pick(_DATES)[:10], self.pen.pick(_DATES)[:10]))
        if self.pen.chance(30):
            return f"from {first}T00:00 to {last}T12:00:00.001"
        return f"from {first} to {last}"

    # ---- selections and predicates -------------------------------------------------------------

    def selection(self) -> tuple[tuple[str, ...], str]:
        """The events (none: any) of a selection, and its text."""
        events, text = self._base()
        known = properties(events)
        if not known or not self.pen.chance(75):
            return events, text
        if self.pen.chance(30) and not text.startswith("let_"):
            return events, self.test(known, f"{text}.")
        return events, f"{text}[{self.predicate(known, 2)}]"

    def _base(self) -> tuple[tuple[str, ...], str]:
        if self.selections and self.pen.chance(40):
            name = self.pen.pick(sorted(self.selections))
            return self.selections[name], name
        kind = self.pen.between(0, 9)
        if kind == 9:
            return (), "any event"
        if kind == 8:
            events = tuple(sorted(set(self.pen.some(_EVENTS, 2, 3))))
            if len(events) > 1:
                return events, "(" + " | ".join(map(dotted, events)) + ")"
        event = self.pen.pick(("purchase", "purchase", "purchase", "view", *_EVENTS))
        return (event,), dotted(event)

    def predicate(self, known: list[Named], depth: int, prefix: str = "") -> str:
        """Tests joined by `and`, `or`, `not` and parentheses."""
        kind = self.pen.between(0, 9) if depth else 0
        if kind < 5:
            return self.test(known, prefix)
        if kind == 5:
            return f"not {self.test(known, prefix)}"
        if kind == 6:
            suffix = " or missing" if self.pen.chance(30) else ""
            return f"not ({self.predicate(known, depth - 1, prefix)}){suffix}"
        op = "and" if kind < 9 else "or"
        left = self._guarded(known, depth - 1, prefix)
        return f"{left} {op} {self._guarded(known, depth - 1, prefix)}"

    def _guarded(self, known: list[Named], depth: int, prefix: str) -> str:
        inner = self.predicate(known, depth, prefix)
        if " and " in inner or " or " in inner:
            return f"({inner}){' or missing' if self.pen.chance(15) else ''}"
        return inner

    def test(self, known: list[Named], prefix: str = "") -> str:
        """One test of one property (or two); `prefix` stands before every path."""
        prop = self.pen.pick(known)
        text = self._test(prop, known, prefix)
        return f"{text} or missing" if self.pen.chance(15) else text

    def _test(self, prop: Named, known: list[Named], prefix: str) -> str:
        path = prefix + prop.text
        if self.pen.chance(12):
            return f"{path} {self.pen.pick(('exists', 'is missing'))}"
        match prop.type:
            case PropertyType.OBJECTS:
                return self._objects(prop, prefix)
            case PropertyType.STRINGS | PropertyType.NUMBERS:
                return self._has(path, prop.type.element, prop)
            case PropertyType.TIME:
                if self.pen.chance(50):
                    return time_test(self, path)
                return self._other(prop, known, prefix) or f"{path} exists"
            case PropertyType.POINT:
                return point_test(self, path)
            case PropertyType.BOOLEAN:
                op = self.pen.pick(("=", "!="))
                if self.pen.chance(15):
                    return f"{path} in (true, false)"
                return f"{path} {op} {self.pen.pick(('true', 'false'))}"
        if self.pen.chance(12) and (other := self._other(prop, known, prefix)):
            return other
        if prop.type is PropertyType.NUMBER:
            return self._number(path)
        return self._string(path, prop)

    def _other(self, prop: Named, known: list[Named], prefix: str) -> str | None:
        """A comparison with another property of the same type."""
        others = [o for o in known if o.type is prop.type]
        if prefix and not prefix.startswith("user"):
            return None  # `purchase.a = purchase.b` names two selections
        other = self.pen.pick(others)
        return f"{prefix}{prop.text} {self.pen.pick(_OPERATORS)} {prefix}{other.text}"

    def _number(self, path: str) -> str:
        pen = self.pen
        match pen.between(0, 5):
            case 0 | 1 | 2:
                return f"{path} {pen.pick(_OPERATORS)} {self._literal_number()}"
            case 3:
                negation = "not " if pen.chance(30) else ""
                values = ", ".join(pen.some(NUMBERS, 1, 30 if pen.chance(10) else 4))
                return f"{path} {negation}in ({values})"
            case _:
                return f"{path} {'not ' if pen.chance(30) else ''}in {self._range()}"

    def _literal_number(self) -> str:
        if self.numbers and self.pen.chance(50):
            return self.pen.pick(self.numbers)
        return self.number()

    def number(self) -> str:
        return self.pen.pick(NUMBERS if self.pen.chance(25) else FEW_NUMBERS)

    def _range(self) -> str:
        low, high = sorted((self.number(), self.number()), key=float)
        return f"{low}..{high}"

    def _values(self, prop: Named) -> tuple[str, ...]:
        return prop.spec.enum or STRINGS

    def _string(self, path: str, prop: Named) -> str:
        pen, values = self.pen, self._values(prop)
        match pen.between(0, 6):
            case 0 | 1 | 2:
                return f"{path} {pen.pick(_OPERATORS)} {quote(pen.pick(values))}"
            case 3:
                chosen = ", ".join(map(quote, pen.some(values, 1, 30 if pen.chance(10) else 4)))
                return f"{path} {'not ' if pen.chance(30) else ''}in ({chosen})"
            case 4:
                how, text = "matches", pen.pick(PATTERNS)
            case _:
                how, text = pen.pick(("contains", "starts with", "ends with")), pen.pick(STRINGS)
        ignoring = " ignoring case" if pen.chance(40) else ""
        return f"{path} {how} {quote(text)}{ignoring}"

    def _has(self, path: str, element: PropertyType, prop: Named) -> str:
        def literals(least: int, most: int) -> list[str]:
            if element is PropertyType.NUMBER:
                return self.pen.some(NUMBERS, least, most)
            if element is PropertyType.BOOLEAN:
                return self.pen.some(("true", "false"), least, most)
            return list(map(quote, self.pen.some(self._values(prop), least, most)))

        if self.pen.chance(50):
            return f"{path} has {literals(1, 1)[0]}"
        return f"{path} has {self.pen.pick(('any', 'all'))} ({', '.join(literals(1, 3))})"

    def _objects(self, prop: Named, prefix: str) -> str:
        fields = [Named(name, spec) for name, spec in prop.spec.fields.items()]
        if self.pen.chance(35):
            inner = self.pen.pick([f for f in fields if f.type is not PropertyType.TIME])
            path = f"{prefix}{prop.text}.{inner.text}"
            if self.pen.chance(15):
                return f"{path} {self.pen.pick(('exists', 'is missing'))}"
            return self._has(path, inner.type, inner)
        if prefix:
            return f"{prefix}{prop.text} exists"
        return f"any {prop.text}[{self.predicate(fields, 1)}]"

    def trait(self) -> str:
        return self.test(TRAITS, "user.")

    # ---- measures ------------------------------------------------------------------------------

    def comparison(self, depth: int) -> str:
        """A comparison with at least one measure on its left."""
        pen = self.pen
        self.bare = False
        left = self.quantity(1 if depth else 0)
        match pen.between(0, 7):
            case 0:
                text = f"{left} {'not ' if pen.chance(30) else ''}in {self._range()}"
            case 1:
                values = ", ".join(self.number() for _ in range(pen.between(1, 3)))
                text = f"{left} {'not ' if pen.chance(30) else ''}in ({values})"
            case 2 | 3:
                text = f"{left} {pen.pick(_OPERATORS)} {self.quantity(1)}"
            case 4:
                text = f"{self._literal_number()} {pen.pick(_OPERATORS)} {left}"
            case _:
                text = f"{left} {pen.pick(_OPERATORS)} {self._literal_number()}"
        return f"{text} {self.window()}" if self.bare and pen.chance(50) else text

    def quantity(self, depth: int) -> str:
        """Measures, and numbers between them; always at least one measure."""
        if depth == 0 or self.pen.chance(60):
            return self.measure()
        op = self.pen.pick(("+", "-", "*", "/"))
        left = self.quantity(depth - 1)
        right = (
            self._literal_number().replace("-", "0 - ")
            if self.pen.chance(40)
            else self.quantity(depth - 1)
        )
        right = f"({right})" if " " in right else right
        text = f"{left} {op} {right}" if self.pen.chance(70) else f"{right} {op} {left}"
        return f"({text})"

    def measure(self) -> str:
        if self.quantities and self.pen.chance(40):
            return self.pen.pick(self.quantities)
        kind = self.pen.pick(
            ("count", "count", "sum", "avg", "min", "max", "distinct", "median", *_PERIOD_KINDS)
        )
        window = f" {self.window()}" if self.pen.chance(35) else ""
        self.bare = self.bare or not window
        if kind in ("count", *_PERIOD_KINDS):
            return f"{kind}({self.selection()[1]}{window})"
        events, text = self._base()
        known = properties(events)
        fitting = [p for p in known if _measurable(p, kind)]
        if not fitting:
            return f"count({text}{window})"
        if self.pen.chance(30) or text.startswith("let_"):
            text = f"{text}[{self.predicate(known, 1)}]"
        return f"{kind}({text}.{self.pen.pick(fitting).text}{window})"


def _measurable(prop: Named, kind: str) -> bool:
    if kind == "distinct":
        return not prop.type.value.endswith("[]")
    return prop.type is PropertyType.NUMBER
