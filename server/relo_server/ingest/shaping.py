"""The shapes of the catalog that holds now, made again whenever that changes."""

from __future__ import annotations

from collections.abc import Callable

from relo_dsl.catalog import Catalog
from relo_dsl.shapes import Shapes


class ShapesOf:
    """The shapes of the catalog that was asked for last. Threads may share it."""

    def __init__(self, named: Callable[[str], bool] | None = None) -> None:
        """`named` says which properties may have a column; all may where it is not given."""
        self._named = named
        self._last: tuple[Catalog, Shapes] | None = None

    def __call__(self, catalog: Catalog) -> Shapes:
        last = self._last
        if last is None or last[0] is not catalog:
            last = self._last = catalog, Shapes(catalog, self._named)
        return last[1]
