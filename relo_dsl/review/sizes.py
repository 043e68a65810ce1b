"""Audiences that may be, or must be, smaller than what their destinations take."""

from __future__ import annotations

from relo_dsl.bind import BoundDefinition
from relo_dsl.catalog import Catalog
from relo_dsl.review import Reviewed


def least_taken(bound: BoundDefinition, catalog: Catalog) -> tuple[str, int] | None:
    """The destination of an audience that takes the fewest small audiences, and how many devices
    it must have at least; None where none of them sets a size.
    """
    sizes = [
        (one.minimum, name) for name in bound.header.exports if (one := catalog.destination(name))
    ]
    minimum, name = max(sizes, default=(0, ""))
    return (name, minimum) if minimum else None


def check_size(item: Reviewed) -> None:
    """Reports a written `minimum`, or a ranking, below the minimum of a destination."""
    least = least_taken(item.bound, item.catalog)
    if least is None:
        return
    name, minimum = least
    header = item.header("minimum")
    if header is not None and item.bound.header.minimum < minimum:
        item.found.report(
            "below-minimum",
            header.span,
            f"`{name}` takes audiences from {minimum:,} devices on, and this one may be published "
            f"with {item.bound.header.minimum:,}",
            replacement=f"minimum {minimum}",
            help=f"write `minimum {minimum}`",
        )
    keep = item.node.keep
    if keep is not None and not keep.amount.percent and keep.amount.value < minimum:
        item.found.report(
            "below-minimum",
            keep.span,
            f"`{name}` takes audiences from {minimum:,} devices on, and this one never has more "
            f"than {keep.amount.value:,}",
        )
