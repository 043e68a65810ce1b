"""Traits held without a break: devices by all that their identifies said in a while.

A predicate holds at every instant from T-A to T if it holds of the state at T-A and after every
change since. Over one trait each record is a state of its own, so a record is judged as it stands,
and of records in one millisecond the last alone. Over several, the state after each change is put
together from the latest record of each.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp

from relo_dsl.catalog import PropertyType
from relo_dsl.sql.build import all_of, any_of, call, column, compare, is_in, negated, number
from relo_dsl.sql.predicates import (
    PredicateSql,
    Source,
    certain,
    holds_when_absent,
    is_not_null,
)
from relo_dsl.sql.scope import Scope, device
from relo_dsl.sql.traits import TRAIT_COLUMNS, names_of
from relo_dsl.terms import Held, Property, properties_of

#: Added to times so that none is negative.
_SHIFT = 4_000_000_000_000


def held_test(held: Held, scope: Scope) -> exp.Expr:
    """The condition as a test of a device of the universe."""
    absent = holds_when_absent(held.predicate)
    if not properties_of(held.predicate):
        return exp.true() if absent else exp.false()
    return is_in(device(), held_query(held, scope), negate=absent)


def held_query(held: Held, scope: Scope) -> exp.Select:
    """Devices that held it; those that did not, where it holds of a device without any trait."""
    return scope.traits(names_of(held.predicate), [held_having(held, scope)])


def held_having(held: Held, scope: Scope) -> exp.Expr:
    """What `held_query` asks of a device's records of those traits, never NULL."""
    names = names_of(held.predicate)
    sql = HeldSql(held, scope, names)
    test = sql.one() if len(names) == 1 else sql.several()
    return negated(test) if holds_when_absent(held.predicate) else test


@dataclass(frozen=True)
class HeldSql:
    """The test of one device over its records of the traits `names`."""

    held: Held
    scope: Scope
    names: tuple[str, ...]

    @property
    def _start(self) -> int:
        return self.scope.now - self.held.length

    def _began(self) -> exp.Expr:
        return compare(column("time"), "<=", self.scope.params.time(self._start))

    def _since(self) -> exp.Expr:
        return compare(column("time"), ">", self.scope.params.time(self._start))

    # ---- one trait -----------------------------------------------------------------------------

    def one(self) -> exp.Expr:
        """It held at the start, and every record since says so."""
        source = Source(lambda prop: column(TRAIT_COLUMNS[prop.type]), _row_present)
        params, now = self.scope.params, self.scope.now
        said = certain(PredicateSql(source, params, now).render(self.held.predicate))
        first = call("argMaxIf", said, _order(0), self._began())
        begun: exp.Expr = compare(first, "=", number(1))
        if holds_when_absent(self.held.predicate):
            none = compare(call("countIf", self._began()), "=", number(0))
            begun = any_of([none, begun])
        # One number a record: its place in time, and in the last bit what it said.
        record = exp.Add(this=_order(1), expression=exp.Paren(this=said.copy()))
        records = call("arraySort", call("groupArrayIf", record, self._since()))
        following = call("arrayPopFront", call("arrayPushBack", records.copy(), number(0)))
        broken = call("arrayExists", _lambda(("x", "y"), self._broken()), records, following)
        return all_of([begun, negated(broken)])

    @staticmethod
    def _broken() -> exp.Expr:
        """A record says otherwise, and the one after it comes in a later millisecond."""

        def time(name: str) -> exp.Expr:
            return call("bitShiftRight", column(name), number(65))

        otherwise = compare(call("bitAnd", column("x"), number(1)), "=", number(0))
        return all_of([otherwise, compare(time("x"), "!=", time("y"))])

    # ---- several traits ------------------------------------------------------------------------

    def several(self) -> exp.Expr:
        """It held at the start and after each change since."""
        params, now = self.scope.params, self.scope.now
        source = Source(self._state, self._state_present)
        said = certain(PredicateSql(source, params, now).render(self.held.predicate))
        start = params.add(self._start + _SHIFT, "Int64")
        millis = call("toInt64", exp.Paren(this=_millis()))
        changes = call("groupArrayIf", millis, self._since())
        instants = call("arrayPushFront", changes, start)
        return compare(call("arrayAll", _lambda(("t",), said), instants), "=", number(1))

    def _latest(self, prop: Property, what: exp.Expr) -> exp.Expr:
        """What the latest record of a trait at the instant `t` holds; its default before any."""
        of_name = compare(column("name"), "=", self.scope.params.string(prop.name))
        record = call("tuple", _order(0), what)
        found = call("groupArrayIf", record, of_name)
        records = call("arraySort", _lambda(("r",), _part("r", 1)), found)
        time = call("bitShiftRight", _part("r", 1), number(64))
        known = compare(time, "<=", column("t"))
        return call("tupleElement", call("arrayLast", _lambda(("r",), known), records), number(2))

    def _state(self, prop: Property) -> exp.Expr:
        return self._latest(prop, column(TRAIT_COLUMNS[prop.type]))

    def _state_present(self, prop: Property) -> exp.Expr:
        present = call("toUInt8", _row_present(prop))
        return compare(self._latest(prop, present), "=", number(1))


def _row_present(prop: Property) -> exp.Expr:
    """Whether one record holds the trait."""
    stored = column(TRAIT_COLUMNS[prop.type])
    if prop.type is PropertyType.POINT:
        return call("notEmpty", stored)
    return compare(column("present"), "=", number(1)) if prop.is_array else is_not_null(stored)


def _part(name: str, index: int) -> exp.Expr:
    return call("tupleElement", column(name), number(index))


def _millis() -> exp.Expr:
    millis = call("toUnixTimestamp64Milli", column("time"))
    return exp.Add(this=millis, expression=number(_SHIFT))


def _order(bits: int) -> exp.Expr:
    """One number that orders records as (time, tie) does, so many bits to the left."""
    tie: exp.Expr = column("tie")
    if bits:
        tie = call("bitShiftLeft", call("toUInt128", tie), number(bits))
    shifted = call("bitShiftLeft", call("toUInt128", _millis()), number(64 + bits))
    return exp.Add(this=shifted, expression=tie)


def _lambda(names: tuple[str, ...], body: exp.Expr) -> exp.Lambda:
    arguments = [exp.Identifier(this=name, quoted=False) for name in names]
    return exp.Lambda(this=body, expressions=arguments)
