"""Why a device is a member at an instant, or is not: what decided it, by the naive evaluator."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal

from relo_dsl.bind import Clause
from relo_dsl.catalog import CONSENT_FLAGS
from relo_dsl.consent import scope
from relo_dsl.interpret import (
    Device,
    DeviceView,
    consented,
    context_of,
    exists,
    holdout,
    holds,
    members,
    quantity,
    view,
)
from relo_dsl.interpret.history import current_flags
from relo_dsl.terms import And, Comparison, Condition, Constant, Not, Or
from relo_dsl.testing.outcome import Question

Kind = Literal["member", "universe", "consent", "clause", "ranking", "sample", "holdout"]


@dataclass(frozen=True, slots=True)
class Finding:
    """A clause of the outermost `and`, whether it holds, and the numbers that it compares."""

    clause: Clause
    holds: bool
    values: tuple[Decimal | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Reason:
    """What decided. `kind` is `member` where all holds, else the first thing that does not.

    `findings` are all clauses of a member, the one that does not hold of `clause`, else none.
    """

    kind: Kind
    text: str
    findings: tuple[Finding, ...] = ()


def reason_for(question: Question, device_id: str, at: int) -> Reason:
    """Why the device of a test is a member at `at`, or is not."""
    scoped, history = question.scoped, question.history
    device = history.devices.get(device_id)
    if device is None:
        return Reason("universe", "the test gives it no records")
    if not exists(scoped, device, at):
        return Reason(
            "universe", "it has no event and no `identify` that the definition may see at this time"
        )
    if not consented(scoped, device, at):
        return Reason("consent", _consent_text(question, device, at))
    seen = view(scoped, device, at)
    context = context_of(scoped, history, at, question.lists)
    findings = tuple(
        Finding(clause, holds(clause.condition, seen, context), _values(clause, seen, at))
        for clause in question.bound.clauses
    )
    false = [finding for finding in findings if not finding.holds]
    if false:
        return Reason("clause", "this does not hold", (false[0],))
    if device_id in members(scoped, history, at, question.lists):
        return Reason("member", "everything holds", findings)
    return _left_out(question, device_id, at)


def _left_out(question: Question, device: str, at: int) -> Reason:
    """Why a device that passes the condition is no member."""
    plan, history, lists = question.scoped.plan, question.history, question.lists
    if device not in members(scope(replace(plan, shares=None)), history, at, lists):
        return Reason("ranking", "it has no place in the ranking (`keep`)")
    if device in holdout(question.scoped, history, at, lists):
        return Reason("holdout", "it is in the holdout")
    return Reason("sample", "it is not in the sample")


def _consent_text(question: Question, device: Device, at: int) -> str:
    flags = current_flags(device, at, question.scoped.plan.default_flags)
    missing = question.scoped.mask & ~flags
    names = [name for name, bit in CONSENT_FLAGS.items() if missing & bit]
    return f"its consent ({flags}) lacks {' and '.join(names)} ({missing})"


def _values(clause: Clause, device: DeviceView, at: int) -> tuple[Decimal | None, ...]:
    """The numbers that a clause compares, from left to right, each once; None: missing."""
    found: dict[object, Decimal | None] = {}
    for comparison in _comparisons(clause.condition):
        for side in (comparison.left, comparison.right):
            if not isinstance(side, Constant):
                found[side] = quantity(side, device, at)
    return tuple(found.values())


def _comparisons(condition: Condition) -> Iterator[Comparison]:
    match condition:
        case Comparison():
            yield condition
        case And(operands) | Or(operands):
            for operand in operands:
                yield from _comparisons(operand)
        case Not(operand):
            yield from _comparisons(operand)
