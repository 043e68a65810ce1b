"""Measures and arithmetic over them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Literal, cast

from relo_dsl.bind.extremes import is_extreme_call
from relo_dsl.bind.shapes import is_time_test, split_property
from relo_dsl.catalog import PropertyType
from relo_dsl.diagnostics import did_you_mean
from relo_dsl.numbers import PLACES, calculate
from relo_dsl.syntax import nodes
from relo_dsl.terms import (
    ALL_TIME,
    And,
    Arithmetic,
    Comparison,
    Condition,
    Constant,
    Measure,
    Op,
    Or,
    Property,
    Quantity,
    Window,
)

if TYPE_CHECKING:
    from relo_dsl.bind.conditions import ConditionBinder

PropertyMeasure = Literal["sum", "avg", "min", "max", "median", "distinct"]
Counted = Literal["count", "days", "weeks", "months"]
#: Measures of events, and measures of a property of theirs.
_COUNTED = ("count", "days", "weeks", "months")
_MEASURES = (*_COUNTED, "sum", "avg", "min", "max", "median", "distinct")
#: What the engine's widest numbers hold, places after the point included. It never says that a
#: product has outgrown them.
_ROOM = 76
#: Digits before the point: what sums of one device are taken to stay below, and counts; anything
#: else is between numbers that came in.
_DIGITS = {"sum": 16, "count": 10, "distinct": 10, "days": 10, "weeks": 10, "months": 10}
_DIGITS_OF_VALUES = 15


def _places(quantity: Quantity) -> int:
    """How many places after the point a quantity is worked out with."""
    match quantity:
        case Arithmetic("*", left, right):
            return _places(left) + _places(right)
        case Arithmetic("+" | "-", left, right):
            return max(_places(left), _places(right))
        case _:
            return PLACES


def _digits(quantity: Quantity) -> int:
    """How many digits before the point it can have."""
    match quantity:
        case Constant(value):
            return max(0, value.adjusted() + 1)
        case Measure(kind):
            return _DIGITS.get(kind, _DIGITS_OF_VALUES)
        case Arithmetic("*", left, right):
            return _digits(left) + _digits(right)
        case Arithmetic("/", left, Constant(value)):
            return max(0, _digits(left) - value.adjusted()) if value else 0
        case Arithmetic("/", left, right):
            # Nothing but zero is smaller than one in the last place.
            return _digits(left) + _places(right)
        case Arithmetic(_, left, right):
            return max(_digits(left), _digits(right)) + 1


def _fits(quantity: Arithmetic) -> bool:
    return _digits(quantity) + _places(quantity) <= _ROOM


@dataclass
class Taken:
    """Whether some measure took the window behind the comparison."""

    window: bool = False


@dataclass(frozen=True)
class QuantityBinder:
    """Numbers and measures; `window` is for measures that have none of their own."""

    outer: ConditionBinder
    window: Window
    taken: Taken

    def quantity(self, expr: nodes.Expr) -> Quantity:
        """The quantity an expression writes; zero, reported, where it writes none."""
        found = self.outer.found
        match expr:
            case nodes.Number(value, percent):
                if percent:
                    found.report("expected-number", expr.span, "a `%` cannot stand here")
                return Constant(value)
            case nodes.Negative(operand):
                return Arithmetic("-", Constant(Decimal(0)), self.quantity(operand))
            case nodes.Arithmetic(op, left, right):
                result = Arithmetic(op, self.quantity(left), self.quantity(right))
                if not _fits(result):
                    found.report(
                        "number-out-of-range",
                        expr.span,
                        "this multiplies or divides too many numbers: "
                        "what comes out could not be kept exactly",
                        help="compare fewer at a time, or with smaller constants",
                    )
                    return Constant(Decimal(0))
                if op == "/" and _known(result.right) == 0:
                    found.report(
                        "division-by-zero",
                        expr.span,
                        "this divides by zero, and no comparison with it ever holds",
                    )
                return result
            case nodes.Paren(operand):
                return self.quantity(operand)
            case nodes.Call():
                return self._measure(expr)
            case nodes.Path() if self.outer.is_let(expr):
                named = self.outer.let(expr)
                if isinstance(named, Constant | Measure | Arithmetic):
                    return self._with_window(named)
        if not isinstance(expr, nodes.ErrorExpr):
            found.report("expected-number", expr.span, "expected a number or a measure")
        return Constant(Decimal(0))

    def _with_window(self, quantity: Quantity) -> Quantity:
        """The window behind the comparison, given to each measure of a let without its own."""
        match quantity:
            case Measure(window=own) if own == ALL_TIME and self.window != ALL_TIME:
                self.taken.window = True
                return replace(quantity, window=self.window)
            case Arithmetic(op, left, right):
                return Arithmetic(op, self._with_window(left), self._with_window(right))
            case _:
                return quantity

    def one_of(
        self, operand: nodes.Expr, values: tuple[nodes.Expr, ...], negated: bool
    ) -> Condition:
        left = self.quantity(operand)
        op: Op = "!=" if negated else "="
        parts = tuple(Comparison(left, op, self.quantity(value)) for value in values)
        if len(parts) == 1:
            return parts[0]
        return And(parts) if negated else Or(parts)

    def in_range(
        self, operand: nodes.Expr, low: nodes.Expr, high: nodes.Expr, negated: bool
    ) -> Condition:
        left, first, last = self.quantity(operand), self.quantity(low), self.quantity(high)
        if negated:
            return Or((Comparison(left, "<", first), Comparison(left, ">", last)))
        return And((Comparison(left, ">=", first), Comparison(left, "<=", last)))

    def _measure(self, call: nodes.Call) -> Quantity:
        outer, kind = self.outer, call.function.text
        if is_extreme_call(call) or call.rest:
            return self._no_number(call)
        if kind not in _MEASURES:
            help_text, best = did_you_mean(kind, _MEASURES, "measure")
            outer.found.report(
                "unknown-function",
                call.function.span,
                f"there is no measure `{kind}`",
                help=help_text,
                replacement=best,
            )
            return Constant(Decimal(0))
        argument, window = call.argument, self.window
        counts_times = kind in _COUNTED and is_time_test(argument)
        if isinstance(argument, nodes.Windowed) and not counts_times:
            window = outer.window(argument.window)
            argument = argument.operand
        else:
            self.taken.window = True
        if kind in _COUNTED:
            zone = None if kind == "count" else outer.zone
            selection = outer.selections.bind(argument)
            return Measure(cast("Counted", kind), selection, None, window, zone)
        return self._of_property(cast("PropertyMeasure", kind), argument, window)

    def _no_number(self, call: nodes.Call) -> Quantity:
        """`last(purchase).revenue + 1`, `count(purchase).revenue`."""
        text = self.outer.found.source.slice(call.span)
        if not is_extreme_call(call):
            message, advice = "a measure is a number: it has no properties", None
        else:
            message = f"`{text}` cannot be part of a calculation"
            advice = "test it by itself, such as `last(purchase).revenue > 100`"
        self.outer.found.report("expected-number", call.span, message, help=advice)
        return Constant(Decimal(0))

    def _of_property(self, kind: PropertyMeasure, argument: nodes.Expr, window: Window) -> Quantity:
        outer = self.outer
        base, names = split_property(argument)
        if base is None or not names:
            outer.found.report(
                "expected-property",
                argument.span,
                f"`{kind}` needs a property, such as `{kind}(purchase.revenue)`",
            )
            return Constant(Decimal(0))
        selection = outer.selections.bind(base)
        path = nodes.Path(names, names[0].span.to(names[-1].span))
        resolver = outer.selections.properties(selection).properties
        known = resolver.property(path) if selection.events != ("",) else None
        target = None if known is None else known.property
        if target is None:
            dotted = ".".join(name.text for name in names)
            target = Property(dotted, PropertyType.NUMBER)
        elif kind == "distinct":
            if target.is_array or target.type is PropertyType.POINT:
                what = "an array" if target.is_array else "a point"
                outer.found.report(
                    "type-mismatch", path.span, f"`distinct` needs a single value, not {what}"
                )
        elif target.type is not PropertyType.NUMBER or target.is_array:
            what = "an array" if target.is_array else f"a {target.type}"
            outer.found.report(
                "type-mismatch", path.span, f"`{kind}` needs a number, and this is {what}"
            )
        return Measure(kind, selection, target, window)


def _known(quantity: Quantity) -> Decimal | None:
    """What a quantity without measures comes to; None for any other, and where zero divides."""
    match quantity:
        case Constant(value):
            return value
        case Arithmetic(op, left, right):
            return calculate(op, _known(left), _known(right))
        case _:
            return None
