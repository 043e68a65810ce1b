"""Shapes of syntax that the binder tells apart before it knows any name."""

from __future__ import annotations

from dataclasses import replace

from relo_dsl.source import Span
from relo_dsl.syntax import nodes
from relo_dsl.terms import FLIPPED

_ROOTS = ("user", "score", "rfm")

#: Tests whose left operand may be `event.property`, `user.trait` or a plain property.
Test = (
    nodes.Compare
    | nodes.OneOf
    | nodes.InRange
    | nodes.TextMatch
    | nodes.Has
    | nodes.Exists
    | nodes.OrMissing
    | nodes.NearPoint
    | nodes.InZone
    | nodes.Anniversary
    | nodes.Windowed  # of a time alone: see `is_time_test`
)


def repeated_window(operand: nodes.Expr) -> nodes.Window | None:
    """The window of an operand that is only a window, with `not` before it or without."""
    match operand:
        case nodes.Repeat(window) | nodes.Not(nodes.Repeat(window)):
            return window
        case _:
            return None


def with_window(subject: nodes.Expr, window: nodes.Window, span: Span) -> nodes.Expr:
    """What a window repeats, with that window."""
    if isinstance(subject, nodes.Anniversary):
        return replace(subject, window=window, span=span)
    return nodes.Windowed(subject, window, span)


def sides(expr: Test) -> tuple[nodes.Expr, ...]:
    """The operands of a test that may name a property."""
    match expr:
        case nodes.Compare(_, left, right):
            return (left, right)
        case nodes.OrMissing(operand):
            return sides(operand) if isinstance(operand, Test) else (operand,)
        case _:
            return (expr.operand,)


def split_property(
    expr: nodes.Expr,
) -> tuple[
    nodes.Path | nodes.Alternatives | nodes.AnyOf | nodes.Selection | None, tuple[nodes.Name, ...]
]:
    """`purchase[…].revenue` to the selection and the property's names."""
    match expr:
        case nodes.Path(names) if len(names) > 1:
            return nodes.Path(names[:1], names[0].span), names[1:]
        case nodes.Alternatives(_, rest) if rest:
            return replace(expr, rest=()), rest
        case nodes.Selection(_, _, rest) if rest:
            return replace(expr, rest=()), rest
        case nodes.AnyOf(nodes.Path(names)) if len(names) > 1:
            head = nodes.Path(names[:1], names[0].span)
            return replace(expr, path=head), names[1:]
        case nodes.Paren(operand):
            return split_property(operand)
        case _:
            return None, ()


def rooted(expr: Test) -> tuple[nodes.Expr, nodes.Expr] | None:
    """`purchase.revenue > 5` to `purchase` and `revenue > 5`; None where no event leads."""
    if isinstance(expr, nodes.OrMissing):
        inner = rooted(expr.operand) if isinstance(expr.operand, Test) else None
        return None if inner is None else (inner[0], replace(expr, operand=inner[1]))
    if isinstance(expr, nodes.Compare):
        base, names = split_property(expr.left)
        if base is not None:
            return base, replace(expr, left=_path(names))
        base, names = split_property(expr.right)
        if base is None:
            return None
        flipped = nodes.Compare(FLIPPED[expr.op], _path(names), expr.left, expr.span)
        return base, flipped
    base, names = split_property(expr.operand)
    return None if base is None else (base, replace(expr, operand=_path(names)))


def is_time_test(expr: nodes.Expr) -> bool:
    """Whether an expression is `purchase.due within 7d` or `user.trial_ends today`: a window of a
    property or trait that is a time, not of events.
    """
    return isinstance(expr, nodes.Windowed) and split_property(expr.operand)[0] is not None


def _path(names: tuple[nodes.Name, ...]) -> nodes.Path:
    return nodes.Path(names, names[0].span.to(names[-1].span))


def root_of(expr: nodes.Expr) -> str | None:
    """`user`, `score` or `rfm`: what a test of a device's own values is about; None for others."""
    if isinstance(expr, nodes.IsNamed):
        return "rfm"
    paths = sides(expr) if isinstance(expr, Test) else (expr,)
    for path in paths:
        if isinstance(path, nodes.Path) and len(path.names) > 1 and path.names[0].text in _ROOTS:
            return path.names[0].text
    return None


def is_any_event(path: nodes.Path) -> bool:
    """Whether a path behind `any` is the word `event`."""
    return len(path.names) == 1 and path.names[0].text == "event"
