"""Predicates over one event, the traits or one element."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, assert_never

import re2

from relo_dsl.interpret.places import in_area, near
from relo_dsl.interpret.times import anniversary_in, in_window, instant
from relo_dsl.interpret.values import Values, read
from relo_dsl.terms import (
    Absent,
    And,
    AnniversaryIn,
    AnyElement,
    Compare,
    CompareProperties,
    Exists,
    Has,
    InArea,
    InRange,
    InWindow,
    Near,
    Not,
    OneOf,
    Or,
    OrMissing,
    Predicate,
    TextMatch,
    compared,
    properties_of,
)


def test(predicate: Predicate, values: Values, at: int) -> bool:
    """Whether the predicate holds at T = `at` for one set of values. Absent properties make it
    false.
    """
    match predicate:
        case And(operands):
            return all(test(operand, values, at) for operand in operands)
        case Or(operands):
            return any(test(operand, values, at) for operand in operands)
        case Not(operand):
            return not test(operand, values, at)
        case OrMissing(inner):
            missing = any(read(named, values) is None for named in properties_of(inner))
            return missing or test(inner, values, at)
        case Absent(value):
            return value
        case CompareProperties(left, op, right, zone):
            first, second = read(left, values), read(right, values)
            if zone is not None and first is not None and second is not None:
                first, second = instant(first, zone), instant(second, zone)
            return compared(first, op, second)
        case _:
            value = read(predicate.property, values)
            return value is not None and _passes(predicate, value, at)


def _passes(predicate: Predicate, value: Any, at: int) -> bool:
    """The predicates on one property that is there."""
    match predicate:
        case Compare(_, op, other):
            return compared(value, op, other)
        case OneOf(_, others, negated):
            return bool((value in others) != negated)
        case InRange(_, low, high, negated):
            return bool((low <= value <= high) != negated)
        case TextMatch():
            return _text_matches(predicate, value)
        case Has(_, "any", others):
            return any(other in value for other in others)
        case Has(_, _, others):
            return all(other in value for other in others)
        case Exists():
            return True
        case InWindow():
            return in_window(predicate, value, at)
        case AnniversaryIn():
            return anniversary_in(predicate, value, at)
        case Near():
            return near(predicate, value)
        case InArea():
            return in_area(predicate, value)
        case AnyElement(_, where):
            return any(test(where, element, at) for element in value)
        case _:
            raise AssertionError(f"{type(predicate).__name__} is not about one property")


def _text_matches(predicate: TextMatch, value: str) -> bool:
    if predicate.how == "matches":
        pattern = compile_pattern(predicate.text, predicate.ignore_case)
        return pattern.search(value.encode()) is not None
    text, part = value, predicate.text
    if predicate.ignore_case:
        text, part = fold(text), fold(part)
    match predicate.how:
        case "contains":
            return part in text
        case "starts with":
            return text.startswith(part)
        case "ends with":
            return text.endswith(part)
        case _:
            assert_never(predicate.how)


def fold(text: str) -> str:
    """The text in lower case, one character at a time.

    Both σ and ς stand for Σ, or a part of a word could not be found in it: in ClickHouse
    `replaceAll(lowerUTF8(x), 'ς', 'σ')`.
    """
    return text.lower().replace("ς", "σ")


@lru_cache(maxsize=256)
def compile_pattern(pattern: str, ignore_case: bool = False) -> Any:
    """An RE2 pattern over UTF-8 bytes, read as ClickHouse's `match` reads it: `.` is any character.

    Raises re2.error for a pattern that RE2 cannot read.
    """
    options = re2.Options()
    options.dot_nl = True
    options.log_errors = False
    options.case_sensitive = not ignore_case
    return re2.compile(pattern.encode(), options)
