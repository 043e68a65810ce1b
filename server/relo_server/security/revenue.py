"""Whether a definition derives from revenue: partners must neither see it nor infer it.

What counts as revenue is read from the catalog: the property that RFM sums up, and every property,
field and trait whose unit is a currency. A property of such a name counts at whichever event. A
score may have been made from anything, so every score counts.

Whoever can size a definition learns about what it reads: `sum(revenue) > 1000` tells as much as the
number itself. So a definition derives from revenue wherever it reads it, however little: in a
condition, inside what it refers to, or in what it ranks by.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from relo_dsl.catalog import Catalog, PropertySpec
from relo_dsl.plan import Plan
from relo_dsl.terms import AnyElement, Held, Property, Score, Trait

#: `USD`, `EUR/unit`, `€`: three capitals could be something else, and are not given a chance.
_CURRENCY = re.compile(r"\b[A-Z]{3}\b|[$€£¥₹₩₽₺₫₱₴₦฿]")


@dataclass(frozen=True, slots=True)
class Revenue:
    """The names of what is revenue, fields as `products.paid`."""

    properties: frozenset[str]
    traits: frozenset[str]

    @classmethod
    def of(cls, catalog: Catalog) -> Revenue:
        """What a catalog says of it."""
        found = {catalog.rfm.revenue}
        for event in catalog.events.values():
            found.update(_priced(event.properties))
        return cls(frozenset(found), frozenset(_priced(catalog.traits)) | found)

    def read_by(self, plan: Plan) -> tuple[str, ...]:
        """What of it a plan reads, sorted: `revenue`, `user.income`, `score.churn`."""
        return tuple(sorted(set(self._read((plan.condition, plan.keep)))))

    def _read(self, node: Any, prefix: str = "") -> Iterator[str]:
        """Walks every field of every node, so that a new one is not forgotten."""
        match node:
            case Trait(predicate) | Held(predicate, _):
                yield from self._read(predicate, "user.")
            case Score(predicate):
                yield from self._read(predicate, "score.")
            case AnyElement(of, where):
                yield from self._read(of, prefix)
                yield from self._read(where, f"{prefix}{of.name}.")
            case Property(name, _, parent):
                path = f"{prefix}{parent}.{name}" if parent else f"{prefix}{name}"
                if self._is_revenue(path):
                    yield path
            case tuple():
                for item in node:
                    yield from self._read(item, prefix)
            case _ if is_dataclass(node):
                for item in fields(node):
                    yield from self._read(getattr(node, item.name), prefix)

    def _is_revenue(self, path: str) -> bool:
        if path.startswith("score."):
            return True
        if path.startswith("user."):
            return path.removeprefix("user.") in self.traits
        return path in self.properties


def derives_from_revenue(plan: Plan, catalog: Catalog) -> bool:
    """Whether the members, or the order, of a plan say anything about revenue."""
    return bool(Revenue.of(catalog).read_by(plan))


def _priced(specs: dict[str, PropertySpec]) -> Iterator[str]:
    for name, spec in specs.items():
        if spec.unit is not None and _CURRENCY.search(spec.unit):
            yield name
        yield from (f"{name}.{field}" for field in _priced(spec.fields))
