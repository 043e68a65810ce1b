"""Scores: devices by the latest values that models wrote for them."""

from __future__ import annotations

from sqlglot import exp

from relo_dsl.sql.build import call, column, compare, is_in, negated, number
from relo_dsl.sql.predicates import PredicateSql, Source, certain, holds_when_absent
from relo_dsl.sql.scope import Scope, device
from relo_dsl.sql.sequences import event_order
from relo_dsl.sql.traits import names_of
from relo_dsl.terms import Predicate, Property, properties_of


def score_query(predicate: Predicate, scope: Scope) -> exp.Select:
    """Devices with one of the scores for which the predicate holds.

    Where it holds for a device without the scores (`holds_when_absent`), the devices for which it
    does not: the answer is then the complement.
    """
    return scope.scores(names_of(predicate), [score_having(predicate, scope)])


def score_having(predicate: Predicate, scope: Scope) -> exp.Expr:
    """What `score_query` asks of a device's records of those scores; NULL is false."""
    names = names_of(predicate)
    test = PredicateSql(_source(names, scope), scope.params, scope.now).render(predicate)
    return negated(certain(test)) if holds_when_absent(predicate) else test


def score_test(predicate: Predicate, scope: Scope) -> exp.Expr:
    """The predicate as a test of a device of the universe."""
    absent = holds_when_absent(predicate)
    if not properties_of(predicate):
        return exp.true() if absent else exp.false()
    return is_in(device(), score_query(predicate, scope), negate=absent)


def _source(names: tuple[str, ...], scope: Scope) -> Source:
    def of_name(prop: Property) -> exp.Expr:
        return compare(column("name"), "=", scope.params.string(prop.name))

    def present(prop: Property) -> exp.Expr:
        if len(names) == 1:
            return exp.true()  # whoever is asked has a record of it
        return compare(call("countIf", of_name(prop)), ">", number(0))

    def value(prop: Property) -> exp.Expr:
        if len(names) == 1:
            return call("argMax", column("value"), event_order())
        latest = call("argMaxIf", column("value"), event_order(), of_name(prop))
        return call("if", present(prop), latest, exp.Null())

    return Source(value, present)
