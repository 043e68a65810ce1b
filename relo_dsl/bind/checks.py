"""What a bound condition cannot mean: contradictions, tautologies, windows beyond retention.

Every finding here is proved, never guessed: a warning that an evaluation could refute is a bug.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import TypeAlias

from relo_dsl.analysis.chains import check_alone, check_chain, has_error
from relo_dsl.diagnostics import Diagnostics
from relo_dsl.source import Span
from relo_dsl.terms import Ago, And, Comparison, Condition, Constant, Measure, Not, Op, Or, Window
from relo_dsl.times import UNITS

#: `and` or `or`, and the operands it joins, each with its place.
Chain: TypeAlias = "tuple[str, list[tuple[Span, Condition]]]"


def check_chains(
    chains: Iterable[Chain],
    whole: tuple[Span, Condition],
    lets: Iterable[Span],
    found: Diagnostics,
) -> None:
    """Reports what the conditions of a definition say of one another, and what they come to.

    Where one of its `let`s is wrong nothing is said: what uses it means nothing certain.
    """
    if any(has_error(found, span) for span in lets):
        return
    nested = False
    for op, operands in chains:
        for span, condition in operands:
            if _is_chain(condition):
                nested = True
            else:
                check_alone(span, condition, found)
        check_chain(op, operands, found)
    if nested or not isinstance(whole[1], And | Or):
        check_alone(*whole, found)


def _is_chain(condition: Condition) -> bool:
    while isinstance(condition, Not):
        condition = condition.operand
    return isinstance(condition, And | Or)


def check_condition(condition: Condition, span: Span, found: Diagnostics) -> None:
    """Reports a comparison of a count with a number that decides nothing."""
    match condition:
        case Comparison(Measure(kind="count"), op, Constant(value)):
            decided = _count_decides(op, value)
            if decided is True:
                found.report("always-true", span, "a count is never below zero: this always holds")
            elif decided is False:
                found.report("contradiction", span, "a count is never below zero")


def check_windows(window: Window, months: int, span: Span, found: Diagnostics) -> None:
    """Hints at a rolling window that reaches further back than events are kept."""
    if isinstance(window.after, Ago) and window.after.millis > months * 31 * UNITS["d"]:
        found.report(
            "beyond-retention",
            span,
            f"events are kept for {months} months: nothing older than that is seen",
        )


def _count_decides(op: Op, value: Decimal) -> bool | None:
    if op in (">=", ">") and (value < 0 or (value == 0 and op == ">=")):
        return True
    if op == "!=" and (value < 0 or value != int(value)):
        return True
    if op in ("<", "<=", "=") and (value < 0 or (value == 0 and op == "<")):
        return False
    if op == "=" and value != int(value):
        return False
    return None
