"""One scan of one set of event types answers every leaf that asks about those events.

A leaf (`Did`, a comparison of measures) becomes an aggregate over the rows it is about. What all
leaves of a scan share goes into WHERE; what they do not share goes into each aggregate, and rows
that no leaf wants are kept out of the grouping.
"""

from __future__ import annotations

from collections.abc import Sequence as Several
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property

from sqlglot import exp

from relo_dsl.numbers import PLACES
from relo_dsl.sql.build import (
    all_of,
    any_of,
    call,
    column,
    compare,
    negated,
    number,
)
from relo_dsl.sql.leaves import EventTypes, Leaf, Rows, is_any_event, leaves, rows_of
from relo_dsl.sql.predicates import EVENT_SOURCE, PredicateSql, certain, is_not_null
from relo_dsl.sql.scope import Scope
from relo_dsl.sql.sequences import SequenceSql, event_order
from relo_dsl.terms import (
    NEVER_MISSING,
    And,
    Arithmetic,
    At,
    Comparison,
    Condition,
    Constant,
    Did,
    Extreme,
    Measure,
    Not,
    Op,
    Or,
    Predicate,
    Quantity,
    Reference,
    Regularity,
    Sequence,
    Window,
    measures_of,
)

_ARITHMETIC: dict[str, type[exp.Binary]] = {"+": exp.Add, "-": exp.Sub, "*": exp.Mul}
_COUNTS = ("count", "distinct", "days", "weeks", "months")
#: Below it a number and a billionth have a sum that Python's decimals hold exactly.
_AMPLE = 10**15
#: Added to days since 1970 it makes weeks begin on Mondays, and no day of the years kept negative.
_DAYS_TO_MONDAY = 70_003


