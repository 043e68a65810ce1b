"""One scan of one set of event types answers every leaf that asks about those events.

A leaf (`Did`, a comparison of measures) becomes an aggregate over the rows it is about. What all
leaves of a scan share goes into WHERE; what they do not share goes into each aggregate, and rows
that no leaf wants are kept out of the grouping.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property

from sqlglot import exp

from relo_dsl.numbers import divide
from relo_dsl.sql.build import (
    all_of,
    any_of,
    call,
    column,
    compare,
    negated,
    number,
)
from relo_dsl.sql.predicates import EVENT_SOURCE, PredicateSql, certain
from relo_dsl.sql.scope import Scope
from relo_dsl.terms import (
    And,
    Arithmetic,
    At,
    Comparison,
    Condition,
    Constant,
    Did,
    Measure,
    Not,
    Or,
    Predicate,
    Quantity,
    Reference,
    Window,
    measures_of,
)

EventTypes = tuple[str, ...]
Leaf = Did | Measure
_NEVER_MISSING = ("count", "sum", "distinct")
_ARITHMETIC: dict[str, type[exp.Binary]] = {"+": exp.Add, "-": exp.Sub, "*": exp.Mul}


def event_types(condition: Condition, apart: Container[str] = ()) -> EventTypes | None:
    """The event types that a condition is about, if it is about events only and one set of them.

    References whose digest is in `apart` are sets of their own and take part in no scan.
    """
    match condition:
        case Did(selection):
            return selection.events
        case Comparison(left, _, right):
            return _together([m.selection.events for m in measures_of(left) + measures_of(right)])
        case Or(operands) if all(isinstance(operand, Did) for operand in operands):
            return _together([o.selection.events for o in operands if isinstance(o, Did)])
        case And(operands) | Or(operands):
            kinds = {event_types(operand, apart) for operand in operands}
            return kinds.pop() if len(kinds) == 1 else None
        case Not(operand):
            return event_types(operand, apart)
        case Reference(_, inner) as reference:
            return None if reference.digest in apart else event_types(inner, apart)
        case _:
            return None


def _together(types: Sequence[EventTypes]) -> EventTypes | None:
    if not types:
        return None
    if any(not kinds for kinds in types):
        return ()
    return tuple(sorted({kind for kinds in types for kind in kinds}))


def _is_any_event(condition: Condition) -> bool:
    """Whether one event decides: a single selection, or one of several."""
    match condition:
        case Or(operands):
            return all(isinstance(operand, Did) for operand in operands)
        case _:
            return isinstance(condition, Did)


def leaves(condition: Condition) -> Iterator[Leaf]:
    """Every leaf of an event condition, left to right."""
    match condition:
        case Did():
            yield condition
        case Comparison(left, _, right):
            yield from measures_of(left) + measures_of(right)
        case And(operands) | Or(operands):
            for operand in operands:
                yield from leaves(operand)
        case Not(operand):
            yield from leaves(operand)
        case Reference(_, referred):
            yield from leaves(referred)


def holds_without_events(condition: Condition) -> bool:
    """What an event condition says of a device that has none of its events."""
    match condition:
        case Did():
            return False
        case Comparison(left, op, right):
            return _compare_values(_without_events(left), op, _without_events(right))
        case And(operands):
            return all(holds_without_events(operand) for operand in operands)
        case Or(operands):
            return any(holds_without_events(operand) for operand in operands)
        case Not(operand):
            return not holds_without_events(operand)
        case Reference(_, inner):
            return holds_without_events(inner)
        case _:
            raise TypeError(f"not a condition over events: {type(condition).__name__}")


def _without_events(quantity: Quantity) -> Decimal | None:
    match quantity:
        case Constant(value):
            return value
        case Measure(kind):
            return Decimal(0) if kind in _NEVER_MISSING else None
        case Arithmetic(op, left, right):
            a, b = _without_events(left), _without_events(right)
            if a is None or b is None:
                return None
            match op:
                case "+":
                    return a + b
                case "-":
                    return a - b
                case "*":
                    return a * b
                case "/":
                    return divide(a, b)


def _compare_values(left: Decimal | None, op: str, right: Decimal | None) -> bool:
    if left is None or right is None:
        return False
    return {
        "=": left == right,
        "!=": left != right,
        "<": left < right,
        "<=": left <= right,
        ">": left > right,
        ">=": left >= right,
    }[op]


@dataclass(frozen=True)
class Rows:
    """The rows a leaf is about: a window (ends resolved at T) and predicates that all hold."""

    types: EventTypes
    after: int | None
    until: int
    where: frozenset[Predicate]


@dataclass(frozen=True)
class Scan:
    """A condition over one set of event types, at one instant."""

    scope: Scope
    condition: Condition
    types: EventTypes

    def query(self, extra: Sequence[exp.Expr] = (), *, once: bool = True) -> exp.Select:
        """The devices for which the condition holds, among those that have any of the rows.

        `extra` are further tests of the device; without `once` a device may come several times.
        Only right for a condition that does not hold without events.
        """
        after, until = self._hull
        window = Window(None if after is None else At(after), At(until))
        shared = [self._sql.render(part) for part in _ordered(self._shared)]
        remaining = self._remaining
        where = [*shared, *([any_of(remaining)] if remaining else [])]
        # Rows that pass WHERE are an event of one of these: nothing is left to ask of the device.
        having = None if _is_any_event(self.condition) else self._test(self.condition)
        tests = [] if having is None else [having]
        return self.scope.events(self.types, window, where, tests, devices=extra, once=once)

    @property
    def filters_rows(self) -> bool:
        """Whether it asks more of its rows than their type and time."""
        return bool(self._shared or self._remaining)

    @cached_property
    def _sql(self) -> PredicateSql:
        return PredicateSql(EVENT_SOURCE, self.scope.params, self.scope.now)

    # ---- what the leaves share -----------------------------------------------------------------

    @cached_property
    def _rows(self) -> list[Rows]:
        return [self._rows_of(leaf) for leaf in leaves(self.condition)]

    def _rows_of(self, leaf: Leaf) -> Rows:
        after, until = leaf.window.bounds(self.scope.now)
        where = leaf.selection.where
        parts = () if where is None else where.operands if isinstance(where, And) else (where,)
        return Rows(leaf.selection.events, after, until, frozenset(parts))

    @cached_property
    def _hull(self) -> tuple[int | None, int]:
        starts = [rows.after for rows in self._rows if rows.after is not None]
        after = min(starts) if len(starts) == len(self._rows) else None
        return after, max(rows.until for rows in self._rows)

    @cached_property
    def _shared(self) -> frozenset[Predicate]:
        return frozenset.intersection(*(rows.where for rows in self._rows))

    @cached_property
    def _remaining(self) -> list[exp.Expr]:
        """What rows must pass for some leaf; nothing where a leaf wants every row of the scan."""
        distinct = list(dict.fromkeys(self._rows))
        if self._windows_cover([r for r in distinct if r.where == self._shared]):
            return []
        tests = [self._own(rows) for rows in distinct]
        return [test for test in tests if test is not None] if None not in tests else []

    def _windows_cover(self, plain: list[Rows]) -> bool:
        """Whether the windows of leaves that ask nothing else leave no row of the scan out."""
        reached, end = self._hull
        for rows in sorted(plain, key=lambda r: (r.after is not None, r.after or 0)):
            starts = rows.after is None or (reached is not None and rows.after <= reached)
            if rows.types == self.types and starts:
                reached = rows.until if reached is None else max(reached, rows.until)
        return reached is not None and reached >= end and bool(plain)

    def _own(self, rows: Rows) -> exp.Expr | None:
        """What a leaf asks of a row beyond what the whole scan asks already."""
        parts: list[exp.Expr] = []
        if rows.types != self.types:
            parts.append(self.scope.among("event_type", rows.types))
        after, until = self._hull
        if rows.after is not None and rows.after != after:
            parts.append(compare(column("time"), ">", self.scope.params.time(rows.after)))
        if rows.until != until:
            parts.append(compare(column("time"), "<=", self.scope.params.time(rows.until)))
        parts += [self._sql.render(part) for part in _ordered(rows.where - self._shared)]
        return all_of(parts) if parts else None

    # ---- aggregates ----------------------------------------------------------------------------

    def _test(self, condition: Condition) -> exp.Expr | None:
        """The condition over a device's rows; None where every device of the scan passes."""
        match condition:
            case Did():
                return self._did(condition)
            case Not(Did() as did):
                own = self._own(self._rows_of(did))
                rows = call("count") if own is None else call("countIf", own)
                return compare(rows, "=", number(0))
            case Comparison():
                return self._comparison(condition)
            case And(operands):
                tests = [test for operand in operands if (test := self._test(operand)) is not None]
                return all_of(tests) if tests else None
            case Or(operands):
                alternatives = [self._test(operand) for operand in operands]
                known = [test for test in alternatives if test is not None]
                return any_of(known) if len(known) == len(alternatives) else None
            case Not(operand):
                inner = self._test(operand)
                return compare(call("count"), "=", number(0)) if inner is None else negated(inner)
            case Reference(_, inner_condition):
                return self._test(inner_condition)
            case _:
                raise TypeError(f"not a condition over events: {type(condition).__name__}")

    def _did(self, did: Did) -> exp.Expr | None:
        own = self._own(self._rows_of(did))
        return None if own is None else compare(call("countIf", own), ">", number(0))

    def _comparison(self, comparison: Comparison) -> exp.Expr:
        left, op, right = comparison.left, comparison.op, comparison.right
        if _counts(left) and _is_small_whole(right):
            assert isinstance(left, Measure)
            assert isinstance(right, Constant)
            limit = self.scope.params.add(int(right.value), "UInt64")
            return compare(self._measure(left), op, limit)
        test = compare(self._quantity(left), op, self._quantity(right))
        return certain(test) if _may_miss(left) or _may_miss(right) else test

    def _quantity(self, quantity: Quantity) -> exp.Expr:
        match quantity:
            case Constant(value):
                return self.scope.params.number(value)
            case Measure():
                return self._measure(quantity)
            case Arithmetic(op, left, right):
                if op == "/":
                    return self._divided(self._wide(left), self._wide(right))
                return _ARITHMETIC[op](this=self._wide(left), expression=self._wide(right))

    def _divided(self, left: exp.Expr, right: exp.Expr) -> exp.Expr:
        """The quotient cut after 9 places; NULL where the divisor is zero or NULL.

        `divideDecimal` looks at rows whose result is NULL too, and must not find a zero there.
        """
        divisor = self.scope.params.alias()
        named = exp.alias_(exp.Paren(this=right), divisor)
        known = call("ifNull", call("nullIf", column(divisor), number(0)), number(1))
        return call(
            "if",
            compare(call("ifNull", exp.Paren(this=named), number(0)), "=", number(0)),
            exp.Null(),
            call("divideDecimal", left, known, number(9)),
        )

    def _wide(self, quantity: Quantity) -> exp.Expr:
        """An operand of arithmetic, with room for exact sums and products."""
        inner = self._quantity(quantity)
        if isinstance(quantity, Arithmetic):
            return exp.Paren(this=inner) if isinstance(inner, exp.Binary) else inner
        return call("toDecimal256", inner, number(9))

    def _measure(self, measure: Measure) -> exp.Expr:
        own = self._own(self._rows_of(measure))
        if measure.kind == "count":
            return call("count") if own is None else call("countIf", own)
        assert measure.property is not None, "every measure but count is over a property"
        value = EVENT_SOURCE.value(measure.property)
        if measure.kind == "avg":
            rows = _aggregate("count", value, own)
            return call(
                "divideDecimal",
                _aggregate("sum", value.copy(), own),
                # Over no values the sum is NULL, and so is the quotient, whatever divides it.
                call("toDecimal256", call("greatest", rows, number(1)), number(0)),
                number(9),
            )
        name = {"sum": "sum", "min": "min", "max": "max", "distinct": "uniqExact"}[measure.kind]
        total = _aggregate(name, value, own)
        return call("ifNull", total, number(0)) if measure.kind == "sum" else total


def _aggregate(name: str, value: exp.Expr, own: exp.Expr | None) -> exp.Expr:
    return call(name, value) if own is None else call(f"{name}If", value, own.copy())


def _counts(quantity: Quantity) -> bool:
    return isinstance(quantity, Measure) and quantity.kind in ("count", "distinct")


def _is_small_whole(quantity: Quantity) -> bool:
    return (
        isinstance(quantity, Constant)
        and quantity.value >= 0
        and quantity.value == int(quantity.value)
    )


def _may_miss(quantity: Quantity) -> bool:
    match quantity:
        case Measure(kind):
            return kind not in _NEVER_MISSING
        case Arithmetic(op, left, right):
            return op == "/" or _may_miss(left) or _may_miss(right)
        case Constant():
            return False


def _ordered(predicates: frozenset[Predicate]) -> list[Predicate]:
    """Predicates in an order that does not change from run to run."""
    return sorted(predicates, key=repr)
