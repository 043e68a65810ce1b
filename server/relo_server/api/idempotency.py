"""`Idempotency-Key`: a request that is sent twice is done once, and answered alike both times."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable

from sqlalchemy import delete
from starlette.responses import JSONResponse, Response

from relo_dsl.times import UNITS
from relo_server.api.callers import Caller
from relo_server.api.problems import Problem
from relo_server.platform.models import IdempotencyKey
from relo_server.security.clients import ensure_client

#: How long an answer is kept.
KEPT = UNITS["d"]
#: After so long a request without an answer has none coming: its process was killed.
_LOST = 15 * UNITS["min"]


async def once(
    caller: Caller, key: str | None, asked: str, work: Callable[[], Awaitable[Response]]
) -> Response:
    """What `work` answers, or answered when the key was first used for the same request.

    Raises Problem (409) while the first is at work, (422) where the key was for another request.
    What failed is not kept: it may be tried again with the same key.
    """
    if key is None:
        return await work()
    if not key.isprintable() or not key:
        raise Problem(422, "request", "the Idempotency-Key must be printable, and not empty")
    digest = hashlib.sha256(f"{caller.operation}\n{asked}".encode()).digest()
    known = await caller.house.aside(lambda: _claim(caller, key, digest))
    if known is not None:
        return known
    try:
        found = await work()
    except BaseException:
        await caller.house.aside(lambda: _drop(caller, key))
        raise
    await caller.house.aside(lambda: _keep(caller, key, found))
    return found


def _claim(caller: Caller, key: str, digest: bytes) -> JSONResponse | None:
    now = caller.house.clock()
    with caller.house.platform.tenant(caller.client) as session:
        session.execute(delete(IdempotencyKey).where(IdempotencyKey.expires_at <= now))
        ensure_client(session, now)
        found = session.get(IdempotencyKey, (caller.client, key), with_for_update=True)
        if found is None:
            session.add(
                IdempotencyKey(
                    client_id=caller.client,
                    key=key,
                    operation=caller.operation,
                    request=digest,
                    status=None,
                    answer=None,
                    created_at=now,
                    expires_at=now + KEPT,
                )
            )
            return None
        if found.request != digest:
            raise Problem(
                422, "idempotency", "this Idempotency-Key was used for another request",
                "a new request takes a new key",
            )  # fmt: skip
        if found.status is None and now - found.created_at > _LOST:
            found.created_at = now
            return None
        if found.status is None or found.answer is None:
            raise Problem(
                409, "idempotency", "the first request with this key is still at work",
                headers={"Retry-After": "1"},
            )  # fmt: skip
        kept = json.loads(found.answer)
        return JSONResponse(kept["body"], found.status, kept["headers"])


def _keep(caller: Caller, key: str, found: Response) -> None:
    headers = {k: v for k, v in found.headers.items() if k in ("location", "retry-after", "etag")}
    with caller.house.platform.tenant(caller.client) as session:
        row = session.get(IdempotencyKey, (caller.client, key))
        if row is not None:
            body = json.loads(bytes(found.body))
            row.status, row.answer = (
                found.status_code,
                json.dumps({"body": body, "headers": headers}),
            )


def _drop(caller: Caller, key: str) -> None:
    with caller.house.platform.tenant(caller.client) as session:
        session.execute(delete(IdempotencyKey).where(IdempotencyKey.key == key))