@dataclass(frozen=True)
class Scan:
    """A condition over one set of event types, at one instant."""

    scope: Scope
    condition: Condition
    types: EventTypes
    value: Quantity | None = None
    """What is worked out for each device besides, by `valued`."""

    def valued(self, extra: Several[exp.Expr], name: str) -> exp.Select:
        """The devices for which the condition holds and that have a value, which is `name`d."""
        assert self.value is not None, "a scan for a value"
        label = exp.Identifier(this=name, quoted=False)
        value = exp.Alias(this=self._quantity(self.value), alias=label)
        return self._select(extra, once=True, also=[value])

    def query(
        self, extra: Several[exp.Expr] = (), *, once: bool = True, by: Several[exp.Expr] = ()
    ) -> exp.Select:
        """The devices for which the condition holds, among those that have any of the rows.

        `extra` are further tests of the device; without `once` a device may come several times.
        `by` asks the condition apart for each of its values: a device comes once for each.
        Only right for a condition that does not hold without events.
        """
        return self._select(extra, once=once, by=by)

    def _select(
        self,
        extra: Several[exp.Expr],
        *,
        once: bool,
        by: Several[exp.Expr] = (),
        also: Several[exp.Alias] = (),
    ) -> exp.Select:
        where, window = self._wanted()
        # Rows that pass WHERE are an event of one of these: nothing is left to ask of the device.
        sole = is_any_event(self.condition) and not also
        having = None if sole else self._test(self.condition)
        tests = [] if having is None else [having]
        tests += [is_not_null(column(named.alias)) for named in also]
        return self.scope.events(
            self.types, window, where, tests, devices=extra, once=once, by=by, also=also
        )

    def _wanted(self) -> tuple[list[exp.Expr], Window]:
        """What a row must pass to matter to any leaf, and the window that holds all of theirs."""
        after, until = self._hull
        shared = [self._sql.render(part) for part in ordered(self._shared)]
        remaining = self._remaining
        where = [*shared, *([any_of(remaining)] if remaining else [])]
        return where, Window(None if after is None else At(after), At(until))

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
        asked = [*leaves(self.condition), *(measures_of(self.value) if self.value else ())]
        return [rows for leaf in asked for rows in self._rows_of(leaf)]

    def _rows_of(self, leaf: Leaf) -> list[Rows]:
        return rows_of(leaf, self.scope.now)

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
        after, until = self._hull
        whole = [r for r in distinct if (r.after, r.until, r.where) == (after, until, self._shared)]
        if self.types and {kind for rows in whole for kind in rows.types} == set(self.types):
            return []  # every kind of event is wanted whole
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
        parts += [self._sql.render(part) for part in ordered(rows.where - self._shared)]
        return all_of(parts) if parts else None

    # ---- aggregates ----------------------------------------------------------------------------

    def _test(self, condition: Condition) -> exp.Expr | None:
        """The condition over a device's rows; None where every device of the scan passes."""
        match condition:
            case Did():
                return self._did(condition)
            case Not(Did() as did):
                return compare(self._count(self._rows_of(did)[0]), "=", number(0))
            case Extreme():
                return self._extreme(condition)
            case Sequence():
                return self._sequence(condition)
            case Regularity():
                return self._regularity(condition)
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
        rows = self._rows_of(did)[0]
        return None if self._own(rows) is None else compare(self._count(rows), ">", number(0))

    def _count(self, rows: Rows) -> exp.Expr:
        own = self._own(rows)
        return call("count") if own is None else call("countIf", own)

    def _extreme(self, extreme: Extreme) -> exp.Expr | None:
        """Some event lies in the window and none beyond it; or what the outermost one says."""
        inside, *beyond = self._rows_of(extreme)
        if extreme.where is not None:
            test = certain(self._sql.render(extreme.where))
            return self._of_outermost(extreme.which, test, inside)
        found = self._own(inside)
        tests = [] if found is None else [compare(call("countIf", found), ">", number(0))]
        tests += [compare(self._count(rows), "=", number(0)) for rows in beyond]
        return all_of(tests) if tests else None

    def _of_outermost(self, which: str, test: exp.Expr, inside: Rows) -> exp.Expr:
        """Whether the first (last) row lies in the window and passes; it may lie beyond."""
        params, now = self.scope.params, self.scope.now
        rows, name = replace(inside, after=None), "argMin"
        if which == "last":
            rows, name = replace(inside, until=now), "argMax"
        if which == "first" and inside.after is not None:
            test = all_of([compare(column("time"), ">", params.time(inside.after)), test])
        elif which == "last" and inside.until < now:
            test = all_of([compare(column("time"), "<=", params.time(inside.until)), test])
        own = self._own(rows)
        order = [event_order()] if own is None else [event_order(), own]
        found = call(name if own is None else f"{name}If", test, *order)
        return compare(found, "=", number(1))

    def _sequence(self, sequence: Sequence) -> exp.Expr:
        rows, scope = self._rows_of(sequence), self.scope
        sole = self._are_all(rows)
        return SequenceSql(sequence, rows, self._own, scope.params, scope.now, sole).render()

    def _are_all(self, rows: list[Rows]) -> bool:
        """Whether the scan reads no other rows than these."""
        return set(rows) == set(self._rows)

    def _regularity(self, regularity: Regularity) -> exp.Expr:
        tests = [
            self._test(regularity.in_period(period)) or exp.true()
            for period in regularity.windows()
        ]
        if regularity.at_least == 1:
            return any_of(tests)
        if regularity.at_least == len(tests):
            return all_of(tests)
        held: exp.Expr = exp.Paren(this=tests[0])
        for test in tests[1:]:
            held = exp.Add(this=held, expression=exp.Paren(this=test))
        return compare(held, ">=", self.scope.params.add(regularity.at_least, "UInt64"))

    def _comparison(self, comparison: Comparison) -> exp.Expr:
        left, op, right = comparison.left, comparison.op, comparison.right
        if _counts(left) and _is_small_whole(right):
            assert isinstance(left, Measure)
            assert isinstance(right, Constant)
            limit = self.scope.params.add(int(right.value), "UInt64")
            return compare(self._measure(left), op, limit)
        if (limit_of_sum := _limit_of_sum(comparison)) is not None:
            return self._average(*limit_of_sum)
        test = compare(self._quantity(left), op, self._quantity(right))
        return certain(test) if _may_miss(left) or _may_miss(right) else test

    def _average(self, measure: Measure, op: Op, limit: Decimal) -> exp.Expr:
        """`avg(x.p) OP limit` without a division: the sum beside so many times the limit."""
        assert measure.property is not None, "an average is over a property"
        own = self._own(self._rows_of(measure)[0])
        value = EVENT_SOURCE.value(measure.property)
        count = call("toDecimal256", _aggregate("count", value, own), number(0))
        times = exp.Mul(this=count, expression=self.scope.params.number(limit))
        return certain(compare(_aggregate("sum", value.copy(), own), op, times))

    def _quantity(self, quantity: Quantity) -> exp.Expr:
        match quantity:
            case Constant(value):
                return self.scope.params.number(value)
            case Measure():
                return self._measure(quantity)
            case Arithmetic(op, left, right):
                if op == "/" and _counts(right) and _is_plain(left):
                    return self._per_count(self._wide(left), self._quantity(right))
                if op == "/":
                    plain = _is_plain(left) and _is_plain(right)
                    return self._divided(self._wide(left), self._wide(right), plain=plain)
                return _ARITHMETIC[op](this=self._wide(left), expression=self._wide(right))

    def _per_count(self, left: exp.Expr, count: exp.Expr) -> exp.Expr:
        """The quotient by a count, as `_divided` gives it: a whole number is divided by faster."""
        none = compare(count, "=", number(0))
        above_zero = call("greatest", count.copy(), number(1))
        return call("if", none, exp.Null(), _cut(left, above_zero))

    def _divided(self, left: exp.Expr, right: exp.Expr, *, plain: bool) -> exp.Expr:
        """The quotient cut after 9 places; NULL where the divisor is zero or NULL.

        `plain` numbers have 9 places, and room to be divided as whole numbers: see `_cut`.
        Division looks at rows whose result is NULL too, and must not find a zero there.
        """
        divisor = self.scope.params.alias()
        if plain:
            right = call("toInt256", exp.Mul(this=right, expression=number(10**PLACES)))
        named = exp.alias_(exp.Paren(this=right), divisor)
        known = call("ifNull", call("nullIf", column(divisor), number(0)), number(1))
        if plain:
            left = call("toInt256", exp.Mul(this=left, expression=number(10 ** (2 * PLACES))))
            quotient = _of_billionths(call("intDiv", left, known))
        else:
            quotient = call("divideDecimal", left, known, number(PLACES))
        is_zero = compare(call("ifNull", exp.Paren(this=named), number(0)), "=", number(0))
        return call("if", is_zero, exp.Null(), quotient)

    def _wide(self, quantity: Quantity) -> exp.Expr:
        """An operand of arithmetic, with room for exact sums and products."""
        inner = self._quantity(quantity)
        if isinstance(quantity, Arithmetic):
            return exp.Paren(this=inner) if isinstance(inner, exp.Binary) else inner
        return call("toDecimal256", inner, number(9))

    def _measure(self, measure: Measure) -> exp.Expr:
        asked = self._rows_of(measure)[0]
        own = self._own(asked)
        if measure.kind == "count":
            return self._count(asked)
        if measure.kind in ("days", "weeks", "months"):
            period = self._period(measure.kind, measure.zone or "UTC")
            return _aggregate("uniqExact", period, own)
        assert measure.property is not None, "every measure but count is over a property"
        value = EVENT_SOURCE.value(measure.property)
        if measure.kind == "avg":
            rows = _aggregate("count", value, own)
            # Over no values the sum is NULL, and so is the quotient, whatever divides it.
            return _cut(_aggregate("sum", value.copy(), own), call("greatest", rows, number(1)))
        if measure.kind == "median":
            low = call("toDecimal256", _aggregate("quantileExactLow", value, own), number(9))
            high = _aggregate("quantileExactHigh", value.copy(), own)
            both = exp.Add(this=low, expression=call("toDecimal256", high, number(9)))
            return _cut(exp.Paren(this=both), number(2))
        name = {"sum": "sum", "min": "min", "max": "max", "distinct": "uniqExact"}[measure.kind]
        if measure.kind == "sum":
            # Sums of what is never NULL keep half the state, and over no values they are 0.
            value = call("ifNull", value, number(0))
        return _aggregate(name, value, own)

    def _period(self, kind: str, zone: str) -> exp.Expr:
        """A number or date that is the same for rows of one local day, week or month."""
        day = call("toDate32", column("time"), self.scope.params.string(zone))
        match kind:
            case "weeks":
                shifted = exp.Add(this=call("toInt32", day), expression=number(_DAYS_TO_MONDAY))
                return call("intDiv", shifted, number(7))
            case "months":
                return call("toYYYYMM", day)
            case _:
                return day


