"""Conditions put so that they cost less, and mean the same.

What the alternatives of an `or` have in common is asked once: `(a and b) or (a and c)` is `a and (b
or c)`, whose rest often becomes one scan. A largest value above a number is an event above it, and
a filter of rows is cheaper than an aggregate of all.
"""

from __future__ import annotations

from decimal import Decimal

from relo_dsl.terms import (
    And,
    Compare,
    Comparison,
    Condition,
    Constant,
    Did,
    Measure,
    Not,
    Op,
    Or,
    Predicate,
    Selection,
)


def factored(condition: Condition) -> Condition:
    """A condition that means the same."""
    match condition:
        case Not(operand):
            return Not(factored(operand))
        case And(operands):
            return And(tuple(factored(operand) for operand in operands))
        case Or(operands):
            return _factored_or(tuple(factored(operand) for operand in operands))
        case Comparison(Measure() as measure, op, Constant(value)):
            return _some_event(measure, op, value) or condition
        case _:
            return condition


def _some_event(measure: Measure, op: Op, value: Decimal) -> Did | None:
    """`max(x.p) > 5` as `x[p > 5]`: no value, no such event. None where it is not like that."""
    prop, selection = measure.property, measure.selection
    if prop is None or prop.is_array:
        return None
    match measure.kind, op:
        case ("max", ">" | ">=") | ("min", "<" | "<="):
            test = Compare(prop, op, value)
        case _:
            return None
    where = selection.where
    before: tuple[Predicate, ...] = ()
    if where is not None:
        before = where.operands if isinstance(where, And) else (where,)
    both = And((*before, test)) if before else test
    return Did(Selection(selection.events, both), measure.window)


def _factored_or(alternatives: tuple[Condition, ...]) -> Condition:
    parts = [a.operands if isinstance(a, And) else (a,) for a in alternatives]
    common = [p for p in parts[0] if all(p in others for others in parts[1:])]
    if not common:
        return Or(alternatives)
    rests = [tuple(p for p in own if p not in common) for own in parts]
    if not all(rests):  # one alternative asks for nothing more, so the others do not matter
        return common[0] if len(common) == 1 else And(tuple(common))
    either = Or(tuple(rest[0] if len(rest) == 1 else And(rest) for rest in rests))
    return And((*common, either))
