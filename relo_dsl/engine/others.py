"""What all devices have to say of one, for `relo why`: production SQL, proved like the rest.

Only products and places come of it, never another device.
"""

from __future__ import annotations

from relo_dsl.consent import ScopedPlan
from relo_dsl.engine.client import Engine
from relo_dsl.plan import affinities
from relo_dsl.sql.lower import companions_query, place_query
from relo_dsl.terms import Affine


def companions(engine: Engine, plan: ScopedPlan, now: int) -> dict[Affine, frozenset[str]]:
    """For every `affine to` of a plan the products that go with its own at T = `now`."""
    return {
        affine: frozenset(
            str(product) for (product,) in engine.query(companions_query(plan, now, affine)).rows
        )
        for affine in affinities(plan.plan.condition)
    }


def place(engine: Engine, plan: ScopedPlan, now: int, key: bytes) -> tuple[int, int] | None:
    """The place of a device in the ranking at T = `now`, counted from 1, and of how many.

    None where the plan has no ranking, or the device no place to be compared: it does not consent
    or pass, or has no value.
    """
    if plan.plan.keep is None:
        return None
    rows = engine.query(place_query(plan, now, key)).rows
    return (int(rows[0][0]), int(rows[0][1])) if rows else None
