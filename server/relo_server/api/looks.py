"""What is told of requests that were answered the short way: to the audit, the log and metrics."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from relo_server.api.edge import UNNOTED, entry_of, log_request
from relo_server.api.house import Front
from relo_server.api.metrics import Metrics
from relo_server.security.roles import OPERATIONS
from relo_server.tracing import answered_already


class Look(NamedTuple):
    """A request that was answered well: what was done, by whom it was asked, from where, and how
    long it took. A visitor's `who` and `address` are empty.
    """

    operation: str
    client: int
    who: str
    path: str
    address: str
    request_id: str
    seconds: float
    status: int = 200


Told = Callable[[Look], None]


def teller(front: Front, metrics: Metrics) -> Told:
    """Tells of a request in this process. Its line of the audit is written within moments."""

    def tell(look: Look) -> None:
        if look.operation not in UNNOTED:
            entry = entry_of(
                look.operation, look.status, who=look.who, of=look.path, address=look.address,
                request_id=look.request_id,
            )  # fmt: skip
            front.notes.add(look.client, entry, urgent=False)
        known = OPERATIONS[look.operation]
        metrics.request(look.operation, look.status, look.seconds)
        answered_already(
            known.method, known.path, look.seconds, look.operation, look.client, look.request_id
        )
        log_request(
            known.method, look.path, look.operation, look.status, look.seconds,
            client=look.client, who=look.who, request_id=look.request_id,
        )  # fmt: skip

    return tell
