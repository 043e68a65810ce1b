"""The application: routes, errors, and what it says about itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts

from relo_dsl import __version__
from relo_server.api import problems
from relo_server.api.builds import Builds
from relo_server.api.definitions import Definitions
from relo_server.api.edge import Edge
from relo_server.api.house import House
from relo_server.api.metrics import Metrics
from relo_server.api.routes import (
    audiences,
    live,
    members,
    office,
    project,
    segments,
    service,
    sessions,
    sync,
    versions,
)
from relo_server.security.roles import OPERATIONS

_DESCRIPTION = """
Audiences as text: checked, compiled, sized, built and asked. Every error is a problem detail
(RFC 9457). Authorize with a token of `relo token create`: everything is about its client.
"""
_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "instance"],
    "properties": {
        "type": {"type": "string", "description": "Names the kind for programs."},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What is wrong, for people."},
        "hint": {"type": "string", "description": "The way out."},
        "instance": {"type": "string", "description": "The request, as the logs know it."},
        "diagnostics": {"type": "array", "items": {"type": "object"}},
        "errors": {"type": "array", "items": {"type": "object"}},
    },
}


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Streams are told when the service stops; uvicorn would wait for them."""
    app.state.stopping = asyncio.Event()
    yield


def make_app(house: House) -> FastAPI:
    """The application over a house that is open, and stays so as long as it runs."""
    app = FastAPI(
        title="relo", version=__version__, description=_DESCRIPTION.strip(),
        docs_url=None, redoc_url=None, openapi_url=None, lifespan=_lifespan,
    )  # fmt: skip
    app.state.house = house
    app.state.definitions = Definitions(house)
    app.state.builds = Builds()
    app.state.counts = live.Counts()
    app.state.metrics = metrics = Metrics(house)
    for module in (
        segments, audiences, versions, live, members, sync, project, office, sessions, service,
    ):  # fmt: skip
        app.include_router(module.router)
    app.mount("/docs-static", service.STATIC, name="docs-static")
    problems.install(app)
    if house.settings.service.origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=list(house.settings.service.origins),
            allow_methods=["*"], allow_headers=["*"], expose_headers=["ETag", "X-Request-Id"],
        )  # fmt: skip
    app.add_middleware(
        Edge, house=house, metrics=metrics, largest=house.settings.service.largest_body
    )
    app.openapi = lambda: _described(app)  # type: ignore[method-assign]
    return app


def routes_of(app: FastAPI) -> list[RouteContext]:
    """Every route, those of routers included; mounts are none."""
    found = iter_route_contexts(app.routes)
    return [route for route in found if isinstance(route.original_route, APIRoute)]


def _described(app: FastAPI) -> dict[str, Any]:
    """OpenAPI: who may do what stands beside each operation."""
    if app.openapi_schema is None:
        found = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        parts = found.setdefault("components", {})
        parts.setdefault("schemas", {})["Problem"] = _PROBLEM
        parts["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        for route in routes_of(app):
            if route.include_in_schema:
                for method in route.methods or ():
                    _annotate(found["paths"][route.path_format][method.lower()], str(route.name))
        app.openapi_schema = found
    return app.openapi_schema


def _annotate(operation: dict[str, Any], name: str) -> None:
    known = OPERATIONS[name]
    operation["summary"] = known.what[0].upper() + known.what[1:]
    if not known.public:
        operation["security"] = [{"token": []}]
        operation["x-roles"] = sorted(role.value for role in known.roles)
    unprocessable = operation.get("responses", {}).get("422")
    if unprocessable is not None:
        schema = {"$ref": "#/components/schemas/Problem"}
        unprocessable["content"] = {problems.MEDIA_TYPE: {"schema": schema}}
