"""How many rows a preview would read, told before it is run.

The events of a type lie together, sorted by device: whoever asks for some of them reads the type's
rows, whatever the window. So the rows of each type, which the engine counts in no time, tell it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from relo_dsl.engine import Engine
from relo_dsl.plan import Plan, selections


def stored_rows(engine: Engine, client: int) -> dict[str, int]:
    """How many events of each type a client has. Raises as the engine does."""
    found = engine.rows(
        "SELECT event_type, count() FROM events WHERE client_id = {c:UInt32} GROUP BY event_type",
        {"c": client},
    )
    return {str(name): int(count) for name, count in found}


def rows_to_read(plans: Iterable[Plan], stored: Mapping[str, int]) -> int:
    """The events that asking these plans one by one would read."""
    return sum(_rows(plan, stored) for plan in plans)


def _rows(plan: Plan, stored: Mapping[str, int]) -> int:
    types = {name for one in selections(plan) for name in one.events or stored}
    return sum(stored.get(name, 0) for name in types)
