"""Conditions over what is known of a device besides its events: scores, RFM."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relo_dsl.catalog import PropertyType
from tests.differential.world import TRAITS, dotted

if TYPE_CHECKING:
    from tests.differential.definitions import Writer

SCORES = ("churn", "Upgrade Score")
#: Traits whose tests do not move with T.
_STEADY = [trait for trait in TRAITS if trait.type is not PropertyType.TIME]
_PARTS = ("recency", "frequency", "monetary")
_PATTERNS = ("champions", "at_risk", "new_customers", "hibernating", "regulars")


def leaf(writer: Writer, depth: int) -> tuple[str, bool]:
    """A condition; none of them is repeated by a window."""
    del depth
    pen = writer.pen
    if pen.chance(45):
        return _held(writer), False
    if pen.chance(50):
        return _score(writer), False
    if pen.chance(30):
        return f"rfm is {pen.pick(_PATTERNS)}", False
    return _rfm(writer), False


def _held(writer: Writer) -> str:
    pen = writer.pen
    length = pen.pick(("1d", "7d", "1ms", "30d", "1h", "2d", "90d"))
    kind = pen.between(0, 3)
    if kind == 0:
        op = pen.pick(("and", "or"))
        first, second = (writer.test(_STEADY, "user.") for _ in range(2))
        return f"(({first}) {op} ({second})) for {length}"
    if kind == 1:
        return f"(not {writer.test(_STEADY, 'user.')}) for {length}"
    return f"({writer.test(_STEADY, 'user.')}) for {length}"


def _score(writer: Writer) -> str:
    pen = writer.pen
    name = f"score.{dotted(pen.pick(SCORES))}"
    if pen.chance(12):
        return f"{name} {pen.pick(('exists', 'is missing'))}"
    if pen.chance(12):
        other = f"score.{dotted(pen.pick(SCORES))}"
        return f"{name} {pen.pick(('<', '>=', '='))} {other}"
    suffix = " or missing" if pen.chance(20) else ""
    return f"{_tested(writer, name)}{suffix}"


def _tested(writer: Writer, name: str) -> str:
    pen = writer.pen
    match pen.between(0, 3):
        case 0 | 1:
            return f"{name} {pen.pick(('>=', '<', '=', '!=', '>', '<='))} {writer.number()}"
        case 2:
            numbers = ", ".join(writer.number() for _ in range(pen.between(1, 3)))
            return f"{name} {'not ' if pen.chance(30) else ''}in ({numbers})"
        case _:
            low, high = sorted((writer.number(), writer.number()), key=float)
            return f"{name} {'not ' if pen.chance(30) else ''}in {low}..{high}"


def _rfm(writer: Writer) -> str:
    pen = writer.pen
    name = f"rfm.{pen.pick(_PARTS)}"
    suffix = " or missing" if pen.chance(20) else ""
    match pen.between(0, 4):
        case 0:
            return f"{name} {pen.pick(('exists', 'is missing'))}"
        case 1:
            low, high = sorted((pen.between(1, 5), pen.between(1, 5)))
            return f"{name} in {low}..{high}{suffix}"
        case 2:
            return f"{name} in ({pen.between(1, 5)}, {pen.between(1, 5)}){suffix}"
        case _:
            op = pen.pick((">=", "<=", "=", "!="))
            return f"{name} {op} {pen.between(1, 5)}{suffix}"
