"""Regularity: `count(pageview) >= 2 in 2 of last 3 periods of 3d`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from relo_dsl.syntax import nodes
from relo_dsl.terms import (
    ALL_TIME,
    Always,
    And,
    Comparison,
    Condition,
    Not,
    Or,
    Quantity,
    Regularity,
    measures_of,
)
from relo_dsl.times import MAX_DURATION

if TYPE_CHECKING:
    from relo_dsl.bind.conditions import ConditionBinder

_BROKEN = Always(False)
_MAX_PERIODS = 1_000
_UNITS: dict[str, Literal["day", "week", "month"]] = {
    "days": "day",
    "weeks": "week",
    "months": "month",
}


def bind_regularity(binder: ConditionBinder, expr: nodes.Regularity) -> Condition:
    """The comparison, and in how many of which periods it holds."""
    operand = expr.operand
    while isinstance(operand, nodes.Paren):
        operand = operand.operand
    if isinstance(operand, nodes.Windowed):
        return _window_inside(binder, operand.window)
    if not binder.is_measured(operand):
        binder.found.report(
            "expected-number",
            operand.span,
            "expected a comparison of measures in front of the periods",
            help="such as `count(purchase) >= 1 in 2 of last 3 periods of 7d`",
        )
        return _BROKEN
    condition = binder.measured(operand, ALL_TIME, alone=False)
    if any(measure.window != ALL_TIME for q in _sides(condition) for measure in measures_of(q)):
        return _window_inside(binder, operand)
    if not _sound(binder, expr):
        return _BROKEN
    if isinstance(expr.length, nodes.Duration):
        return Regularity(condition, expr.at_least, expr.periods, expr.length.millis)
    unit = _UNITS[expr.length]
    return Regularity(condition, expr.at_least, expr.periods, unit=unit, zone=binder.zone)


def _window_inside(binder: ConditionBinder, where: nodes.Expr | nodes.Window) -> Condition:
    binder.found.report(
        "window-not-allowed",
        where.span,
        "each period is the window of these measures: they cannot have another",
        help="leave the window out",
    )
    return _BROKEN


def _sound(binder: ConditionBinder, expr: nodes.Regularity) -> bool:
    """Whether the numbers can be; that at most M of M periods can hold is known to the parser."""
    found = binder.found
    if expr.at_least < 1:
        found.report("number-out-of-range", expr.span, "expected at least 1 of the periods")
    elif expr.periods > _MAX_PERIODS:
        found.report("number-out-of-range", expr.span, f"expected at most {_MAX_PERIODS} periods")
    elif (
        isinstance(expr.length, nodes.Duration) and expr.length.millis * expr.periods > MAX_DURATION
    ):
        found.report("duration", expr.span, "the periods must not reach back over 100 years")
    else:
        return True
    return False


def _sides(condition: Condition) -> tuple[Quantity, ...]:
    """The quantities that a bound comparison compares."""
    match condition:
        case Comparison(left, _, right):
            return (left, right)
        case And(operands) | Or(operands):
            return tuple(side for operand in operands for side in _sides(operand))
        case Not(operand):
            return _sides(operand)
        case _:
            return ()
