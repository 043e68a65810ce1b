"""What went wrong, as problem details (RFC 9457): one form for every error of the service."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Any, TypeVar

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException

from relo_dsl.diagnostics import Diagnostic
from relo_dsl.engine import StoreError
from relo_dsl.errors import UserError
from relo_dsl.messages import in_spanish
from relo_server.ingest.appsflyer import Unsigned
from relo_server.ingest.bodies import NotUnderstood, TooLarge
from relo_server.ingest.intake import OtherClient
from relo_server.ingest.pixel.visits import OtherOrigin
from relo_server.sets import SetsError
from relo_server.spool import SpoolError

MEDIA_TYPE = "application/problem+json"
#: A store that is away may be back so many seconds later.
_RETRY_AFTER = 5
_log = logging.getLogger("relo.api")


class Problem(Exception):
    """An answer that is an error. `kind` names it for programs: `unknown_audience`."""

    def __init__(
        self,
        status: int,
        kind: str,
        detail: str,
        hint: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        **more: object,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.detail = detail
        self.hint = hint
        self.headers = dict(headers or {})
        self.more = more

    @classmethod
    def of_definition(cls, found: Sequence[Diagnostic]) -> Problem:
        """A definition that has errors, each with its place and what could stand there."""
        count = sum(1 for item in found if item.severity.value == "error")
        many = "1 error" if count == 1 else f"{count} errors"
        return cls(
            422, "definition", f"the definition has {many}",
            diagnostics=[item.to_json() for item in found],
        )  # fmt: skip


def answer(request: Request, problem: Problem) -> JSONResponse:
    """The problem as an answer, in the language of the request; `instance` is in the logs too."""
    body: dict[str, Any] = {
        "type": f"urn:relo:problem:{problem.kind}",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
        "instance": f"urn:relo:request:{getattr(request.state, 'request_id', '')}",
    }
    if problem.hint:
        body["hint"] = problem.hint
    body.update(problem.more)
    chosen = language(request)
    if chosen == "es":
        body = _in_spanish(body)
    headers = {**problem.headers, "Content-Language": chosen, "Vary": "Accept-Language"}
    return JSONResponse(body, problem.status, headers, MEDIA_TYPE)


def _in_spanish(body: Mapping[str, Any]) -> dict[str, Any]:
    """The same with its texts in Spanish, as far as there are any; what programs read stays."""
    found = {**body, "title": _TITLES.get(body["status"], body["title"])}
    for name in ("detail", "hint"):
        if name in found:
            found[name] = in_spanish(found[name]) or found[name]
    if "diagnostics" in found:
        found["diagnostics"] = [diagnostic_in("es", item) for item in found["diagnostics"]]
    return found


def diagnostic_in(chosen: str, item: dict[str, Any]) -> dict[str, Any]:
    """A diagnostic as JSON, its message and help in the language chosen."""
    if chosen != "es":
        return item
    texts = {name: item[name] and (in_spanish(item[name]) or item[name])
             for name in ("message", "help")}  # fmt: skip
    return {**item, **texts}


_T = TypeVar("_T")
#: What of an answer holds reasons of refusals.
_HOLDING_REASONS = frozenset({"refused", "letters", "sources", "reasons"})
#: Refusals that are told apart by more than their text.
_REFUSALS: dict[type[UserError], tuple[int, str]] = {
    TooLarge: (413, "too_large"),
    NotUnderstood: (415, "media_type"),
    Unsigned: (401, "signature"),
    OtherOrigin: (403, "other_origin"),
    OtherClient: (403, "other_client"),
}
_TITLES = {
    400: "Solicitud incorrecta", 401: "No autorizado", 403: "Prohibido", 404: "No encontrado",
    405: "Método no permitido", 409: "Conflicto", 412: "Falló la precondición",
    413: "Cuerpo demasiado grande", 415: "Tipo de contenido no admitido",
    422: "No procesable", 428: "Se requiere una precondición", 429: "Demasiadas solicitudes",
    500: "Error interno", 503: "Servicio no disponible",
}  # fmt: skip


def language(request: Request) -> str:
    """`es` where the request would rather have that than English."""
    return _preferred(request.headers)


def told_in(headers: Mapping[str, str], answer: _T) -> _T:
    """An answer with its reasons of refusals, wherever they stand, in the language that a request
    with these headers would rather have.
    """
    return _with_reasons(answer) if _preferred(headers) == "es" else answer


def _with_reasons(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_reasons(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name: (in_spanish(part) or part) if name == "reason" and isinstance(part, str)
        else _with_reasons(part) if name in _HOLDING_REASONS else part
        for name, part in value.items()
    }  # fmt: skip


def _preferred(headers: Mapping[str, str]) -> str:
    wanted: list[tuple[float, str]] = []
    for part in headers.get("accept-language", "").replace(" ", "").split(","):
        name, _, weight = part.partition(";q=")
        with suppress(ValueError):
            wanted.append((float(weight or 1), name[:2].lower()))
    known = [one for one in wanted if one[0] > 0 and one[1] in ("en", "es")]
    # Of what is wanted alike, the first.
    return max(known, key=lambda one: one[0], default=(1, "en"))[1]


def translated(error: Exception) -> Problem:
    """The problem that an error is."""
    match error:
        case Problem():
            return error
        case StoreError() | SetsError() | OperationalError():
            _log.warning("a store failed: %s", error)
            detail = error.message if isinstance(error, UserError) else "a store cannot be used"
            return Problem(503, "store", detail, headers={"Retry-After": str(_RETRY_AFTER)})
        case SpoolError():
            return Problem(
                503, "spool", error.message, error.hint or "",
                headers={"Retry-After": str(error.retry_after)},
            )  # fmt: skip
        case UserError():
            status, kind = _REFUSALS.get(type(error), (422, "refused"))
            return Problem(status, kind, error.message, error.hint or "")
        case RequestValidationError():
            return Problem(
                422, "request", "the request is not as it is described",
                errors=[_place(item) for item in error.errors()],
            )  # fmt: skip
        case HTTPException():
            return Problem(
                error.status_code, "http", str(error.detail), headers=error.headers or {}
            )
    _log.error("internal error", exc_info=error)
    return Problem(500, "internal", "internal error; the log of the service has it, by `instance`")


def _place(item: Mapping[str, Any]) -> dict[str, object]:
    where = [str(part) for part in item["loc"]]
    return {"in": where[0] if where else "", "at": ".".join(where[1:]), "reason": item["msg"]}


def install(app: FastAPI) -> None:
    """Every error that a route raises becomes an answer of this form."""

    async def handle(request: Request, error: Exception) -> JSONResponse:
        return answer(request, translated(error))

    for kind in (Problem, UserError, OperationalError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, handle)
