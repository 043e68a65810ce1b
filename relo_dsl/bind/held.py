"""`user.status = "onboarding" for 7d`: what the traits have said without a break."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relo_dsl.bind.shapes import Test, is_time_test, root_of
from relo_dsl.syntax import nodes
from relo_dsl.terms import Always, And, Condition, Held, Predicate

if TYPE_CHECKING:
    from relo_dsl.bind.conditions import ConditionBinder

_BROKEN = Always(False)


def bind_held(binder: ConditionBinder, expr: nodes.HeldFor) -> Condition:
    """The predicate over traits, and for how long."""
    wrong = _not_of_traits(expr.operand)
    if wrong is not None:
        _report(binder, wrong)
        return _BROKEN
    length = expr.length.millis
    if not length:
        return _BROKEN  # the parser has reported it
    return _held(binder.traits.bind(expr.operand), length)


def _held(predicate: Predicate, length: int) -> Condition:
    """What holds together without a break holds without one each, and is found faster so."""
    if isinstance(predicate, And):
        return And(tuple(_held(operand, length) for operand in predicate.operands))
    return Held(predicate, length)


def _not_of_traits(expr: nodes.Expr) -> nodes.Expr | None:
    """The first part that is no test of a trait, or of a time, whose answer changes by itself."""
    match expr:
        case nodes.Chain(_, operands):
            return next((part for o in operands if (part := _not_of_traits(o)) is not None), None)
        case nodes.Not(operand) | nodes.Paren(operand) | nodes.OrMissing(operand):
            return _not_of_traits(operand)
        case nodes.Windowed() | nodes.Anniversary():
            return expr
    of_traits = isinstance(expr, Test) and root_of(expr) == "user"
    return None if of_traits or isinstance(expr, nodes.ErrorExpr) else expr


def _report(binder: ConditionBinder, wrong: nodes.Expr) -> None:
    if isinstance(wrong, nodes.Anniversary) or is_time_test(wrong):
        binder.found.report(
            "window-not-allowed",
            wrong.span,
            "a window of a time moves with T, so it cannot be held for a while",
            help='compare the trait with a value: `user.plan = "premium" for 7d`',
        )
        return
    binder.found.report(
        "type-mismatch",
        wrong.span,
        "only a test of traits can hold for a while",
        help='such as `user.plan = "premium" for 7d`; events have windows',
    )
