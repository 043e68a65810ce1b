"""Conditions over one device."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import assert_never

from relo_dsl.interpret.measures import quantity, selected
from relo_dsl.interpret.predicates import compare, test
from relo_dsl.interpret.sequences import extreme, regularity, sequence
from relo_dsl.interpret.visibility import DeviceView
from relo_dsl.terms import (
    Affine,
    Always,
    And,
    Comparison,
    Condition,
    Did,
    Extreme,
    Held,
    InList,
    Not,
    Or,
    Reference,
    Regularity,
    Score,
    Sequence,
    Trait,
)

Lists = Mapping[str, frozenset[str]]


@dataclass
class Context:
    """What a condition over one device needs beside the device.

    `companions` gives, for an `Affine`, the products that go with its own. `known` keeps the
    answers to references by digest: one that is used twice is computed once, or a ladder of
    references would take for ever.
    """

    at: int
    lists: Lists
    companions: Callable[[Affine], frozenset[str]]
    known: dict[tuple[str, str], bool] = field(default_factory=dict)


def holds(condition: Condition, device: DeviceView, context: Context) -> bool:
    """Whether the condition holds for the device at T.

    Raises KeyError for a list that is not among the context's.
    """
    at = context.at
    match condition:
        case And(operands):
            return all(holds(operand, device, context) for operand in operands)
        case Or(operands):
            return any(holds(operand, device, context) for operand in operands)
        case Not(operand):
            return not holds(operand, device, context)
        case Did(selection, window):
            return len(selected(selection, window, device, at)) > 0
        case Comparison(left, op, right):
            return compare(quantity(left, device, at), op, quantity(right, device, at))
        case Extreme():
            return extreme(condition, device, at)
        case Sequence():
            return sequence(condition, device, at)
        case Regularity():
            return regularity(condition, lambda inner: holds(inner, device, context))
        case Held() | Affine():
            raise NotImplementedError
        case Trait(predicate):
            return test(predicate, device.traits, at)
        case Score(predicate):
            return test(predicate, device.scores, at)
        case InList(name):
            return device.id in context.lists[name]
        case Reference(_, referred):
            key = (device.id, condition.digest)
            if key not in context.known:
                context.known[key] = holds(referred, device, context)
            return context.known[key]
        case Always(value):
            return value
        case _:
            assert_never(condition)
