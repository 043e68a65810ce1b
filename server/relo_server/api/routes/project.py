"""What definitions can name, and when they run."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from relo_dsl.catalog import Catalog, EventSpec, PropertySpec
from relo_dsl.engine import Engine
from relo_server.api.callers import Called, Caller
from relo_server.api.routes.parts import Defined, problems
from relo_server.ingest.observed import observed
from relo_server.refresh.live import Stores
from relo_server.refresh.schedule import scheduled
from relo_server.refresh.timetable import look
from relo_server.security.revenue import Revenue

router = APIRouter(tags=["project"], responses=problems())


@router.get("/catalog", name="catalog.read", operation_id="read_catalog")
async def catalog(caller: Called, known: Defined) -> dict[str, Any]:
    """Events, traits, lists, scores and places that definitions can name.

    `observed` are events of the last 30 days that came in and are in no catalog yet.
    """

    def work(engine: Engine) -> dict[str, Any]:
        kept = known.of(engine, caller.client)
        found = kept.workspace.catalog
        seen = observed(engine, caller.client, found, caller.house.clock())
        return {
            **told(caller, found, kept.workspace.lists or frozenset()),
            "observed": seen_by(caller, found, seen),
        }

    return await caller.house.asking.do(work)


def told(caller: Caller, found: Catalog, lists: frozenset[str]) -> dict[str, Any]:
    """A catalog as the caller may see it: who sees no revenue sees no property that is."""
    hidden = frozenset[str]() if caller.sees_revenue else _revenue(found)
    events = {name: _event(spec, hidden) for name, spec in found.events.items()}
    traits = {k: _property(v) for k, v in found.traits.items() if k not in hidden}
    scores = sorted(found.scores) if caller.sees_revenue else []
    return {
        "events": events, "traits": traits, "lists": sorted(lists), "scores": scores,
        "places": sorted(found.places),
    }  # fmt: skip


def seen_by(
    caller: Caller, found: Catalog, seen: dict[str, dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Observed events as the caller may see them."""
    hidden = frozenset[str]() if caller.sees_revenue else _revenue(found)
    return {
        name: {**one, "properties": {k: v for k, v in one["properties"].items() if k not in hidden}}
        for name, one in seen.items()
    }


def _revenue(found: Catalog) -> frozenset[str]:
    revenue = Revenue.of(found)
    return revenue.properties | revenue.traits


def _event(spec: EventSpec, hidden: frozenset[str]) -> dict[str, Any]:
    return {k: _property(v, k, hidden) for k, v in spec.properties.items() if k not in hidden}


def _property(
    spec: PropertySpec, path: str = "", hidden: frozenset[str] = frozenset()
) -> dict[str, Any]:
    found: dict[str, Any] = {"type": spec.type.value}
    if spec.enum:
        found["enum"] = list(spec.enum)
    if spec.unit:
        found["unit"] = spec.unit
    if spec.fields:
        fields = {k: v for k, v in spec.fields.items() if f"{path}.{k}" not in hidden}
        found["fields"] = {k: _property(v) for k, v in fields.items()}
    return found


@router.get("/schedule", name="schedule.read", operation_id="read_schedule")
async def schedule(caller: Called, known: Defined) -> dict[str, Any]:
    """When each audience is refreshed next, and how old what is published is."""
    house = caller.house

    def work(engine: Engine) -> dict[str, Any]:
        kept = known.of(engine, caller.client)
        found = scheduled(kept.workspace, kept.visible(caller))
        lines = look(Stores(engine, house.sets), found, house.settings.schedule, house.clock())
        return {"audiences": [line.to_json() for line in lines]}

    return await house.asking.do(work)
