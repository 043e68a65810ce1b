"""Events on their way in: batches, what became of them, and what was refused."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import Field

from relo_dsl.engine import Engine
from relo_server.api.callers import Called
from relo_server.api.problems import Problem, told_in
from relo_server.api.routes.parts import Defined, OfClient, problems
from relo_server.api.taking import take
from relo_server.ingest.bodies import JSON
from relo_server.ingest.counts import sources
from relo_server.ingest.dead_letters import letters
from relo_server.ingest.replay import Again, answer_of
from relo_server.versions.withdrawal import withdraw

router = APIRouter(tags=["ingest"], responses=problems())

_EVENT = {"type": "object", "required": ["t", "ts", "did"]}
_BODY = {
    "required": True,
    "content": {
        JSON: {"schema": {"type": "array", "items": _EVENT}},
        "application/x-ndjson": {"schema": {"type": "string"}},
    },
}


@router.post(
    "/ingest/batch", name="ingest.batch", operation_id="ingest_batch",
    responses=problems(415), openapi_extra={"requestBody": _BODY},
)  # fmt: skip
async def batch(caller: Called, request: Request) -> dict[str, Any]:
    """Takes events: an array of JSON, or a line each (`application/x-ndjson`); gzip or zstd.

    What it answers for is on disk. An event that cannot be used is refused by itself, with its
    place, and kept as a dead letter; one that is there already is counted as a duplicate.
    """
    return await take(caller.house, caller.who, await request.body(), request.headers)


@router.get("/ingest/health", name="ingest.health", operation_id="ingest_health")
async def health(caller: Called, request: Request) -> dict[str, Any]:
    """When each source was last heard of, its last 24 hours, and what waits for the engine."""
    house = caller.house

    def work(engine: Engine) -> list[dict[str, Any]]:
        return sources(engine, caller.client, house.clock())

    answer = {
        "waiting_bytes": await house.aside(house.storing.waiting),
        "trouble": house.storing.trouble,
        "sources": await house.asking.do(work),
    }
    return told_in(request.headers, answer)


@router.get("/ingest/dead-letters", name="ingest.letters", operation_id="dead_letters")
async def dead_letters(
    caller: Called,
    request: Request,
    reason: Annotated[str, Query(max_length=200, description="Part of field and reason.")] = "",
    after: Annotated[str, Query(max_length=40, description="The id before the first.")] = "",
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
) -> dict[str, Any]:
    """Records that were refused for what they say, the oldest first; `next` leads on."""

    def work(engine: Engine) -> dict[str, Any]:
        found = letters(engine, caller.client, after=after, limit=limit + 1, reason=reason)
        shown = found[:limit]
        return {
            "letters": [one.to_json() for one in shown],
            "next": shown[-1].id if len(found) > limit else None,
        }

    answer = await caller.house.asking.do(work)
    return told_in(request.headers, answer)


class Replay(OfClient):
    """Which letters to send again: by their ids, and what is to stand for some of them."""

    ids: list[Annotated[str, Field(max_length=40)]] = Field(min_length=1, max_length=1_000)
    corrected: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="Records by the id of their letter; `did` stays the key."
    )


@router.post(
    "/ingest/dead-letters/replay", name="ingest.replay", operation_id="replay_dead_letters",
    responses=problems(404),
)  # fmt: skip
async def replay_dead_letters(
    caller: Called, request: Request, known: Defined, given: Replay
) -> dict[str, Any]:
    """Sends refused records again, as they were or corrected. Those that are stored go."""
    caller.require_client(given.client_id)
    house = caller.house

    def work(engine: Engine) -> dict[str, Any]:
        found = letters(engine, caller.client, ids=given.ids, limit=len(given.ids))
        missing = sorted({*given.ids} - {one.id for one in found})
        if missing:
            raise Problem(404, "unknown_letter", f"there is no dead letter `{missing[0]}`")
        publisher = house.publisher(engine, "ingest")
        again = Again(
            engine, known.catalog(), house.key, lambda client: withdraw(publisher, client),
            house.clock, calling_code=house.settings.ingest.calling_code, amounts=house.amounts,
        )  # fmt: skip
        return answer_of([again.replay(found, given.corrected)])

    answer = await house.building.do(work)
    return told_in(request.headers, answer)
