"""RFM: scores of a device's purchases, as conditions over them.

A score is at least k where something holds of the purchases: one lies so few days back, there are
so many of them, they are worth so much. A test of a score is then a few of such conditions, and all
of them together are answered by one scan of the purchases.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

from relo_dsl.bind.values import SpecResolver
from relo_dsl.catalog import PropertyType, RfmSpec
from relo_dsl.diagnostics import did_you_mean
from relo_dsl.source import Span
from relo_dsl.syntax import nodes
from relo_dsl.terms import (
    FLIPPED,
    Ago,
    Always,
    And,
    Comparison,
    Condition,
    Constant,
    Did,
    Measure,
    Not,
    Op,
    Or,
    Property,
    Selection,
    Window,
    compared,
)
from relo_dsl.times import UNITS

if TYPE_CHECKING:
    from relo_dsl.bind.conditions import ConditionBinder

Part = Literal["recency", "frequency", "monetary"]
PARTS: tuple[Part, ...] = ("recency", "frequency", "monetary")
_GRADES = (1, 2, 3, 4, 5)
Wanted = Callable[[int], bool]
_BROKEN = Always(False)


def bind_rfm(binder: ConditionBinder, expr: nodes.Expr) -> Condition:
    """`rfm is champions`, or a test of `rfm.recency`, `rfm.frequency` or `rfm.monetary`."""
    grades = _grades(binder, expr.span)
    if grades is None:
        return _BROKEN
    bound = RfmBinder(binder, grades)
    if isinstance(expr, nodes.IsNamed):
        return bound.pattern(expr)
    return bound.test(expr)


def _grades(binder: ConditionBinder, here: Span) -> Grades | None:
    """The catalog's purchases and thresholds; None, reported, where it has no such event."""
    spec = binder.catalog.rfm
    event = binder.catalog.events.get(spec.event)
    if event is None:
        if not binder.allow_unknown:
            binder.found.report(
                "unknown-event",
                here,
                f"RFM is about the event `{spec.event}`, and the catalog has none",
                help="name the event of a purchase in the catalog: `rfm: {event: …}`",
            )
            return None
        return Grades(spec, Selection((spec.event,)), Property(spec.revenue, PropertyType.NUMBER))
    resolver = SpecResolver((event.properties,), binder.found, "unknown-property", spec.event)
    found = resolver.lookup(spec.revenue)
    if found is None or found.property.type is not PropertyType.NUMBER:
        if found is None and binder.allow_unknown:
            prop = Property(spec.revenue, PropertyType.NUMBER)
            return Grades(spec, Selection((spec.event,)), prop)
        binder.found.report(
            "unknown-property",
            here,
            f"RFM sums up `{spec.event}.{spec.revenue}`, and the catalog has no such number",
            help="name the number that a purchase is worth in the catalog: `rfm: {revenue: …}`",
        )
        return None
    return Grades(spec, Selection((spec.event,)), found.property)


@dataclass(frozen=True)
class Grades:
    """What the scores of a client are made of."""

    spec: RfmSpec
    purchases: Selection
    revenue: Property

    def at_least(self, part: Part, grade: int) -> Condition:
        """The score is at least so much; it is missing where there is no purchase."""
        bought = Did(self.purchases)
        if grade == 1:
            return bought
        index = 5 - grade
        match part:
            case "recency":
                # Up to so many days: a purchase exactly so long ago counts.
                days = self.spec.recency[index] * UNITS["d"]
                return Did(self.purchases, Window(Ago(days + 1)))
            case "frequency":
                window = Window(Ago(self.spec.frequency_days * UNITS["d"]))
                count = Measure("count", self.purchases, None, window)
                return Comparison(count, ">=", Constant(Decimal(self.spec.frequency[index])))
            case "monetary":
                spent = Measure("sum", self.purchases, self.revenue)
                op: Op = ">=" if grade == 2 else ">"
                worth = Comparison(spent, op, Constant(self.spec.monetary[index]))
                return And((bought, worth))

    def among(self, part: Part, grades: Iterable[int]) -> Condition:
        """The score is one of these."""
        wanted = sorted(set(grades))
        runs: list[Condition] = []
        for low in (grade for grade in wanted if grade - 1 not in wanted):
            high = low
            while high + 1 in wanted:
                high += 1
            run = self.at_least(part, low)
            if high < 5:
                run = And((run, Not(self.at_least(part, high + 1))))
            runs.append(run)
        return runs[0] if len(runs) == 1 else Or(tuple(runs))


