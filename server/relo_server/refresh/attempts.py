"""The attempts to refresh audiences, kept in the engine: what was done, what failed, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Literal

from relo_dsl.engine import Engine

Outcome = Literal["published", "held", "failed"]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt; times are epoch milliseconds.

    `scheduled_for` is the instant of the schedule that it was for, `attempt` counts from 1 and goes
    up after each that failed. `held` means not published for a reason that trying again would not
    change, such as its minimum. `error` says why it failed or was held. `mark` is what
    `changes.mark` said of the stored events before it began, empty unless it is realtime.
    """

    client: int
    audience: str
    scheduled_for: int
    started: int
    ended: int
    outcome: Outcome
    attempt: int = 1
    error: str = ""
    by: str = ""
    mark: str = ""

    @property
    def failed(self) -> bool:
        return self.outcome == "failed"


@dataclass(frozen=True, slots=True)
class State:
    """What the attempts at one audience come to.

    `done_for` is the latest instant of the schedule that was dealt with (0: none), `done_at` when
    the last good attempt started and `done_mark` its mark; `last` is the last attempt of all.
    """

    done_for: int = 0
    done_at: int = 0
    done_mark: str = ""
    last: Attempt | None = None

    @property
    def failures(self) -> int:
        """How many attempts have failed one after the other; 0 where the last was good."""
        return self.last.attempt if self.last is not None and self.last.failed else 0

    def with_attempt(self, attempt: Attempt) -> State:
        """The state after one more attempt."""
        if attempt.failed:
            return State(self.done_for, self.done_at, self.done_mark, attempt)
        done_for = max(self.done_for, attempt.scheduled_for)
        return State(done_for, attempt.started, attempt.mark, attempt)


#: An audience that was never tried.
NEVER = State()

_COLUMNS = tuple("client_id" if f.name == "client" else f.name for f in fields(Attempt))
_TIMES = ("scheduled_for", "started", "ended")
_STATES = """
SELECT audience,
       maxIf(scheduled, outcome != 'failed'),
       argMaxIf((began, mark), (ended, attempt), outcome != 'failed'),
       argMax(
           (scheduled, began, toUnixTimestamp64Milli(ended), outcome, attempt, error, by, mark),
           (ended, attempt)
       )
FROM
(
    SELECT *, toUnixTimestamp64Milli(scheduled_for) AS scheduled,
           toUnixTimestamp64Milli(started) AS began
    FROM refreshes WHERE client_id = {c:UInt32}
)
GROUP BY audience
"""


def record(engine: Engine, attempts: Sequence[Attempt]) -> None:
    """Stores attempts, all of them or none. Raises EngineError."""
    import pyarrow as pa

    if not attempts:
        return
    kinds = {
        "client_id": pa.uint32(),
        "attempt": pa.uint16(),
        **dict.fromkeys(_TIMES, pa.timestamp("ms", "UTC")),
    }
    table = pa.table(
        {
            column: pa.array(
                [getattr(item, field.name) for item in attempts], kinds.get(column, pa.string())
            )
            for column, field in zip(_COLUMNS, fields(Attempt), strict=True)
        }
    )
    engine.insert_arrow("refreshes", table, one_part=True)


def states(engine: Engine, client: int) -> Mapping[str, State]:
    """The state of every audience of a client that was ever tried. Raises EngineError."""
    return {
        audience: State(done_for, done_at, done_mark, Attempt(client, audience, *last))
        for audience, done_for, (done_at, done_mark), last in engine.rows(_STATES, {"c": client})
    }
