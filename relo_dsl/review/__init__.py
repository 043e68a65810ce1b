"""What is odd about whole definitions: their lets, refreshes and sizes, and how they overlap."""

from __future__ import annotations

from dataclasses import dataclass

from relo_dsl.bind import BoundDefinition
from relo_dsl.catalog import Catalog
from relo_dsl.diagnostics import Diagnostics
from relo_dsl.plan import Plan
from relo_dsl.syntax import nodes

__all__ = ["Reviewed"]


@dataclass(frozen=True)
class Reviewed:
    """A definition without errors, in all its forms, and where its findings go."""

    node: nodes.Definition
    bound: BoundDefinition
    plan: Plan
    catalog: Catalog
    found: Diagnostics

    def header(self, keyword: str) -> nodes.Header | None:
        """A header statement as written, None where it is not."""
        return next((h for h in self.node.headers if h.keyword == keyword), None)