def _cut(total: exp.Expr, divisor: exp.Expr) -> exp.Expr:
    """The quotient by a whole number above zero, cut after 9 places.

    In billionths, where division of whole numbers cuts: `divideDecimal` takes four times as long as
    all the rest of a query.
    """
    billionths = exp.Mul(
        this=call("toDecimal256", total, number(9)), expression=number(1_000_000_000)
    )
    return _of_billionths(call("intDiv", call("toInt256", billionths), divisor))


def _limit_of_sum(comparison: Comparison) -> tuple[Measure, Op, Decimal] | None:
    """An average beside a number above zero, put so that nothing need be cut; or None.

    The average is cut after 9 places: it is above 5 where the exact one is at least 5 and a
    billionth.
    """
    match comparison:
        case Comparison(Measure("avg") as measure, op, Constant(value)) if 0 < value < _AMPLE:
            next_one = value + Decimal(10) ** -PLACES
            match op:
                case ">=" | "<":
                    return measure, op, value
                case ">":
                    return measure, ">=", next_one
                case "<=":
                    return measure, "<", next_one
    return None


def _of_billionths(whole: exp.Expr) -> exp.Expr:
    unit = call("toDecimal256", exp.Literal.string("0.000000001"), number(9))
    return exp.Mul(this=call("toDecimal256", whole, number(0)), expression=unit)


def _is_plain(quantity: Quantity) -> bool:
    """Whether a number has 9 places and is no wider than what sums and differences make it."""
    match quantity:
        case Arithmetic(op, left, right):
            return op in ("+", "-") and _is_plain(left) and _is_plain(right)
        case _:
            return True


def _aggregate(name: str, value: exp.Expr, own: exp.Expr | None) -> exp.Expr:
    return call(name, value) if own is None else call(f"{name}If", value, own.copy())


def _counts(quantity: Quantity) -> bool:
    return isinstance(quantity, Measure) and quantity.kind in _COUNTS


def _is_small_whole(quantity: Quantity) -> bool:
    return (
        isinstance(quantity, Constant)
        and quantity.value >= 0
        and quantity.value == int(quantity.value)
    )


def _may_miss(quantity: Quantity) -> bool:
    match quantity:
        case Measure(kind):
            return kind not in NEVER_MISSING
        case Arithmetic(op, left, right):
            return op == "/" or _may_miss(left) or _may_miss(right)
        case Constant():
            return False


def ordered(predicates: frozenset[Predicate]) -> list[Predicate]:
    """Predicates in an order that does not change from run to run."""
    return sorted(predicates, key=repr)
