"""Affinity: devices that bought what goes with a product, and never the product itself."""

from __future__ import annotations

from sqlglot import exp

from relo_dsl.sql.build import any_of, call, column, compare, is_in, number, select, subquery
from relo_dsl.sql.predicates import EVENT_SOURCE, PredicateSql, is_not_null
from relo_dsl.sql.scope import Scope, device
from relo_dsl.terms import ALL_TIME, Affine, Compare, Has


def affinity_query(affine: Affine, scope: Scope) -> exp.Select:
    """The devices, each once.

    Three passes, two of them narrow, beat one or two that gather baskets (docs/adr/0011).

    The companions are counted among those who consent at T, whatever is asked of the outermost
    SELECT: a count of devices without consent must not learn from them either.
    """
    name = scope.params.alias()

    def product() -> exp.Expr:
        return column(name)

    shared = companions(affine, scope, name)

    def itself() -> exp.Expr:
        return compare(product(), "=", scope.params.string(affine.product))

    return select(
        [device()],
        subquery(_bought(affine, scope, name)),
        [any_of([is_in(product(), shared), itself()])],
        [device()],
        [compare(call("countIf", itself()), "=", number(0))],
    )


def companions(affine: Affine, scope: Scope, name: str) -> exp.Select:
    """The products that go with the one asked about, each once, under the name."""

    def product() -> exp.Expr:
        return column(name)

    return select(
        [product()],
        subquery(_bought(affine, scope, name)),
        [
            is_in(device(), _buyers(affine, scope)),
            scope.consent_guard(),
            compare(product(), "!=", scope.params.string(affine.product)),
        ],
        [product()],
        [compare(call("uniqExact", device()), ">=", scope.params.add(affine.at_least, "UInt64"))],
    )


def _bought(affine: Affine, scope: Scope, name: str) -> exp.Select:
    """A row for each product of each purchase, under the name."""
    value = EVENT_SOURCE.value(affine.property)
    where = [] if affine.property.is_array else [is_not_null(value.copy())]
    if affine.property.is_array:
        value = call("arrayJoin", value)
    named = exp.Alias(this=value, alias=exp.Identifier(this=name, quoted=False))
    where += _selected(affine, scope)
    return scope.events(affine.selection.events, ALL_TIME, where, [], once=False, also=[named])


def _buyers(affine: Affine, scope: Scope) -> exp.Select:
    """The devices that bought the product itself."""
    prop, product = affine.property, affine.product
    bought = Has(prop, "any", (product,)) if prop.is_array else Compare(prop, "=", product)
    sql = PredicateSql(EVENT_SOURCE, scope.params, scope.now)
    where = [sql.render(bought), *_selected(affine, scope)]
    return scope.events(affine.selection.events, ALL_TIME, where, [], once=False)


def _selected(affine: Affine, scope: Scope) -> list[exp.Expr]:
    where = affine.selection.where
    if where is None:
        return []
    return [PredicateSql(EVENT_SOURCE, scope.params, scope.now).render(where)]
