"""The size of an audience as it is now, told again whenever it has changed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import StreamingResponse

from relo_dsl.engine import Engine
from relo_dsl.engine.migrate import apply_catalog
from relo_dsl.times import format_instant
from relo_server.api.callers import Called, Caller
from relo_server.api.definitions import Definitions, require_sound
from relo_server.api.routes.parts import Defined, problems
from relo_server.estimate import exact

router = APIRouter(tags=["audiences"], responses=problems(404))
_STREAM = "text/event-stream"


@router.get(
    "/audiences/{name}/live", name="audiences.live", operation_id="watch_audience",
    responses={200: {"content": {_STREAM: {}}, "description": "Server-sent events."}},
    response_class=StreamingResponse,
)  # fmt: skip
async def live(
    caller: Called,
    known: Defined,
    request: Request,
    name: Annotated[str, Path(max_length=200)],
    every: Annotated[float, Query(ge=0.1, le=300, description="Seconds between two looks.")] = 5,
    events: Annotated[int | None, Query(ge=1, description="End after so many.")] = None,
) -> StreamingResponse:
    """What is published and how many it would be now: an event `size` at once, and at each change.

    All who watch an audience share the counts. A comment in between keeps the connection alive.
    """
    first = await caller.house.asking.do(lambda engine: _look(caller, known, engine, name))
    counts: Counts = request.app.state.counts

    async def stream() -> AsyncIterator[str]:
        told, sent = None, 0
        found: dict[str, Any] = first
        while True:
            if found != told:
                told, sent = found, sent + 1
                size = {"at": format_instant(caller.house.clock()), **found}
                yield f"event: size\ndata: {json.dumps(size)}\n\n"
            else:
                yield ": as before\n\n"
            if (events is not None and sent >= events) or request.app.state.stopping.is_set():
                return
            await _sleep(request, every)
            found = await counts.of(caller, known, name, every)

    return StreamingResponse(stream(), media_type=_STREAM, headers={"X-Accel-Buffering": "no"})


async def _sleep(request: Request, seconds: float) -> None:
    """So long, or until the service stops."""
    try:
        async with asyncio.timeout(seconds):
            await request.app.state.stopping.wait()
    except TimeoutError:
        return


def _look(caller: Caller, known: Definitions, engine: Engine, name: str) -> dict[str, Any]:
    """What is published, and what would be now, as the caller may see it."""
    kept = known.of(engine, caller.client)
    kept.require_sight(caller, name)
    workspace = kept.workspace
    require_sound(workspace, [name])
    apply_catalog(engine, workspace.catalog)
    info = caller.house.sets.info(caller.client, name)
    now = exact(workspace.plan(name), engine, caller.house.clock())
    return {
        "name": name,
        "now": caller.count(now.size),
        "published": None if info is None else caller.count(info.size),
        "version": None if info is None else info.version,
        "as_of": None if info is None else format_instant(info.at),
    }


class Counts:
    """The looks that are going on or were just made, one for all who ask at a time."""

    def __init__(self) -> None:
        self._made: dict[tuple[int, str, str], tuple[float, asyncio.Task[dict[str, Any]]]] = {}

    async def of(
        self, caller: Caller, known: Definitions, name: str, every: float
    ) -> dict[str, Any]:
        """A look that is no older than half of `every` seconds."""
        key = caller.client, name, caller.role.value
        moment = asyncio.get_running_loop().time()
        made = self._made.get(key)
        if made is None or moment - made[0] > every / 2:
            work = caller.house.asking.do(lambda engine: _look(caller, known, engine, name))
            made = self._made[key] = (moment, asyncio.ensure_future(work))
        return await asyncio.shield(made[1])
