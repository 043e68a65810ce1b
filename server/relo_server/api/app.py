"""The application: routes, errors, and what it says about itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts

from relo_dsl import __version__
from relo_server.api import problems
from relo_server.api.builds import Builds
from relo_server.api.clicking import Clicking
from relo_server.api.crossing import Crossing
from relo_server.api.definitions import Definitions
from relo_server.api.edge import Edge
from relo_server.api.house import House
from relo_server.api.looks import teller
from relo_server.api.metrics import Metrics
from relo_server.api.quick import Quick
from relo_server.api.routes import (
    audiences,
    ingest,
    links,
    live,
    members,
    office,
    pixel,
    postbacks,
    privacy,
    project,
    segments,
    service,
    sessions,
    sync,
    versions,
)
from relo_server.api.taking import Taking
from relo_server.security.roles import OPERATIONS

_DESCRIPTION = """
Audiences as text: checked, compiled, sized, built and asked. Every error is a problem detail
(RFC 9457). Authorize with a token of `relo token create`: everything is about its client.
"""
#: A request and its answer for each operation; tests/api/test_examples.py writes and checks them.
_EXAMPLES: dict[str, dict[str, Any]] = json.loads(
    files("relo_server.api").joinpath("examples.json").read_text(encoding="utf-8")
)
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
    await app.state.house.leave()


def make_app(house: House) -> FastAPI:
    """The application over a house that is open, and stays so as long as it runs."""
    app = FastAPI(
        title="relo", version=__version__, description=_DESCRIPTION.strip(),
        docs_url=None, redoc_url=None, openapi_url=None, lifespan=_lifespan,
        # Its own spans would have the paths in them, and in those stand devices.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )  # fmt: skip
    app.state.house = house
    app.state.definitions = Definitions(house)
    app.state.builds = Builds()
    app.state.counts = live.Counts()
    app.state.metrics = metrics = Metrics(house)
    for module in (
        segments, audiences, versions, live, members, ingest, links, pixel, postbacks, privacy,
        sync, project, office, sessions, service,
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
        Edge, house=house, metrics=metrics, largest=house.settings.service.largest_body,
        largest_batch=house.settings.ingest.largest_batch,
    )  # fmt: skip
    app.add_middleware(Crossing, front=house)
    told = teller(house, metrics)
    app.add_middleware(Taking, front=house, told=told)
    app.add_middleware(Clicking, front=house, told=told)
    app.add_middleware(Quick, front=house, told=told)
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
    _exemplify(operation, _EXAMPLES.get(name))
    unprocessable = operation.get("responses", {}).get("422")
    if unprocessable is not None:
        schema = {"$ref": "#/components/schemas/Problem"}
        unprocessable["content"] = {problems.MEDIA_TYPE: {"schema": schema}}


def _exemplify(operation: dict[str, Any], example: dict[str, Any] | None) -> None:
    """What was really asked and answered once stands beside an operation."""
    if example is None:
        return
    given = {**example.get("path", {}), **example.get("query", {}), **example.get("headers", {})}
    for parameter in operation.get("parameters", ()):
        if parameter["name"] in given:
            parameter["example"] = given[parameter["name"]]
    if "body" in example:
        content = operation["requestBody"]["content"]["application/json"]
        content["examples"] = {"as it was asked": {"value": example["body"]}}
    answer = operation["responses"][str(example["status"])]
    if example["media"] is not None:
        content = answer.setdefault("content", {}).setdefault(example["media"], {})
        content["example"] = example["answer"]
