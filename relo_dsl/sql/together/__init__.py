"""Many plans answered together: a refresh asks for the members of all of them in few queries."""

from __future__ import annotations

from relo_dsl.sql.together.passes import Part, Pass, passes

__all__ = ["Part", "Pass", "passes"]
