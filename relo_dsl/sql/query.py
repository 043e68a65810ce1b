"""A compiled query: its text and the values that travel beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SqlQuery:
    """`text` holds placeholders `{p1:Type}`; `params` maps their names to Python values."""

    text: str
    params: Mapping[str, object] = field(default_factory=dict)
