"""The service itself: whether it is alive, whether it can work, its figures and its description."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fastapi_offline
from fastapi import APIRouter, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import HTMLResponse, JSONResponse
from starlette.staticfiles import StaticFiles

from relo_dsl import __version__
from relo_server.api.callers import Called, house_of
from relo_server.api.definitions import Definitions
from relo_server.api.house import House
from relo_server.api.routes.parts import Defined, problems

router = APIRouter(tags=["service"])
#: Swagger UI, as that package brings it along: the page asks nobody else for anything.
STATIC = StaticFiles(directory=Path(fastapi_offline.__file__).parent / "static")

#: Swagger UI's tables are wider than a phone.
_NARROW = """<meta name="viewport" content="width=device-width, initial-scale=1"><style>
@media (max-width: 600px) {
  .swagger-ui { overflow-wrap: anywhere; }
  .swagger-ui pre, .swagger-ui code { white-space: pre-wrap !important; word-break: break-word; }
  .swagger-ui table { table-layout: fixed; }
  .swagger-ui .response-col_links { display: none; }
  .swagger-ui .response-col_status { width: 50px; }
  .swagger-ui select { max-width: 100%; min-width: 0; }
}
</style>"""


@router.get("/healthz", name="service.health", operation_id="health")
async def health() -> dict[str, str]:
    """The process is alive."""
    return {"status": "ok", "version": __version__}


@router.get(
    "/readyz", name="service.ready", operation_id="ready",
    responses={503: {"description": "Some part cannot work; `parts` says which."}},
)  # fmt: skip
async def ready(request: Request, known: Defined) -> JSONResponse:
    """Whether each part can work."""
    house = house_of(request)
    parts = {
        "definitions": await _asked(house, lambda: _definitions(known)),
        "events": await _events(house),
        "sets": await _asked(house, lambda: house.sets.info(0, "ready")),
        "platform": await _asked(house, lambda: _platform(house)),
    }
    works = all(part == "ok" for part in parts.values())
    body = {"status": "ready" if works else "not ready", "parts": parts}
    return JSONResponse(body, 200 if works else 503)


async def _asked(house: House, work: Any) -> str:
    try:
        await house.aside(work)
    except Exception as error:
        return _reason(error)
    return "ok"


async def _events(house: House) -> str:
    try:
        await house.asking.do(lambda engine: engine.rows("SELECT 1"))
    except Exception as error:
        return _reason(error)
    return "ok"


def _reason(error: Exception) -> str:
    return str(error).partition("\n")[0][:200] or type(error).__name__


def _definitions(known: Definitions) -> None:
    known.catalog()


def _platform(house: House) -> None:
    with house.platform.shared(reading=True) as session:
        session.connection()


@router.get(
    "/metrics", name="service.metrics", operation_id="metrics", responses=problems(),
    response_class=Response,
)  # fmt: skip
async def metrics(caller: Called, request: Request) -> Response:
    """Counts and times in Prometheus' text format."""
    text = await caller.house.aside(request.app.state.metrics.text)
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


@router.get("/openapi.json", name="service.schema", include_in_schema=False)
async def schema(request: Request) -> JSONResponse:
    """The API, described."""
    return JSONResponse(request.app.openapi())


@router.get("/docs", name="service.docs", include_in_schema=False)
async def docs() -> HTMLResponse:
    """The API, to read and to try."""
    page = get_swagger_ui_html(
        openapi_url="openapi.json",
        title="relo",
        swagger_js_url="docs-static/swagger-ui-bundle.js",
        swagger_css_url="docs-static/swagger-ui.css",
        swagger_favicon_url="docs-static/favicon.png",
    )
    return HTMLResponse(bytes(page.body).replace(b"</head>", _NARROW.encode() + b"</head>"))
