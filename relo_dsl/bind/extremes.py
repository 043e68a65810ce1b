"""`first(…)` and `last(…)`: one event of all history, by its time and its properties."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal, cast

from relo_dsl.syntax import nodes
from relo_dsl.terms import ALL_TIME, Always, Condition, Extreme, Selection

if TYPE_CHECKING:
    from relo_dsl.bind.conditions import ConditionBinder

_BROKEN = Always(False)
#: Tests that have one operand, which may be `last(…).property`.
_About = (
    nodes.OneOf
    | nodes.InRange
    | nodes.TextMatch
    | nodes.Has
    | nodes.Exists
    | nodes.NearPoint
    | nodes.InZone
    | nodes.Anniversary
    | nodes.OrMissing
    | nodes.Windowed
)


def is_extreme_call(expr: nodes.Expr) -> bool:
    """Whether an expression is `first(…)` or `last(…)`, with a property or without."""
    return isinstance(expr, nodes.Call) and expr.function.text in ("first", "last")


def is_extreme(expr: nodes.Expr) -> bool:
    """Whether an expression asks about a first or last event."""
    match expr:
        case nodes.Paren(operand):
            return is_extreme(operand)
        case nodes.Compare(_, left, right):
            return is_extreme_call(left) or is_extreme_call(right)
        case nodes.Call():
            return is_extreme_call(expr)
    return isinstance(expr, _About) and is_extreme(expr.operand)


def bind_extreme(binder: ConditionBinder, expr: nodes.Expr) -> Condition:
    """The condition on a first or last event; what is wrong is reported."""
    window, test = ALL_TIME, _bare(expr)
    if isinstance(test, nodes.Windowed):
        inner = _bare(test.operand)
        if not _is_property(inner):  # else it tests the property
            window = binder.window(test.window)
            test = inner
            if isinstance(test, nodes.Windowed) and not _is_property(_bare(test.operand)):
                return _misplaced(binder, expr)
    if isinstance(test, nodes.Call) and not test.rest and window is not ALL_TIME:
        which, selection = _event(binder, test)
        return Extreme(which, selection, window)
    if isinstance(test, nodes.Call):
        return _lonely(binder, test)
    split = _split(binder, test)
    if split is None:
        return _BROKEN
    call, predicate = split
    which, selection = _event(binder, call)
    if selection.events == ("",):
        return _BROKEN
    where = binder.selections.properties(selection).bind(predicate)
    return Extreme(which, selection, window, where)


def _bare(expr: nodes.Expr) -> nodes.Expr:
    while isinstance(expr, nodes.Paren):
        expr = expr.operand
    return expr


def _event(binder: ConditionBinder, call: nodes.Call) -> tuple[Literal["first", "last"], Selection]:
    """Which event of which selection; all history is looked at, so no window stands inside."""
    which = cast('Literal["first", "last"]', call.function.text)
    argument = call.argument
    text = binder.found.source.slice(argument.span)
    if isinstance(argument, nodes.Windowed) and not binder.selections.is_selection(argument):
        inner = binder.found.source.slice(argument.operand.span)
        binder.found.report(
            "window-not-allowed",
            argument.window.span,
            f"`{which}` looks at all history up to T, and takes no window inside",
            help=f"its time is tested behind: `{which}({inner}) within 30d`",
        )
        argument = argument.operand
    if isinstance(argument, nodes.Path) and len(argument.names) > 1:
        event, *names = text.split(".")
        binder.found.report(
            "expected-selection",
            argument.span,
            f"`{which}` takes events, and this is a property of them",
            help=f"write `{which}({event}).{'.'.join(names)}`",
        )
        return which, Selection(("",))
    return which, binder.selections.bind(argument)


def _is_property(expr: nodes.Expr) -> bool:
    return isinstance(expr, nodes.Call) and bool(expr.rest)


def _misplaced(binder: ConditionBinder, expr: nodes.Expr) -> Condition:
    binder.found.report(
        "window-not-allowed",
        expr.span,
        "this already has its own windows, or takes none",
        help="a window behind `first(…)` or `last(…)` tests its time",
    )
    return _BROKEN


def _lonely(binder: ConditionBinder, call: nodes.Call) -> Condition:
    text = binder.found.source.slice(call.span)
    if isinstance(call.argument, nodes.Path) and len(call.argument.names) > 1:
        _event(binder, call)
        return _BROKEN
    if call.rest:
        message, advice = "is a value; say what about it", f"such as `{text} exists`"
    else:
        message = "is an event; say what about it"
        advice = f"such as `{text} within 30d`, or a test of one of its properties"
    binder.found.report("expected-condition", call.span, f"`{text}` {message}", help=advice)
    return _BROKEN


def _split(binder: ConditionBinder, expr: nodes.Expr) -> tuple[nodes.Call, nodes.Expr] | None:
    """`last(x).p > 5` to `last(x)` and `p > 5`; None, reported, where that cannot be done."""
    match expr:
        case nodes.Call(_, _, ()):
            _lonely(binder, expr)
            return None
        case nodes.Call(_, _, names):
            path = nodes.Path(names, names[0].span.to(names[-1].span))
            return replace(expr, rest=()), path
        case nodes.Paren(operand):
            return _split(binder, operand)
        case nodes.Compare(_, left, right):
            return _split_compared(binder, expr, left, right)
    if isinstance(expr, _About) and is_extreme(expr.operand):
        split = _split(binder, expr.operand)
        return None if split is None else (split[0], replace(expr, operand=split[1]))
    _misplaced(binder, expr)
    return None


def _split_compared(
    binder: ConditionBinder, expr: nodes.Compare, left: nodes.Expr, right: nodes.Expr
) -> tuple[nodes.Call, nodes.Expr] | None:
    sides = [_split(binder, side) if is_extreme_call(side) else None for side in (left, right)]
    calls = [side[0] for side in sides if side is not None]
    if len(calls) != is_extreme_call(left) + is_extreme_call(right):
        return None  # reported
    other = right if sides[0] is not None else left
    if (len(calls) == 2 and calls[0] != calls[1]) or (
        isinstance(other, nodes.Call | nodes.Arithmetic | nodes.Negative) and len(calls) == 1
    ):
        text = binder.found.source.slice(other.span)
        binder.found.report(
            "expected-value",
            other.span,
            f"expected a value or another property of the same event, found `{text}`",
            help="a property of a first or last event cannot be compared with other events",
        )
        return None
    new = [
        before if side is None else side[1]
        for before, side in zip((left, right), sides, strict=True)
    ]
    return calls[0], replace(expr, left=new[0], right=new[1])
