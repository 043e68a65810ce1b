"""Audiences: which there are, their definitions, and building them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Header, Query, Request, Response
from pydantic import Field
from starlette.responses import JSONResponse

from relo_dsl.engine import Engine
from relo_dsl.times import format_instant
from relo_server.api import idempotency
from relo_server.api.builds import Build, Builds, wait_for
from relo_server.api.callers import Called, Caller
from relo_server.api.definitions import Definitions, Kept, require_sight, require_sound
from relo_server.api.forms import Form, definition
from relo_server.api.problems import Problem
from relo_server.api.routes.parts import Defined, OfClient, problems
from relo_server.api.routes.segments import EXAMPLE
from relo_server.api.shelf import (
    Preconditions,
    etag_of,
    put,
    remove,
    require_free,
    unpublish,
)
from relo_server.refresh.live import outcome_of
from relo_server.refresh.results import RefreshResult
from relo_server.refresh.run import refresh
from relo_server.sets import SetInfo

router = APIRouter(tags=["audiences"], responses=problems())
IfMatch = Annotated[str | None, Header(description="The ETag that was read; `*` for any.")]
IfNoneMatch = Annotated[str | None, Header(description="`*`: only if there is none yet.")]
Wait = Annotated[
    float, Query(ge=0, le=300, description="Seconds to wait for the build before answering 202.")
]
Key = Annotated[
    str | None,
    Header(max_length=200, description="A repetition with this key gets the first answer again."),
]


class Definition(OfClient):
    """One definition, as text."""

    text: str = Field(max_length=200_000, examples=[EXAMPLE])


# ---- which there are, and what they say ----------------------------------------------------------


@router.get("/audiences", name="audiences.list", operation_id="list_audiences")
async def list_(
    caller: Called,
    known: Defined,
    prefix: Annotated[str, Query(max_length=200, description="Names that begin so.")] = "",
    type: Annotated[str | None, Query(description="`winback`, for one.")] = None,
    tag: str | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    cursor: Annotated[str | None, Query(description="`next` of the page before.")] = None,
) -> dict[str, Any]:
    """The client's audiences by name, a page at a time, with what is published of each."""

    def work(engine: Engine) -> dict[str, Any]:
        kept = known.of(engine, caller.client)
        names = [name for name in kept.visible(caller) if name.startswith(prefix)]
        chosen = [
            name for name in names
            if (cursor is None or name > cursor) and _matches(kept, name, type, tag)
        ]  # fmt: skip
        page = chosen[:limit]
        sets = {info.name: info for info in caller.house.sets.published(caller.client)}
        return {
            "audiences": [described(caller, kept, name, sets.get(name)) for name in page],
            "next": page[-1] if len(chosen) > limit else None,
        }

    return await caller.house.asking.do(work)


def _matches(kept: Kept, name: str, type_: str | None, tag: str | None) -> bool:
    header = kept.workspace.bound(name).header
    return (type_ is None or header.type == type_) and (tag is None or tag in header.tags)


def described(caller: Caller, kept: Kept, name: str, info: SetInfo | None) -> dict[str, Any]:
    """One line of a list of audiences."""
    header, row = kept.workspace.bound(name).header, kept.rows.get(name)
    return {
        "name": name,
        "audience_id": row.id if row is not None and row.id else None,
        "label": header.label,
        "type": header.type,
        "tags": list(header.tags),
        "owned_by": row.owner if row is not None else "file",
        "file": row.file if row is not None else kept.workspace.source(name).name,
        "valid": not kept.has_errors(name),
        "device_count": None if info is None else caller.count(info.size),
        "built_at": None if info is None else format_instant(info.at),
    }


@router.get(
    "/audiences/{name}", name="audiences.read", operation_id="read_audience",
    responses=problems(404),
)  # fmt: skip
async def read(caller: Called, known: Defined, name: str, response: Response) -> dict[str, Any]:
    """One audience: its definition, whose it is, and what is published of it."""

    def work(engine: Engine) -> dict[str, Any]:
        kept = known.of(engine, caller.client)
        kept.require_sight(caller, name)
        info = caller.house.sets.info(caller.client, name)
        text = kept.workspace.source(name).text
        return {**described(caller, kept, name, info), "text": text, "etag": etag_of(text)}

    found = await caller.house.asking.do(work)
    response.headers["ETag"] = f'"{found["etag"]}"'
    return found