@dataclass(frozen=True)
class RfmBinder:
    """Binds tests of scores."""

    outer: ConditionBinder
    grades: Grades

    def pattern(self, expr: nodes.IsNamed) -> Condition:
        """`rfm is champions`: all three scores are in the pattern."""
        spec, found = self.grades.spec, self.outer.found
        operand = expr.operand
        if not (isinstance(operand, nodes.Path) and [n.text for n in operand.names] == ["rfm"]):
            found.report(
                "expected-condition", expr.span, "`is NAME` goes with `rfm`: `rfm is champions`"
            )
            return _BROKEN
        pattern = spec.pattern(expr.name.text)
        if pattern is None:
            help_text, best = did_you_mean(expr.name.text, spec.pattern_names(), "pattern")
            found.report(
                "unknown-value",
                expr.name.span,
                f"there is no RFM pattern `{expr.name.text}`",
                help=help_text,
                replacement=best,
            )
            return _BROKEN
        wanted: dict[Part, tuple[int, int]] = {
            "recency": pattern.recency,
            "frequency": pattern.frequency,
            "monetary": pattern.monetary,
        }
        parts = wanted.items()
        return And(tuple(self.grades.among(part, range(a, b + 1)) for part, (a, b) in parts))

    def test(self, expr: nodes.Expr) -> Condition:
        """A test of one score, each of which is a number from 1 to 5."""
        match expr:
            case nodes.OrMissing(operand):
                return Or((self.test(operand), Not(Did(self.grades.purchases))))
            case nodes.Exists(operand, missing):
                if self._part(operand) is None:
                    return _BROKEN
                bought = Did(self.grades.purchases)
                return Not(bought) if missing else bought
            case nodes.Compare(op, left, right):
                if not isinstance(left, nodes.Path) or left.names[0].text != "rfm":
                    left, right, op = right, left, FLIPPED[op]
                value = self.outer.values.number(right)
                return self._among(left, expr.span, lambda grade: compared(grade, op, value), value)
            case nodes.OneOf(operand, values, negated):
                numbers = [self.outer.values.number(value) for value in values]
                known = None if None in numbers else Decimal(0)
                return self._among(
                    operand, expr.span, lambda grade: (grade in numbers) != negated, known
                )
            case nodes.InRange(operand, low, high, negated):
                first, last = self.outer.values.number(low), self.outer.values.number(high)
                if first is None or last is None:
                    return _BROKEN
                return self._among(
                    operand, expr.span, lambda grade: (first <= grade <= last) != negated, first
                )
        self.outer.found.report(
            "type-mismatch",
            expr.span,
            "an RFM score is a number from 1 to 5",
            help="such as `rfm.recency >= 4` or `rfm.monetary in 2..3`",
        )
        return _BROKEN

    def _among(
        self, operand: nodes.Expr, span: Span, wanted: Wanted, value: Decimal | None
    ) -> Condition:
        part = self._part(operand)
        if part is None or value is None:
            return _BROKEN
        grades = [grade for grade in _GRADES if wanted(grade)]
        if not grades:
            self.outer.found.report(
                "contradiction", span, "an RFM score is a whole number from 1 to 5: none fits"
            )
            return _BROKEN
        return self.grades.among(part, grades)

    def _part(self, operand: nodes.Expr) -> Part | None:
        while isinstance(operand, nodes.Paren):
            operand = operand.operand
        if isinstance(operand, nodes.Path) and operand.names[0].text == "rfm":
            name = ".".join(part.text for part in operand.names[1:])
            for part in PARTS:
                if name == part:
                    return part
            help_text, best = did_you_mean(name, PARTS, "score")
            self.outer.found.report(
                "unknown-property",
                Span(operand.names[1].span.start, operand.span.end),
                f"RFM has no `{name}`",
                help=help_text,
                replacement=best,
            )
            return None
        self.outer.found.report("expected-property", operand.span, "expected an RFM score")
        return None
