"""Points: near a place, inside a zone."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from relo_dsl.bind.times import as_type
from relo_dsl.catalog import PropertyType
from relo_dsl.diagnostics import did_you_mean
from relo_dsl.geo import Coordinates, is_on_earth
from relo_dsl.source import Span
from relo_dsl.syntax import nodes
from relo_dsl.terms import Absent, InArea, Near, Predicate, Property

if TYPE_CHECKING:
    from relo_dsl.bind.predicates import PredicateBinder

_BROKEN = Absent(False)


def bind_near(binder: PredicateBinder, expr: nodes.NearPoint) -> Predicate:
    """`location within 5km of (19.4326, -99.1332)`; what is wrong is reported."""
    target = _point(binder, expr.operand, expr.span)
    centre = _centre(binder, expr)
    if target is None or centre is None:
        return _BROKEN
    return Near(target, *centre, expr.metres)


def bind_zone(binder: PredicateBinder, expr: nodes.InZone) -> Predicate:
    """`location in zone("cdmx_centro")`; what is wrong is reported."""
    target = _point(binder, expr.operand, expr.span)
    zones = binder.values.catalog.zones
    corners = zones.get(expr.zone.value)
    if corners is None:
        _unknown(binder, "zone", expr.zone, zones)
    return _BROKEN if target is None or corners is None else InArea(target, corners)


def _point(binder: PredicateBinder, operand: nodes.Expr, span: Span) -> Property | None:
    target = binder.scalar(operand, PropertyType.POINT)
    if target is None:
        return None
    prop = as_type(target.property, target.spec.readable, PropertyType.POINT)
    if prop is None:
        kind = target.property.type
        binder.found.report(
            "type-mismatch",
            span,
            f"only a point has a place, and `{target.property.name}` is a {kind}",
            help=f"the type of points is `{PropertyType.POINT}`",
        )
    return prop


def _centre(binder: PredicateBinder, expr: nodes.NearPoint) -> Coordinates | None:
    centre = expr.centre
    if isinstance(centre, nodes.String):
        places = binder.values.catalog.places
        if centre.value not in places:
            _unknown(binder, "place", centre, places)
        return places.get(centre.value)
    return centre if is_on_earth(*centre) else None  # the parser has reported it


def _unknown(
    binder: PredicateBinder, what: str, name: nodes.String, known: Collection[str]
) -> None:
    help_text, best = did_you_mean(name.value, known, what)
    binder.found.report(
        f"unknown-{what}",
        name.span,
        f"there is no {what} `{name.value}` in the catalog",
        help=help_text if known else f"the catalog names them under `{what}s:`",
        replacement=f'"{best}"' if best else None,
    )