@router.put(
    "/audiences/{name}", name="audiences.write", operation_id="write_audience",
    responses={201: {"description": "It is new."}, **problems(409, 412)},
)  # fmt: skip
async def write(
    caller: Called,
    known: Defined,
    name: str,
    body: Definition,
    if_match: IfMatch = None,
    if_none_match: IfNoneMatch = None,
) -> JSONResponse:
    """Writes a definition. It is checked first; a build publishes it."""
    caller.require_client(body.client_id)
    conditions = Preconditions.read(if_match, if_none_match)

    def work(engine: Engine) -> JSONResponse:
        kept = known.of(engine, caller.client)
        require_free(kept, name)
        require_definition(caller, known, engine, name, body.text)
        row, created = put(caller, name, body.text, conditions)
        found = {"name": name, "audience_id": row.id, "etag": row.etag, "text": row.text}
        return JSONResponse(found, 201 if created else 200, {"ETag": f'"{row.etag}"'})

    return await caller.house.asking.do(work)


def require_definition(
    caller: Caller, known: Definitions, engine: Engine, name: str, text: str
) -> None:
    """Raises Problem unless a text defines the audience `name`, soundly, and nothing else."""
    workspace, names = known.draft(engine, caller.client, text)
    if workspace.syntax(names[0]).kind != "audience" if names else False:
        raise Problem(422, "definition", f"`{names[0]}` is a segment", f"write `audience {name}`")
    if names:
        require_sound(workspace, names)
    if names != [name]:
        there = ", ".join(f"`{one}`" for one in names) or "nothing"
        raise Problem(
            422, "definition", f"the text defines {there}, and the address says `{name}`",
            "send one definition, under its own name",
        )  # fmt: skip
    require_sight(caller, workspace, names)


@router.delete(
    "/audiences/{name}", name="audiences.delete", operation_id="delete_audience", status_code=204,
    responses=problems(404, 409, 412),
)  # fmt: skip
async def delete(caller: Called, known: Defined, name: str, if_match: IfMatch = None) -> None:
    """Takes a definition away, and what is published of it."""
    conditions = Preconditions.read(if_match, None)

    def work(engine: Engine) -> None:
        kept = known.of(engine, caller.client)
        kept.require(name)
        require_free(kept, name)
        remove(caller, name, conditions)
        unpublish(caller, [name])

    await caller.house.building.do(work)


# ---- building ------------------------------------------------------------------------------------


@router.post(
    "/audiences/build", name="audiences.build", operation_id="build_audience",
    responses={202: {"description": "It is being built; `Location` tells."}, **problems(409)},
)  # fmt: skip
async def build(
    caller: Called,
    known: Defined,
    request: Request,
    form: Annotated[Form, Body()],
    wait: Wait = 30,
    idempotency_key: Key = None,
) -> Response:
    """Makes an audience from a form, builds it and publishes it."""
    caller.require_client(form.client_id)
    asked = form.model_dump_json()

    def begin(engine: Engine) -> dict[str, Any]:
        kept = known.of(engine, caller.client)
        require_free(kept, form.name)
        text = definition(form, kept.workspace.catalog)
        require_definition(caller, known, engine, form.name, text)
        row, _ = put(caller, form.name, text, Preconditions())
        return {"audience_id": row.id, "text": text}

    async def work() -> JSONResponse:
        more = await caller.house.asking.do(begin)
        started = start(caller, known, request, form.name, more)
        await wait_for(started, wait)
        return answered(started)

    return await idempotency.once(caller, idempotency_key, asked, work)


def start(
    caller: Caller, known: Definitions, request: Request, name: str, more: dict[str, Any],
    *, force: bool = False,
) -> Build:  # fmt: skip
    """Gives a refresh of one audience to the engine."""
    house = caller.house
    builds: Builds = request.app.state.builds

    def work(engine: Engine) -> RefreshResult:
        kept = known.of(engine, caller.client)
        kept.require(name)
        (result,) = refresh(
            kept.workspace, engine, house.sets, [name], at=house.clock(), by=caller.who.name,
            force=force, limits=house.settings.publishing, clock=house.clock,
        )  # fmt: skip
        request.app.state.metrics.refreshed(outcome_of(result).outcome)
        return result

    return builds.begin(caller.client, name, house.clock(), house.building.submit(work), more)


def answered(build: Build) -> JSONResponse:
    """What came of a build so far: 200, or 202 and where to ask again."""
    found = build.to_json()
    if build.status == "building":
        where = f"/builds/{build.id}"
        return JSONResponse(found, 202, {"Location": where, "Retry-After": "1"})
    if build.status == "failed":
        raise Problem(
            422 if build.future.done() and not build.future.cancelled() else 503,
            "build", f"`{build.name}` was not built: {found['reason']}", build_id=build.id,
        )  # fmt: skip
    return JSONResponse(found)


@router.get("/builds/{id}", name="builds.read", operation_id="read_build", responses=problems(404))
async def read_build(caller: Called, request: Request, id: str) -> dict[str, Any]:
    """How a build goes, or went."""
    builds: Builds = request.app.state.builds
    found = builds.find(caller.client, id)
    if found is None:
        raise Problem(
            404, "unknown_build", f"there is no build `{id}`",
            "the history of an audience shows what was published, also before a restart",
        )  # fmt: skip
    return found.to_json()
