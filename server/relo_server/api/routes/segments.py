"""Definitions as text, kept nowhere: checked, compiled, laid out, explained and sized."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

from fastapi import APIRouter, Body, Request
from pydantic import Field
from starlette.responses import StreamingResponse

from relo_dsl.consent import scope
from relo_dsl.diagnostics import Severity
from relo_dsl.engine import Engine
from relo_dsl.engine.migrate import apply_catalog
from relo_dsl.explain import explain
from relo_dsl.plan import Plan
from relo_dsl.source import SourceFile
from relo_dsl.sql.lower import members_query
from relo_dsl.times import format_instant
from relo_dsl.workspace import Workspace
from relo_server.api.callers import Called, Caller
from relo_server.api.definitions import DRAFT, require_sight, require_sound
from relo_server.api.problems import Problem, diagnostic_in, language
from relo_server.api.routes.parts import (
    Defined,
    Draft,
    DraftAt,
    instant,
    problems,
)
from relo_server.cost import stored_rows
from relo_server.estimate import Estimate, exact, sampled
from relo_server.preview import Preview, expected_rows, preview

router = APIRouter(prefix="/segments", tags=["segments"], responses=problems())
NDJSON = "application/x-ndjson"
EXAMPLE = "audience gone_quiet\n\nmatch\n  purchase within 180d and no purchase within 30d\n"
_EXAMPLE = Body(openapi_examples={"a definition": {"value": {"text": EXAMPLE}}})


class Previewed(DraftAt):
    """The same, and how many keys to show."""

    sample: int = Field(0, ge=0, le=1000, description="Keys of so many members, for who may see.")


@router.post("/check", name="segments.check", operation_id="check")
async def check(
    caller: Called, known: Defined, request: Request, draft: Draft = _EXAMPLE
) -> dict[str, Any]:
    """Every mistake of a text in one answer, each with its place and what could stand there.

    In English, or Spanish by `Accept-Language`.
    """
    caller.require_client(draft.client_id)
    chosen = language(request)

    def work(engine: Engine) -> dict[str, Any]:
        workspace, _ = known.draft(engine, caller.client, draft.text)
        found = [item for item in workspace.check() if item.source.name == DRAFT]
        return {
            "valid": all(item.severity is not Severity.ERROR for item in found),
            "diagnostics": [diagnostic_in(chosen, item.to_json()) for item in found],
        }

    return await caller.house.asking.do(work)


@router.post("/format", name="segments.format", operation_id="format")
async def format_(caller: Called, draft: Draft = _EXAMPLE) -> dict[str, Any]:
    """The text in the one layout that there is."""
    from relo_dsl.syntax import parse
    from relo_dsl.syntax.formatter import format_file

    caller.require_client(draft.client_id)

    def work() -> dict[str, Any]:
        source = SourceFile(DRAFT, draft.text)
        parsed = parse(source)
        if parsed.diagnostics.has_errors:
            raise Problem.of_definition(list(parsed.diagnostics))
        text = format_file(parsed.file)
        return {"text": text, "changed": text != draft.text}

    return await caller.house.aside(work)


@router.post("/compile", name="segments.compile", operation_id="compile")
async def compile_(caller: Called, known: Defined, draft: DraftAt = _EXAMPLE) -> dict[str, Any]:
    """Plan, fingerprint and SQL of each definition of the text. Nothing is run."""
    now = instant(draft.at, caller.house.clock())

    def work(engine: Engine) -> dict[str, Any]:
        workspace, names = sound(caller, known.draft(engine, caller.client, draft.text), draft)
        return {
            "at": format_instant(now),
            "definitions": [_compiled(workspace, n, now) for n in names],
        }

    return await caller.house.asking.do(work)


def _compiled(workspace: Workspace, name: str, now: int) -> dict[str, Any]:
    plan = workspace.plan(name)
    query = members_query(scope(plan), now)
    return {
        "name": name,
        "fingerprint": plan.fingerprint,
        "plan": json.loads(plan.canonical),
        "sql": query.text,
        "params": dict(query.params),
    }


@router.post("/explain", name="segments.explain", operation_id="explain")
async def explain_(
    caller: Called, known: Defined, request: Request, draft: DraftAt = _EXAMPLE
) -> dict[str, Any]:
    """Who is in, in plain sentences: English, or Spanish by `Accept-Language`."""
    now = instant(draft.at, caller.house.clock())
    chosen = language(request)

    def work(engine: Engine) -> dict[str, Any]:
        workspace, names = sound(caller, known.draft(engine, caller.client, draft.text), draft)
        told = [explain(workspace, name, now, chosen).to_json() for name in names]
        return {"language": chosen, "definitions": told}

    return await caller.house.asking.do(work)


@router.post("/preview", name="segments.preview", operation_id="preview")
async def preview_(caller: Called, known: Defined, draft: Previewed = _EXAMPLE) -> dict[str, Any]:
    """The size of each definition of the text, clause by clause. Nothing is published."""
    now = instant(draft.at, caller.house.clock())

    def work(engine: Engine) -> dict[str, Any]:
        workspace, names = sound(caller, known.draft(engine, caller.client, draft.text), draft)
        _require_affordable(caller, workspace, engine, names)
        found = [preview(workspace, engine, n, at=now, sample=draft.sample) for n in names]
        return {"definitions": [seen(caller, one) for one in found]}

    return await caller.house.asking.do(work)


def _require_affordable(
    caller: Caller, workspace: Workspace, engine: Engine, names: Sequence[str]
) -> None:
    """Raises Problem where the previews would read more than the settings allow."""
    most = caller.house.settings.service.preview_rows
    stored = stored_rows(engine, caller.client)
    rows = sum(expected_rows(workspace, name, stored) for name in names)
    if rows > most:
        raise Problem(
            422, "too_expensive",
            f"the preview would read about {rows:,} events; {most:,} are allowed",
            "preview fewer definitions or clauses at a time, or ask `POST /segments/estimate`, "
            "which reads a part of the devices",
            estimated_rows=rows, allowed_rows=most,
        )  # fmt: skip


@router.post(
    "/estimate", name="segments.estimate", operation_id="estimate",
    responses={200: {"content": {NDJSON: {}}, "description": "The estimate, then the count."}},
    response_class=StreamingResponse,
)  # fmt: skip
async def estimate(caller: Called, known: Defined, draft: DraftAt = _EXAMPLE) -> StreamingResponse:
    """The size as one types: an estimate with its 95 % interval at once, then the exact count.

    A line each (NDJSON). The estimate is of one device in 32; a definition that compares devices
    with one another has the exact count only. The text holds one definition.
    """
    now = instant(draft.at, caller.house.clock())

    def first(engine: Engine) -> tuple[Plan, Estimate | None]:
        workspace, names = sound(caller, known.draft(engine, caller.client, draft.text), draft)
        if len(names) != 1:
            raise Problem(422, "definition", "the text has several definitions", "send one")
        # What the catalog has named since the last load is a column only from now on.
        apply_catalog(engine, workspace.catalog)
        plan = workspace.plan(names[0])
        return plan, sampled(plan, engine, now)

    # The first answer comes before the stream begins: a mistake has a status of its own.
    plan, guess = await caller.house.asking.do(first)

    async def lines() -> AsyncIterator[str]:
        if guess is not None:
            yield told(caller, guess)
        yield told(caller, await caller.house.asking.do(lambda engine: exact(plan, engine, now)))

    return StreamingResponse(lines(), media_type=NDJSON)


def told(caller: Caller, found: Estimate) -> str:
    """An estimate as a line, as the caller may see it."""
    size = caller.count(found.size)
    hidden = isinstance(size, str)
    line = {
        "method": found.method,
        "size": size,
        "low": None if hidden else caller.count(found.low),
        "high": None if hidden else found.high,
        "seconds": round(found.seconds, 4),
    }
    return json.dumps(line) + "\n"


def sound(
    caller: Caller, drafted: tuple[Workspace, list[str]], draft: Draft
) -> tuple[Workspace, list[str]]:
    """A draft without errors that the caller may look at. Raises Problem for any other."""
    workspace, names = drafted
    caller.require_client(draft.client_id)
    if not names:
        found = workspace.check()
        if found:
            raise Problem.of_definition(found)
        raise Problem(422, "definition", "the text has no definition", "write `audience NAME`")
    require_sound(workspace, names)
    require_sight(caller, workspace, names)
    return workspace, names


def seen(caller: Caller, found: Preview) -> dict[str, Any]:
    """A preview as the caller may see it."""
    told: dict[str, Any] = found.to_json()
    for key in ("size", "universe", "consenting", "withheld"):
        told[key] = caller.count(told[key])
    told["clauses"] = [
        {"text": step.text, "survive": caller.count(step.survive)} for step in found.steps
    ]
    if not caller.sees_members:
        del told["sample"]
        if isinstance(told["size"], str):
            told["share"] = None
    return told
