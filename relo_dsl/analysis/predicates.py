"""Predicates over one record: what they claim, and which claims contradict one another.

A test of one plain property is exactly a set of values and whether absence passes; `and`, `or`
and `not` of such tests are exact too. Other tests are facts, with what can be proved of pairs.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from relo_dsl.analysis.formula import (
    UNKNOWN,
    All,
    AnyOf,
    Claim,
    Claims,
    Fact,
    Formula,
    Subject,
    merged,
    never,
)
from relo_dsl.analysis.formula import Literal as Literal_
from relo_dsl.analysis.ranges import (
    EVERYTHING,
    NOTHING,
    Ranges,
    between,
    compared,
    point,
    starting_with,
)
from relo_dsl.analysis.windows import belongs, cells, families, includes, on_line
from relo_dsl.catalog import PropertyType
from relo_dsl.terms import (
    Absent,
    And,
    AnniversaryIn,
    AnyElement,
    Compare,
    CompareProperties,
    Exists,
    Has,
    InRange,
    InWindow,
    Near,
    Not,
    OneOf,
    Op,
    Or,
    OrMissing,
    Predicate,
    Property,
    TextMatch,
    Window,
    properties_of,
)

_PLAIN = (PropertyType.STRING, PropertyType.NUMBER, PropertyType.BOOLEAN)
_SIGNS: dict[Op, tuple[int, ...]] = {
    "=": (0,), "!=": (-1, 1), "<": (-1,), "<=": (-1, 0), ">": (1,), ">=": (0, 1),
}  # fmt: skip


def relation(op: Op) -> Ranges:
    """The signs of left minus right that a comparison takes."""
    found = NOTHING
    for sign in _SIGNS[op]:
        found |= point(sign)
    return found


ANY_SIGN = between(-1, 1).whole()


def formula(predicate: Predicate, holds: bool, scope: str = "") -> Formula:
    """What a predicate, or its negation, says of one record."""
    match predicate:
        case And(operands) | Or(operands):
            parts = tuple(formula(operand, holds, scope) for operand in operands)
            return All(parts) if isinstance(predicate, And) == holds else AnyOf(parts)
        case Not(operand):
            return formula(operand, not holds, scope)
        case Absent():
            return UNKNOWN
        case OrMissing(inner):
            parts = tuple(_present(prop, not holds, scope) for prop in properties_of(inner))
            both = (formula(inner, holds, scope), *parts)
            return AnyOf(both) if holds else All(both)
        case Exists(prop):
            return _present(prop, holds, scope)
        case CompareProperties(left, op, right):
            return _compared(left, op, right, holds, scope)
        case Has(prop, how, values) if len(values) > 1:
            each = tuple(formula(Has(prop, "any", (v,)), holds, scope) for v in values)
            return All(each) if (how == "all") == holds else AnyOf(each)
        case Has(prop, "all", values):
            return formula(Has(prop, "any", values), holds, scope)
    ranges = _ranges(predicate)
    if ranges is not None:
        if predicate.property.type is PropertyType.BOOLEAN:
            ranges = _of_booleans(ranges if holds else ~ranges)
        elif not holds:
            ranges = ~ranges
        return Claim(Subject(predicate.property), ranges, not holds, scope)
    fact = Fact(predicate, holds, scope)
    return All((fact, _present(predicate.property, True, scope))) if holds else fact


def _present(prop: Property, present: bool, scope: str) -> Claim:
    return Claim(Subject(prop), EVERYTHING if present else NOTHING, not present, scope)


def _compared(left: Property, op: Op, right: Property, holds: bool, scope: str) -> Formula:
    if repr(right) < repr(left):
        flipped: dict[Op, Op] = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
        left, op, right = right, flipped.get(op, op), left
    signs = relation(op)
    if left == right:
        signs = signs & point(0)
    if not holds:
        signs = ~signs & (point(0) if left == right else ANY_SIGN)
    claim = Claim(Subject(("compared", left, right)), signs, False, scope)
    both = tuple(_present(prop, holds, scope) for prop in (left, right))
    return All((claim, *both)) if holds else AnyOf((claim, *both))


def _ranges(predicate: Predicate) -> Ranges | None:
    """The values of a plain property that pass; None where that is no set on a line."""
    match predicate:
        case Compare(prop, op, value) if prop.type in _PLAIN and not prop.is_array:
            return compared(op, value)
        case OneOf(prop, values, negated) if prop.type in _PLAIN and not prop.is_array:
            found = NOTHING
            for value in values:
                found |= point(value)
            return ~found if negated else found
        case InRange(prop, low, high, negated) if prop.type is PropertyType.NUMBER and (
            not prop.is_array
        ):
            return ~between(low, high) if negated else between(low, high)
        case TextMatch(prop, "starts with", text, False) if not prop.is_array:
            return starting_with(text)
    return None


def _of_booleans(ranges: Ranges) -> Ranges:
    found = NOTHING
    for value in (False, True):
        if value in ranges:
            found |= point(value)
    return found


# ---- what contradicts what ---------------------------------------------------------------------


def closed(literals: list[Literal_]) -> bool:
    """Whether literals about one record contradict one another."""
    claims = merged(literals)
    if claims is None:
        return True
    facts = [literal for literal in literals if isinstance(literal, Fact)]
    if not facts:
        return False
    true = [fact.node for fact in facts if fact.holds]
    false = [fact.node for fact in facts if not fact.holds]
    if any(_implies(node, other) for node in true for other in false):
        return True
    if any(isinstance(n, AnyElement) and impossible(((n.where, True),)) for n in true):
        return True
    return _no_text_left(claims, facts) or _no_time_left(true, false)


def _implies(first: Any, second: Any) -> bool:
    """Whether one fact implies another of the same kind."""
    if first == second:
        return True
    match first, second:
        case TextMatch(prop, how, text, ignore), TextMatch(other, kind, part, loose):
            same = prop == other and ignore == loose and not ignore and "matches" not in (how, kind)
            return same and kind == "contains" and part in text
        case Near(prop, lat, lon, metres), Near(other, north, east, more):
            return (prop, lat, lon) == (other, north, east) and metres <= more
        case AnniversaryIn(prop, window, zone), AnniversaryIn(other, wide, there):
            return (prop, zone) == (other, there) and includes(wide, window)
        case AnyElement(prop, where), AnyElement(other, wide):
            return prop == other and implies(where, wide)
    return False


def _no_text_left(claims: Claims, facts: list[Fact]) -> bool:
    """Whether a property can only be one of some texts, and each fails a test."""
    for prop, (ranges, missing) in claims.items():
        points = None if missing else ranges.points()
        if points is None:
            continue
        tests = [fact for fact in facts if isinstance(fact.node, TextMatch)]
        tests = [fact for fact in tests if fact.node.property == prop.node]
        if tests and all(any(_fails(value, fact) for fact in tests) for value in points):
            return True
    return False


def _fails(value: Any, fact: Fact) -> bool:
    test: TextMatch = fact.node
    if test.how == "matches" or test.ignore_case or not isinstance(value, str):
        return False
    match test.how:
        case "contains":
            passes = test.text in value
        case "starts with":
            passes = value.startswith(test.text)
        case _:
            passes = value.endswith(test.text)
    return passes is not fact.holds


def _no_time_left(true: list[Any], false: list[Any]) -> bool:
    """Whether a time would have to lie in windows that are disjoint, or wholly ruled out."""
    times = [node for node in true if isinstance(node, InWindow)]
    for one in times:
        key = (one.property, one.zone)
        inside = [node.window for node in times if (node.property, node.zone) == key]
        outside = [
            node.window
            for node in false
            if isinstance(node, InWindow) and (node.property, node.zone) == key
        ]
        if no_instant(inside, outside):
            return True
    return False


def no_instant(inside: list[Window], outside: list[Window]) -> bool:
    """Whether no instant lies in all of some windows and in none of the others, at every T."""
    for family in families((*inside, *outside)):
        ends = [on_line(window, family) for window in inside]
        low, high = max(end[0] for end in ends), min(end[1] for end in ends)
        lines = [on_line(window, family) for window in outside if belongs(window, family)]
        if all(
            any(start <= first and last <= end for start, end in lines)
            for first, last in (cells(low, high, lines) if low < high else ())
        ):
            return True
    return any(includes(window, one) for window in outside for one in inside)


# ---- answers -----------------------------------------------------------------------------------


def impossible(predicates: Iterable[tuple[Predicate | None, bool]]) -> bool:
    """Whether predicates (each to hold or not; None always does) can never do so together."""
    found = []
    for predicate, holds in predicates:
        if predicate is None:
            if not holds:
                return True
            continue
        found.append(formula(predicate, holds))
    return bool(found) and never(found, closed)


@lru_cache(maxsize=4096)
def implies(first: Predicate | None, second: Predicate | None) -> bool:
    """Whether every record that passes `first` passes `second` (None: every record)."""
    if second is None or first == second:
        return True
    return impossible(((first, True), (second, False)))


@lru_cache(maxsize=4096)
def fails(predicate: Predicate) -> bool:
    """Whether no record ever passes."""
    return impossible(((predicate, True),))
