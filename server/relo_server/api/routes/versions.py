"""What is published of an audience: refreshed, checked, gone back on, and its versions."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from pydantic import Field
from starlette.responses import Response

from relo_dsl.engine import Engine
from relo_dsl.engine.migrate import apply_catalog
from relo_dsl.times import format_instant
from relo_server.api import idempotency
from relo_server.api.builds import wait_for
from relo_server.api.callers import Called, Caller
from relo_server.api.definitions import Kept
from relo_server.api.routes.audiences import Key, Wait, answered, start
from relo_server.api.routes.parts import Defined, Strict, problems
from relo_server.refresh.definitions import definition_of
from relo_server.versions import ledger
from relo_server.versions.ledger import Step, Version
from relo_server.versions.membership import differences
from relo_server.versions.publisher import Publisher
from relo_server.versions.rollback import rollback
from relo_server.versions.verify import verify

router = APIRouter(prefix="/audiences/{name}", tags=["versions"], responses=problems(404))
Name = Annotated[str, Path(max_length=200)]
_COUNTS = ("size", "entered", "left", "withheld")


class Refreshing(Strict):
    """How to refresh."""

    force: bool = Field(False, examples=[True], description="Publish whatever the size.")


class Back(Strict):
    """Where to go back to."""

    version: str | int = Field(
        examples=[12], description="Its number, as in the history, or its id."
    )


@router.post(
    "/refresh", name="audiences.refresh", operation_id="refresh_audience",
    responses={202: {"description": "It is being computed; `Location` tells."}},
)  # fmt: skip
async def refresh_(
    caller: Called, known: Defined, request: Request, name: Name, body: Refreshing | None = None,
    wait: Wait = 30, idempotency_key: Key = None,
) -> Response:  # fmt: skip
    """Computes and publishes an audience now, whatever its schedule says."""
    force = body is not None and body.force

    def there(engine: Engine) -> dict[str, Any]:
        known.of(engine, caller.client).require(name)
        return {}

    async def work() -> Response:
        more = await caller.house.asking.do(there)
        started = start(caller, known, request, name, more, force=force)
        await wait_for(started, wait)
        return answered(started)

    return await idempotency.once(caller, idempotency_key, f"{name} {force}", work)


@router.post("/rollback", name="audiences.rollback", operation_id="roll_audience_back")
async def rollback_(caller: Called, known: Defined, name: Name, body: Back) -> dict[str, Any]:
    """Publishes the members of an older version again. Who has withdrawn since stays out."""

    def work(engine: Engine) -> dict[str, Any]:
        kept = known.of(engine, caller.client)
        kept.require(name)
        done = rollback(publisher(caller, kept, engine), caller.client, name, str(body.version))
        return {
            "name": name,
            "to": done.to.ordinal,
            "version": shown(caller, done.version),
            "holdout": None if done.holdout is None else shown(caller, done.holdout),
        }

    return await caller.house.building.do(work)


@router.post("/verify", name="audiences.verify", operation_id="verify_audience")
async def verify_(caller: Called, known: Defined, name: Name) -> dict[str, Any]:
    """Compares the published set with its definition and its history, member by member."""

    def work(engine: Engine) -> dict[str, Any]:
        kept = known.of(engine, caller.client)
        kept.require(name)
        workspace = kept.workspace
        apply_catalog(engine, workspace.catalog)
        found = verify(
            publisher(caller, kept, engine), caller.client, name, definition_of(workspace, name)
        )
        return {**found.to_json(), "right": found.is_right}

    return await caller.house.building.do(work)


def publisher(caller: Caller, kept: Kept, engine: Engine) -> Publisher:
    """Who publishes on behalf of the caller."""
    house = caller.house
    flags = kept.workspace.catalog.flags_of
    return Publisher(engine, house.sets, flags, caller.who.name, house.clock)


@router.get("/versions", name="audiences.versions", operation_id="read_versions")
async def versions(
    caller: Called, known: Defined, name: Name,
    limit: Annotated[int, Query(ge=1, le=1000)] = 20,
) -> dict[str, Any]:  # fmt: skip
    """The versions of an audience, newest first, what was held back included."""

    def work(engine: Engine) -> dict[str, Any]:
        known.of(engine, caller.client).require_sight(caller, name)
        found = ledger.history(engine, caller.client, name, limit=limit)
        blocked = ledger.is_blocked(engine, caller.client, name)
        return {
            "name": name, "blocked": blocked, "versions": [shown(caller, one) for one in found]
        }  # fmt: skip

    return await caller.house.asking.do(work)


@router.get("/history", name="audiences.history", operation_id="read_history")
async def history(
    caller: Called, known: Defined, name: Name,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 100,
) -> dict[str, Any]:  # fmt: skip
    """The sizes of the published versions, oldest first: what a chart is drawn from."""

    def work(engine: Engine) -> dict[str, Any]:
        known.of(engine, caller.client).require_sight(caller, name)
        found = ledger.history(engine, caller.client, name, held=False, limit=limit)
        published = [one for one in reversed(found) if one.step is Step.PUBLISHED]
        points = [
            {"at": format_instant(one.at), "version": one.ordinal, "size": caller.count(one.size)}
            for one in published
        ]
        return {"name": name, "sizes": points}

    return await caller.house.asking.do(work)


@router.get("/diff", name="audiences.diff", operation_id="read_differences")
async def diff(
    caller: Called, known: Defined, name: Name,
    from_: Annotated[str | None, Query(alias="from", description="A version.")] = None,
    to: Annotated[str | None, Query(description="A version; the two are the last two.")] = None,
    limit: Annotated[int, Query(ge=0, le=10_000, description="Keys a side.")] = 0,
) -> dict[str, Any]:  # fmt: skip
    """Who entered and who left from one version to another: counts, and keys for who may see."""

    def work(engine: Engine) -> dict[str, Any]:
        known.of(engine, caller.client).require_sight(caller, name)
        last = ledger.history(engine, caller.client, name, held=False, limit=2)
        after = ledger.find(engine, caller.client, name, to or _ordinal(last, 0))
        before = ledger.find(engine, caller.client, name, from_ or _ordinal(last, -1))
        entered, left = differences(
            engine, before, after, limit=limit if caller.sees_members else 0
        )
        found: dict[str, Any] = {
            "name": name, "from": before.ordinal, "to": after.ordinal,
            "entered": caller.count(entered[0]), "left": caller.count(left[0]),
        }  # fmt: skip
        if caller.sees_members:
            found["entered_keys"] = [key.hex() for key in entered[1]]
            found["left_keys"] = [key.hex() for key in left[1]]
        return found

    return await caller.house.asking.do(work)


def _ordinal(last: list[Version], place: int) -> str:
    return str(last[place].ordinal) if last else "1"


def shown(caller: Caller, version: Version) -> dict[str, Any]:
    """A version as the caller may see it."""
    found: dict[str, Any] = version.to_json()
    return found | {key: caller.count(found[key]) for key in _COUNTS}
