"""What the operands of an `and` or `or` say of one another: contradictions and repetitions.

Every finding is proved, never guessed: a warning that an evaluation could refute is a bug. Operands
that speak of nothing in common are not compared, so a long chain costs little more than its length.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import cached_property
from typing import Any, cast

from relo_dsl.analysis import conditions, predicates
from relo_dsl.analysis.formula import Claim, Formula, may_hold, never
from relo_dsl.diagnostics import Diagnostics, Severity
from relo_dsl.source import Span
from relo_dsl.terms import (
    Absent,
    Always,
    And,
    CompareProperties,
    Condition,
    Did,
    Extreme,
    InList,
    Measure,
    Not,
    Or,
    OrMissing,
    Predicate,
    Property,
    Reference,
    Score,
    Selection,
    Trait,
    Window,
)

#: Pairs of one chain that are compared, at the most.
_PAIRS = 400
#: Operands up to which a chain is also looked at as a whole.
_TOGETHER = 24
#: Nodes of an operand up to which it is compared with others.
_SIZE = 400

#: Predicates that may contradict themselves.
_JOINED = (And, Or, Not, OrMissing, CompareProperties)


@dataclass
class Operand:
    """An operand of a chain (in brackets: `is_inside`), and what it claims, worked out once."""

    span: Span
    node: Condition | Predicate
    is_inside: bool = False

    @cached_property
    def true(self) -> Formula:
        return self._formula(True)

    @cached_property
    def false(self) -> Formula:
        return self._formula(False)

    def _formula(self, holds: bool) -> Formula:
        if self.is_inside:
            return predicates.formula(cast("Predicate", self.node), holds)
        return conditions.formula(cast("Condition", self.node), holds)

    @cached_property
    def is_decided(self) -> bool:
        """Whether it always or never holds by itself: that is another finding."""
        return self.never(self.true) or self.never(self.false)

    def never(self, *formulas: Formula) -> bool:
        """Whether the formulas, of operands of its chain, never hold together."""
        return never(formulas, predicates.closed if self.is_inside else conditions.closed)

    @cached_property
    def subjects(self) -> frozenset[str]:
        """What it speaks of; nothing where it is too large to look into."""
        return frozenset(_subjects(self.node))


def _subjects(node: Condition | Predicate) -> Iterator[str]:
    pending: list[Any] = [node]
    seen = 0
    while pending:
        node = pending.pop()
        seen += 1
        if seen > _SIZE:
            return
        match node:
            case Selection(events):
                yield from (f"event {event}" for event in events or ("*",))
            case Did() | Measure() | Extreme():
                pending.append(node.selection)
            case Property(name, _, parent):
                yield f"property {parent or name}"
            case InList(name):
                yield f"list {name}"
            case Reference(_, referred):
                yield f"reference {node.digest}"
                pending.append(referred)
            case tuple():
                pending.extend(node)
            case _ if is_dataclass(node):
                pending.extend(getattr(node, item.name) for item in fields(node) if item.compare)


def _related(first: Operand, second: Operand) -> bool:
    one, other = first.subjects, second.subjects
    if not one.isdisjoint(other):
        return True
    return ("event *" in one and any(s.startswith("event ") for s in other)) or (
        "event *" in other and any(s.startswith("event ") for s in one)
    )


def check_chain(
    op: str,
    operands: Sequence[tuple[Span, Condition | Predicate]],
    found: Diagnostics,
    *,
    is_inside: bool = False,
) -> None:
    """Reports an `and` that can never hold, an `or` that always does, and operands that another
    one makes needless; each at the later operand, naming the other. `is_inside` is for brackets.
    """
    parts = [
        Operand(span, node, is_inside)
        for span, node in operands
        if not isinstance(node, Always | Absent) and not has_error(found, span)
    ]
    if _report_clash(op, parts, found):
        return
    if 2 < len(parts) <= _TOGETHER and _report_clash_together(op, parts, found):
        return
    _report_needless(op, parts, found)


def check_alone(span: Span, condition: Condition, found: Diagnostics) -> None:
    """Reports a condition that can never hold, or always does, by itself."""
    if _is_plain(condition) or has_error(found, span) or _is_told(found, span):
        return
    part = Operand(span, condition)
    if _fails(part, part.true):
        found.report("contradiction", span, "this can never hold")
    elif _fails(part, part.false):
        found.report("always-true", span, "this always holds")


def _fails(part: Operand, formula: Formula) -> bool:
    """Whether a formula never holds; of a single claim that shows without a search."""
    return not may_hold(formula) if isinstance(formula, Claim) else part.never(formula)


def _is_plain(condition: Condition) -> bool:
    """Whether a condition decides something, as can be seen without a search."""
    inner = condition.operand if isinstance(condition, Not) else condition
    match inner:
        case Did(Selection(_, where), Window(until=until)):
            return until is None and not isinstance(where, _JOINED)
        case Trait(predicate) | Score(predicate):
            return not isinstance(predicate, _JOINED)
        case Always() | InList():
            return True
    return False


def has_error(found: Diagnostics, span: Span) -> bool:
    """Whether there is an error within the span: what stands there means nothing certain."""
    return any(
        item.severity is Severity.ERROR and span.start <= item.span.start < span.end
        for item in found.items
    )


def _is_told(found: Diagnostics, span: Span) -> bool:
    return any(
        item.code in ("contradiction", "always-true")
        and span.start <= item.span.start
        and item.span.end <= span.end
        for item in found.items
    )


def _pairs(parts: Sequence[Operand]) -> Iterator[tuple[Operand, Operand]]:
    compared = 0
    for index, second in enumerate(parts):
        for first in parts[max(0, index - _PAIRS) : index]:
            if _related(first, second):
                yield first, second
                compared += 1
                if compared >= _PAIRS:
                    return


def _report_clash_together(op: str, parts: Sequence[Operand], found: Diagnostics) -> bool:
    """Reports where several operands, no two of them, exclude or complete one another."""
    formulas = [part.true if op == "and" else part.false for part in parts]
    if not parts[0].never(*formulas):
        return False
    count = next(n for n in range(1, len(parts) + 1) if parts[0].never(*formulas[:n]))
    span = parts[count - 1].span
    if op == "and":
        message = "this can never hold together with all that stands before it"
        found.report("contradiction", span, message)
    else:
        found.report("always-true", span, "one of these always holds, this or one before it")
    return True


def _report_clash(op: str, parts: Sequence[Operand], found: Diagnostics) -> bool:
    """Reports the first two operands that exclude, or complete, each other; whether there are."""
    for first, second in _pairs(parts):
        if op == "and":
            clash = second.never(first.true, second.true)
        else:
            clash = second.never(first.false, second.false)
        if not clash:
            continue
        other = _shown(found.source.slice(first.span))
        if first.is_decided or second.is_decided:
            pass  # one alone is at fault, and told so
        elif op == "and":
            found.report(
                "contradiction", second.span, f"this can never hold together with `{other}`"
            )
        else:
            found.report("always-true", second.span, f"`{other}` or this always holds")
        return True
    return False


def _report_needless(op: str, parts: Sequence[Operand], found: Diagnostics) -> None:
    """In an `and`, what another one implies; in an `or`, what implies another one."""
    needless: set[int] = set()
    for first, second in _pairs(parts):
        if id(first) in needless or id(second) in needless:
            continue
        one, other = second, first  # of two that say the same it is the second
        if not _is_needless(op, one, other):
            one, other = first, second
            if not _is_needless(op, one, other):
                continue
        if one.is_decided or other.is_decided:
            continue
        needless.add(id(one))
        text = _shown(found.source.slice(other.span))
        found.report(
            "redundant-clause",
            one.span,
            f"`{text}` demands this already"
            if op == "and"
            else f"whoever meets this meets `{text}` already",
            help="without it the definition means the same",
        )


def _is_needless(op: str, one: Operand, other: Operand) -> bool:
    """Whether the chain means the same without `one`, because of `other`."""
    if op == "and":
        return one.never(other.true, one.false)
    return one.never(one.true, other.false)


def _shown(text: str) -> str:
    short = " ".join(text.split())
    return short if len(short) <= 60 else short[:59] + "…"
