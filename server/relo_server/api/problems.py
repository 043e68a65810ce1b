"""What went wrong, as problem details (RFC 9457): one form for every error of the service."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException

from relo_dsl.diagnostics import Diagnostic
from relo_dsl.engine import StoreError
from relo_dsl.errors import UserError
from relo_server.sets import SetsError

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
    """The problem as an answer; `instance` is the id that the logs have too."""
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
    return JSONResponse(body, problem.status, problem.headers, MEDIA_TYPE)


def translated(error: Exception) -> Problem:
    """The problem that an error is."""
    match error:
        case Problem():
            return error
        case StoreError() | SetsError() | OperationalError():
            _log.warning("a store failed: %s", error)
            detail = error.message if isinstance(error, UserError) else "a store cannot be used"
            return Problem(503, "store", detail, headers={"Retry-After": str(_RETRY_AFTER)})
        case UserError():
            return Problem(422, "refused", error.message, error.hint or "")
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
