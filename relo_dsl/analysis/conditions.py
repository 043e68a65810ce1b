"""Conditions over one device: what they claim, and which claims contradict one another.

Events, counts and measures are claims about numbers (`purchase` is a count of at least 1), traits
and scores claims about values; the rest are facts, each with what follows from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

from relo_dsl.analysis import predicates
from relo_dsl.analysis.formula import (
    UNKNOWN,
    All,
    AnyOf,
    Claim,
    Claims,
    Fact,
    Formula,
    Literal,
    Subject,
    merged,
    never,
)
from relo_dsl.analysis.predicates import ANY_SIGN, impossible, relation
from relo_dsl.analysis.quantities import (
    at_most,
    can_be_ordered,
    domain,
    has_no_events,
    is_never_missing,
    is_present_with,
    is_whole,
    needs_events,
    selects_within,
    tidy,
)
from relo_dsl.analysis.ranges import compared, point
from relo_dsl.analysis.windows import (
    belongs,
    cells,
    families,
    for_events,
    includes,
    on_line,
)
from relo_dsl.numbers import calculate
from relo_dsl.terms import (
    ALL_TIME,
    Affine,
    Ago,
    Always,
    And,
    Arithmetic,
    CompareProperties,
    Comparison,
    Condition,
    Constant,
    Did,
    Exists,
    Extreme,
    Held,
    Measure,
    Not,
    Op,
    Or,
    Predicate,
    Quantity,
    Reference,
    Regularity,
    Score,
    Selection,
    Trait,
    Window,
)
from relo_dsl.terms import (
    Sequence as Steps,
)

#: Conditions with more leaves than this are left alone from there on.
_LEAVES = 60
#: Periods up to which a regularity is looked into.
_PERIODS = 6
_SOME: Final = compared(">=", Decimal(1)).whole()
_NONE: Final = point(Decimal(0)).whole()
_FLIPPED: Final[dict[Op, Op]] = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


@dataclass
class _Maker:
    """Makes formulas; what goes beyond `leaves` becomes unknown, which proves nothing."""

    leaves: int = _LEAVES

    def formula(self, condition: Condition, holds: bool) -> Formula:
        match condition:
            case And(operands) | Or(operands):
                parts = tuple(self.formula(operand, holds) for operand in operands)
                return All(parts) if isinstance(condition, And) == holds else AnyOf(parts)
            case Not(operand):
                return self.formula(operand, not holds)
            case Always():
                return UNKNOWN  # also stands for what could not be bound
        self.leaves -= 1
        if self.leaves < 0:
            return UNKNOWN
        match condition:
            case Did(selection, window):
                return _counted(selection, window, some=holds)
            case Comparison(left, op, right):
                return _comparison(left, op, right, holds)
            case Trait(predicate):
                return predicates.formula(predicate, holds, "trait")
            case Score(predicate):
                return predicates.formula(predicate, holds, "score")
            case Reference(_, referred):
                return All((Fact(condition, holds), self.formula(referred, holds)))
        fact = Fact(condition, holds)
        return All((fact, *self._follows(condition))) if holds else fact

    def _follows(self, condition: Condition) -> Iterable[Formula]:
        """What must hold where the condition does."""
        match condition:
            case Held(predicate):
                yield predicates.formula(predicate, True, "trait")
            case Steps(steps, absence):
                for step in steps:
                    for window in step.windows or (ALL_TIME,):
                        if absence is not None and step is steps[-1]:
                            window = _passed(window, absence.length)
                        yield _counted(step.selection, window, some=True)
            case Extreme(which, selection, window, where):
                yield _counted(_narrowed(selection, where), window, some=True)
                rest = _beyond(which, window)
                if rest is not None:
                    yield _counted(selection, rest, some=False)
            case Regularity(_, at_least, periods) if periods <= _PERIODS:
                each = tuple(
                    self.formula(condition.in_period(window), True)
                    for window in condition.windows()
                )
                yield All(each) if at_least == periods else AnyOf(each)
            case Affine(selection, prop):
                yield _counted(selection.narrowed(Exists(prop)), ALL_TIME, some=True)
                yield _counted(condition.itself(), ALL_TIME, some=False)


def _passed(window: Window, length: int) -> Window:
    """The part of a window that lies so long ago: what a `then no` has waited for."""
    match window.until:
        case None:
            return Window(window.after, Ago(length))
        case Ago(millis):
            return Window(window.after, Ago(max(millis, length)))
        case _:
            return window


def _narrowed(selection: Selection, where: Predicate | None) -> Selection:
    return selection if where is None else selection.narrowed(where)


def _beyond(which: str, window: Window) -> Window | None:
    """Where no event is, if the first (last) one lies in the window; None: nowhere."""
    window = for_events(window)
    if which == "first":
        return None if window.after is None else Window(None, window.after)
    return None if window.until is None else Window(window.until, None)


def _counted(selection: Selection, window: Window, *, some: bool) -> Claim:
    measure = Measure("count", selection, None, for_events(window))
    return Claim(Subject(measure), _SOME if some else _NONE, False)


def _comparison(left: Quantity, op: Op, right: Quantity, holds: bool) -> Formula:
    left, right = _tidied(left), _tidied(right)
    if isinstance(left, Constant):
        left, op, right = right, _FLIPPED.get(op, op), left
    if isinstance(right, Constant):
        ranges = compared(op, right.value)
        values = domain(left)
        ranges = (ranges if holds else ~ranges) & values
        if is_whole(left):
            ranges = ranges.whole()
        return Claim(Subject(left), ranges, not holds and not is_never_missing(left))
    if repr(right) < repr(left):
        left, op, right = right, _FLIPPED.get(op, op), left
    signs = ANY_SIGN
    if left == right:
        signs = point(0)
    elif at_most(left, right):
        signs = relation("<=")
    elif at_most(right, left):
        signs = relation(">=")
    ranges = (relation(op) if holds else ~relation(op)) & signs
    missing = not holds and not (is_never_missing(left) and is_never_missing(right))
    return Claim(Subject(("compared", left, right)), ranges, missing)


def _tidied(quantity: Quantity) -> Quantity:
    match quantity:
        case Measure():
            return tidy(quantity)
        case Arithmetic(op, left, right):
            left, right = _tidied(left), _tidied(right)
            if isinstance(left, Constant) and isinstance(right, Constant):
                value = calculate(op, left.value, right.value)
                if value is not None:
                    return Constant(value)
            return Arithmetic(op, left, right)
        case _:
            return quantity


# ---- what contradicts what ---------------------------------------------------------------------


def closed(literals: list[Literal]) -> bool:
    """Whether literals about one device contradict one another."""
    own = [literal for literal in literals if not literal.scope]
    if len(own) < len(literals):
        for scope in ("trait", "score"):
            part = [literal for literal in literals if literal.scope == scope]
            if part and predicates.closed(part):
                return True
    claims = merged(own)
    if claims is None or _numbers_clash(claims) or _events_clash(claims):
        return True
    facts = [literal for literal in own if isinstance(literal, Fact)]
    true = [fact.node for fact in facts if fact.holds]
    false = [fact.node for fact in facts if not fact.holds]
    if any(_implies(node, other) for node in true for other in false):
        return True
    return any(_excludes(node, other) for index, node in enumerate(true) for other in true[:index])


def _numbers_clash(claims: Claims) -> bool:
    """Whether a measure would have to exceed one that it never exceeds."""
    measures = [(s.node, *claim) for s, claim in claims.items() if isinstance(s.node, Measure)]
    known = [(quantity, ranges) for quantity, ranges, missing in measures if not missing]
    for quantity, ranges, missing in measures:
        if missing and any(is_present_with(one, quantity) for one, _ in known):
            if not ranges:
                return True
            known.append((quantity, ranges))
    return any(
        not can_be_ordered(low, high) and at_most(small, large)
        for small, low in known
        for large, high in known
        if small is not large
    )


def _events_clash(claims: Claims) -> bool:
    """Whether there would have to be an event where there is none."""
    present: list[Measure] = []
    absent: list[Measure] = []
    for subject, (ranges, missing) in claims.items():
        present += needs_events(subject.node, ranges, missing=missing)
        if has_no_events(subject.node, ranges, missing=missing):
            absent.append(subject.node)
    return any(
        not _can_happen(one.selection, one.window)
        or (bool(absent) and no_event(one.selection, one.window, absent))
        for one in present
    )


def _can_happen(selection: Selection, window: Window) -> bool:
    """Whether such an event is possible at all; a single test of a property always is."""
    where = selection.where
    if isinstance(where, And | Or | Not | CompareProperties) and predicates.fails(where):
        return False
    return not _is_empty(window)


def no_event(selection: Selection, window: Window, absent: Sequence[Measure]) -> bool:
    """Whether no event can be selected in the window, given what there is none of."""
    for kind in selection.events or (None,):
        others = [
            (for_events(measure.window), measure.selection.where)
            for measure in absent
            if not measure.selection.events or kind in measure.selection.events
        ]
        if not others or not _nowhere(selection.where, window, others):
            return False
    return True


def _is_empty(window: Window) -> bool:
    if window.until is None:
        return False
    return any(
        belongs(window, family) and on_line(window, family)[0] >= on_line(window, family)[1]
        for family in families((window,))
    )


def _nowhere(
    where: Predicate | None, window: Window, absent: list[tuple[Window, Predicate | None]]
) -> bool:
    """Whether an event that passes is ruled out in every part of the window."""
    always = [other for rest, other in absent if includes(rest, window)]
    if always and _ruled_out(where, always):
        return True
    for family in families([window, *(rest for rest, _ in absent)]):
        low, high = on_line(window, family)
        lines = [(on_line(rest, family), other) for rest, other in absent if belongs(rest, family)]
        parts = cells(low, high, [line for line, _ in lines])
        if all(
            _ruled_out(
                where,
                always + [other for (start, end), other in lines if start <= a and b <= end],
            )
            for a, b in parts
        ):
            return True
    return False


def _ruled_out(where: Predicate | None, others: list[Predicate | None]) -> bool:
    if not others:
        return False
    return any(other is None or other == where for other in others) or impossible(
        ((where, True), *((other, False) for other in others))
    )


def _implies(first: Any, second: Any) -> bool:
    """Whether one fact implies another of the same kind."""
    if first == second:
        return True
    match first, second:
        case Held(predicate, length), Held(other, shorter):
            return length >= shorter and predicates.implies(predicate, other)
        case Extreme(), Extreme():
            return (
                (first.which, first.selection) == (second.which, second.selection)
                and includes(for_events(second.window), for_events(first.window))
                and predicates.implies(first.where, second.where)
            )
        case Regularity(), Regularity():
            kind = (first.condition, first.length, first.unit, first.zone)
            same = kind == (second.condition, second.length, second.unit, second.zone)
            return same and first.at_least >= second.at_least and first.periods <= second.periods
        case Affine(), Affine():
            bought = (first.selection, first.property, first.product)
            alike = bought == (second.selection, second.property, second.product)
            return alike and first.at_least >= second.at_least
        case Steps(), Steps():
            return _goes_through(first, second)
    return False


def _goes_through(first: Steps, second: Steps) -> bool:
    """Whether a way through `first` is, step by step in some run of it, one through `second`."""
    run = len(second.steps)
    for start in range(len(first.steps) - run + 1):
        is_last = start + run == len(first.steps)
        steps = first.steps[start : start + run]
        fits = all(
            selects_within(a.selection, b.selection)
            and all(any(includes(w, v) for v in a.windows) for w in map(for_events, b.windows))
            and (b.gap is None or index == 0 or (a.gap is not None and a.gap <= b.gap))
            for index, (a, b) in enumerate(zip(steps, second.steps, strict=True))
        )
        if fits and (second.absence is None or (is_last and first.absence == second.absence)):
            return True
    return False


def _excludes(first: Any, second: Any) -> bool:
    """Whether two facts never hold together."""
    match first, second:
        case Extreme(), Extreme() if (first.which, first.selection) == (
            second.which,
            second.selection,
        ):
            # One and the same event is asked about twice.
            if predicates.no_instant([for_events(first.window), for_events(second.window)], []):
                return True
            return impossible(((first.where, True), (second.where, True)))
    return False


# ---- answers -----------------------------------------------------------------------------------


def formula(condition: Condition, holds: bool) -> Formula:
    """What a condition, or its negation, says of one device."""
    return _Maker().formula(condition, holds)


def never_together(formulas: Iterable[Formula]) -> bool:
    """Whether it is proved that no device ever meets all of them."""
    return never(formulas, closed)


@lru_cache(maxsize=1024)
def never_holds(condition: Condition) -> bool:
    """Whether it is proved that no device ever meets the condition."""
    return never_together((formula(condition, True),))


@lru_cache(maxsize=1024)
def always_holds(condition: Condition) -> bool:
    """Whether it is proved that every device of the universe always meets the condition."""
    return never_together((formula(condition, False),))


def implies(first: Condition, second: Condition) -> bool:
    """Whether it is proved that every device that meets `first` meets `second`, at every T."""
    return never_together((formula(first, True), formula(second, False)))
