"""Click links: made, listed, ended, and followed by whoever clicks."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from pydantic import Field
from starlette.responses import RedirectResponse, Response

from relo_server.api.callers import Called, house_of
from relo_server.api.clicking import OPERATION, follow, led_by
from relo_server.api.problems import Problem
from relo_server.api.routes.parts import OfClient, problems
from relo_server.ingest.links import checked_destination
from relo_server.platform.links import add_link, end_link, link_json, list_links

router = APIRouter(tags=["links"])
Code = Annotated[str, Path(max_length=40)]


class LinkWanted(OfClient):
    """Where a new link is to lead."""

    destination: str = Field(max_length=2_000, examples=["https://shop.example/sale?from=mail"])
    name: str = Field("", max_length=200, examples=["june mailing"])


@router.get("/links", name="links.list", operation_id="list_links", responses=problems())
async def links(caller: Called) -> dict[str, Any]:
    """The client's links, those that have ended too."""
    house = caller.house

    def work() -> dict[str, Any]:
        with house.platform.tenant(caller.client, reading=True) as session:
            return {"links": [link_json(one) for one in list_links(session)]}

    return await house.aside(work)


@router.post(
    "/links", name="links.create", operation_id="create_link", responses=problems(),
    status_code=201,
)  # fmt: skip
async def create(caller: Called, request: Request, wanted: LinkWanted) -> dict[str, Any]:
    """Makes a link. It leads to that destination alone, with the id of each click."""
    caller.require_client(wanted.client_id)
    house = caller.house
    destination = checked_destination(wanted.destination, house.settings.ingest.app_schemes)

    def work() -> dict[str, Any]:
        with house.platform.tenant(caller.client) as session:
            link = add_link(session, destination, wanted.name, caller.who.subject, house.clock())
            request.state.object = link.code
            return link_json(link)

    return await house.aside(work)


@router.delete("/links/{code}", name="links.end", operation_id="end_link", responses=problems(404))
async def end(caller: Called, code: Code) -> dict[str, Any]:
    """Ends a link; again is no error."""
    house = caller.house

    def work() -> dict[str, Any]:
        with house.platform.tenant(caller.client) as session:
            link = end_link(session, code, house.clock())
            if link is None:
                raise Problem(404, "unknown_link", f"there is no link `{code}`")
            told = link_json(link)
        house.links.forget(code)
        return told

    return await house.aside(work)


@router.get(
    "/c/{code}", name="links.follow", operation_id="follow_link", response_class=RedirectResponse,
    status_code=302, responses={302: {"description": "On to the destination."}, **problems(404)},
)  # fmt: skip
async def follow_link(request: Request, code: Code) -> Response:
    """On to where the link leads. The click is an event of whoever the cookie knows."""
    request.state.operation = OPERATION
    house = house_of(request)
    return await follow(house, request, code, await led_by(house, code))
