"""A git folder's definitions, brought to the service as one change."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field

from relo_dsl.engine import Engine
from relo_server.api.callers import Called
from relo_server.api.folder import apply, plan
from relo_server.api.routes.parts import Defined, OfClient, problems
from relo_server.api.shelf import unpublish

router = APIRouter(prefix="/sync", tags=["sync"], responses=problems(409))
_FILE = r"^[^/\\\x00-\x1f][^\\\x00-\x1f]{0,300}\.seg$"


class Folder(OfClient):
    """Every file of the folder: its name, from the folder on, and its text."""

    files: dict[
        Annotated[str, Field(pattern=_FILE)], Annotated[str, Field(max_length=1_000_000)]
    ] = Field(
        max_length=5_000,
        examples=[{"winback.seg": "audience winback\n\nmatch\n  no purchase within 60d\n"}],
    )


class Planning(Folder):
    """The same, to be planned."""

    sizes: bool = Field(True, description="Count what changes, before and after.")


class Applying(Folder):
    """The same, to be done."""

    state: str | None = Field(
        None, max_length=64, description="The plan's: what has changed since is refused."
    )


@router.post("/plan", name="sync.plan", operation_id="plan_sync")
async def plan_(caller: Called, known: Defined, folder: Planning) -> dict[str, Any]:
    """What is new, changed and removed, with sizes before and after. Nothing is done."""
    caller.require_client(folder.client_id)

    def work(engine: Engine) -> dict[str, Any]:
        return plan(caller, known, engine, folder.files, sizes=folder.sizes).to_json()

    return await caller.house.asking.do(work)


@router.post("/apply", name="sync.apply", operation_id="apply_sync")
async def apply_(caller: Called, known: Defined, folder: Applying) -> dict[str, Any]:
    """Takes the folder over, all of it or nothing; removes only what a folder brought."""
    caller.require_client(folder.client_id)

    def work(engine: Engine) -> dict[str, Any]:
        found = plan(caller, known, engine, folder.files, sizes=False)
        apply(caller, found, folder.files, folder.state)
        removed = [one.name for one in found.changes if one.what == "removed"]
        unpublish(caller, removed)
        return found.to_json()

    return await caller.house.building.do(work)
