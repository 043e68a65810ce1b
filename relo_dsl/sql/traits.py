"""Traits: devices by what their latest visible identifies say."""

from __future__ import annotations

from sqlglot import exp

from relo_dsl.catalog import PropertyType
from relo_dsl.sql.build import Parameters, call, column, negated
from relo_dsl.sql.predicates import PredicateSql, Source, certain, holds_when_absent
from relo_dsl.sql.scope import Scope
from relo_dsl.terms import Predicate, Property, properties_of

#: The column of the traits table that holds values of a type.
TRAIT_COLUMNS: dict[PropertyType, str] = {
    PropertyType.STRING: "v_string",
    PropertyType.NUMBER: "v_number",
    PropertyType.BOOLEAN: "v_boolean",
    PropertyType.TIME: "v_time",
    PropertyType.POINT: "v_point",
    PropertyType.STRINGS: "v_strings",
    PropertyType.NUMBERS: "v_numbers",
}


def trait_query(predicate: Predicate, scope: Scope) -> exp.Select:
    """Devices with one of the traits for which the predicate holds.

    Where it holds for a device without the traits (`holds_when_absent`), the devices for which it
    does not: the answer is then the complement.
    """
    return scope.traits(names_of(predicate), [trait_test(predicate, scope)])


def names_of(predicate: Predicate) -> tuple[str, ...]:
    """The traits (or scores) that a predicate names, each once."""
    return tuple(dict.fromkeys(prop.name for prop in properties_of(predicate)))


def trait_test(predicate: Predicate, scope: Scope) -> exp.Expr:
    """What `trait_query` asks of a device's records of those traits; NULL is false."""
    names = names_of(predicate)
    test = PredicateSql(_source(names, scope.params), scope.params, scope.now).render(predicate)
    return negated(certain(test)) if holds_when_absent(predicate) else test


def _source(names: tuple[str, ...], params: Parameters) -> Source:
    """Traits as the value of the latest identify that set them.

    `argMax` skips NULLs, so a null that came last is found by a second one, over presence. Both
    order by one number made of time and tie, which is far faster than a pair.
    """

    def latest(what: exp.Expr, prop: Property) -> exp.Expr:
        millis = call("toInt128", call("toUnixTimestamp64Milli", column("time")))
        shifted = call("bitShiftLeft", millis, exp.Literal.number(64))
        order = exp.Add(this=shifted, expression=column("tie"))
        if len(names) == 1:
            return call("argMax", what, order)
        of_name = exp.EQ(this=column("name"), expression=params.string(prop.name))
        return call("argMaxIf", what, order, of_name)

    def present(prop: Property) -> exp.Expr:
        held: exp.Expr = column("present")
        if prop.type is PropertyType.POINT:
            held = call("notEmpty", column(TRAIT_COLUMNS[prop.type]))
        elif not prop.is_array:
            held = call("isNotNull", column(TRAIT_COLUMNS[prop.type]))
        return exp.EQ(this=latest(held, prop), expression=exp.Literal.number(1))

    def value(prop: Property) -> exp.Expr:
        stored = column(TRAIT_COLUMNS[prop.type])
        if prop.is_array or prop.type is PropertyType.POINT:
            return latest(stored, prop)
        return call("if", present(prop), latest(call("assumeNotNull", stored), prop), exp.Null())

    return Source(value, present)
