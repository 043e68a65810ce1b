"""`affine to`: the purchases and the property that names their products."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relo_dsl.bind.values import Found, SpecResolver
from relo_dsl.catalog import AffinitySpec, PropertyType
from relo_dsl.syntax import nodes
from relo_dsl.terms import Affine, Always, Condition, Property, Selection

if TYPE_CHECKING:
    from relo_dsl.bind.conditions import ConditionBinder

_BROKEN = Always(False)
_EVENT = "purchase"
#: Where the catalog does not say: the first of these that a purchase has.
_PRODUCTS = ("product_id", "products.id", "product", "sku", "item_id")
_DEFAULT = 2
_MOST = 10**9
_HELP = "name both in the catalog: `affinity: {event: …, product: …}`"


def bind_affinity(binder: ConditionBinder, expr: nodes.Affine) -> Condition:
    """The condition; what is wrong with it, or missing in the catalog, is reported."""
    at_least = _DEFAULT if expr.at_least is None else expr.at_least
    if not 1 <= at_least <= _MOST:
        binder.found.report(
            "number-out-of-range", expr.span, f"expected at least 1 and at most {_MOST:,} devices"
        )
        return _BROKEN
    spec = binder.catalog.affinity
    event = _EVENT if spec is None else spec.event
    if event not in binder.catalog.events:
        if binder.allow_unknown:
            return _BROKEN  # nobody bought anything
        binder.found.report(
            "unknown-event",
            expr.span,
            f"affinity is about the event `{event}`, and the catalog has none",
            help=_HELP,
        )
        return _BROKEN
    prop = _product(binder, expr, event, spec)
    if prop is None:
        return _BROKEN
    return Affine(Selection((event,)), prop, expr.product.value, at_least)


def _product(
    binder: ConditionBinder, expr: nodes.Affine, event: str, spec: AffinitySpec | None
) -> Property | None:
    """The property that names products; None where there is none, reported."""
    properties = binder.catalog.events[event].properties
    resolver = SpecResolver((properties,), binder.found, "unknown-property", event)
    names = _PRODUCTS if spec is None else (spec.product,)
    found = [known for name in names if (known := resolver.lookup(name)) is not None]
    fitting = [known.property for known in found if _names_products(known)]
    if fitting:
        return fitting[0]
    if found:
        binder.found.report(
            "type-mismatch",
            expr.span,
            f"a product is named by a string, and `{event}.{_path(found[0].property)}` is none",
            help=_HELP,
        )
    elif not binder.allow_unknown:
        what = f"`{event}.{spec.product}`" if spec else f"a property of `{event}`"
        binder.found.report(
            "unknown-property",
            expr.span,
            f"affinity needs {what} that names the product, and the catalog has none",
            help=_HELP,
        )
    return None


def _names_products(known: Found) -> bool:
    return known.property.type.element is PropertyType.STRING


def _path(prop: Property) -> str:
    return prop.name if prop.parent is None else f"{prop.parent}.{prop.name}"
