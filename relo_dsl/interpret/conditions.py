"""Conditions over one device."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import assert_never

from relo_dsl.interpret.measures import quantity, selected
from relo_dsl.interpret.predicates import test
from relo_dsl.interpret.sequences import extreme, regularity, sequence
from relo_dsl.interpret.values import read
from relo_dsl.interpret.visibility import DeviceView, traits_at
from relo_dsl.terms import (
    ALL_TIME,
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
    compared,
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
            return compared(quantity(left, device, at), op, quantity(right, device, at))
        case Extreme():
            return extreme(condition, device, at)
        case Sequence():
            return sequence(condition, device, at)
        case Regularity():
            return regularity(condition, lambda inner: holds(inner, device, context))
        case Held():
            return held(condition, device, at)
        case Affine():
            return affine(condition, device, context)
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


def held(node: Held, device: DeviceView, at: int) -> bool:
    """Whether the predicate held of the traits at every instant from T - `length` to T.

    They change at identifies alone: it is asked at the start, and after each of those since.
    """
    start = at - node.length
    changes = [e.time for e in device.identifies if start < e.time <= at]
    return all(
        test(node.predicate, traits_at(device.identifies, instant), instant)
        for instant in (start, *changes)
    )


def affine(node: Affine, device: DeviceView, context: Context) -> bool:
    """Whether the device bought something that goes with the product, and never the product."""
    bought = products(node, device, context.at)
    return node.product not in bought and not bought.isdisjoint(context.companions(node))


def products(node: Affine, device: DeviceView, at: int) -> frozenset[str]:
    """Everything the device bought up to T."""
    found: set[str] = set()
    for event in selected(node.selection, ALL_TIME, device, at):
        value = read(node.property, event.values)
        found.update(value if isinstance(value, tuple) else () if value is None else (value,))
    return frozenset(found)


def companions(node: Affine, consenting: Iterable[DeviceView], at: int) -> frozenset[str]:
    """What at least so many of the consenting devices bought that bought the product as well."""
    baskets = [products(node, device, at) for device in consenting]
    buyers = [basket - {node.product} for basket in baskets if node.product in basket]
    counts = Counter(product for basket in buyers for product in basket)
    return frozenset(product for product, count in counts.items() if count >= node.at_least)
