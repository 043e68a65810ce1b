"""Windows and anniversaries of values that are times."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from relo_dsl.bind.windows import bind_value_window
from relo_dsl.catalog import PropertyType
from relo_dsl.syntax import nodes
from relo_dsl.terms import Absent, AnniversaryIn, InWindow, Predicate, Property

if TYPE_CHECKING:
    from relo_dsl.bind.predicates import PredicateBinder

_BROKEN = Absent(False)


def bind_time(binder: PredicateBinder, expr: nodes.Windowed | nodes.Anniversary) -> Predicate:
    """`due within next 7d`, `birthday anniversary today`; what is wrong is reported."""
    zone = binder.values.zone
    window = bind_value_window(expr.window, zone, binder.found)
    target = _time(binder, expr)
    if target is None:
        return _BROKEN
    if isinstance(expr, nodes.Anniversary):
        return AnniversaryIn(target, window, zone)
    return InWindow(target, window, zone)


def _time(binder: PredicateBinder, expr: nodes.Windowed | nodes.Anniversary) -> Property | None:
    """The property in front of the window, which must be a time."""
    operand = expr.operand
    while isinstance(operand, nodes.Paren):
        operand = operand.operand
    if not isinstance(operand, nodes.Path | nodes.ErrorExpr):
        binder.found.report(
            "window-not-allowed",
            expr.window.span,
            "a window here tests a property that is a time, and there is a whole test before it",
            help="windows of events stand behind the brackets",
        )
        return None
    target = binder.scalar(operand)
    if target is None:
        return None
    prop = as_type(target.property, target.spec.readable, PropertyType.TIME)
    if prop is None:
        name = binder.found.source.slice(operand.span)
        of_trait = name.startswith("user.")
        binder.found.report(
            "type-mismatch",
            expr.span,
            f"only a time lies in a window, and `{name}` is a {target.property.type}",
            help=None
            if of_trait
            else "the window of events follows a whole test: `purchase.revenue > 5 within 7d`",
        )
    return prop


def as_type(
    prop: Property, readable: frozenset[PropertyType], wanted: PropertyType
) -> Property | None:
    """The property as one of the wanted type: it is, or the data can be read so; else None."""
    if prop.type is wanted:
        return prop
    return replace(prop, type=wanted) if wanted in readable else None
