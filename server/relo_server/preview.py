"""What an audience would be: its size, clause by clause, without publishing anything."""

from __future__ import annotations

import heapq
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from relo_dsl.consent import scope
from relo_dsl.engine import Engine
from relo_dsl.engine.migrate import apply_catalog
from relo_dsl.plan import Plan
from relo_dsl.sql.lower import count_query, members_query, withheld_query
from relo_dsl.times import format_instant
from relo_dsl.workspace import Workspace
from relo_server.cost import rows_to_read
from relo_server.refresh.counts import counted, universe


@dataclass(frozen=True, slots=True)
class Step:
    """A clause, or what follows the clauses, as it is written, and how many devices pass it and all
    before it.
    """

    text: str
    survive: int


@dataclass(frozen=True, slots=True)
class Preview:
    """A definition at one instant (epoch milliseconds); counts are devices.

    `universe` is what it chooses from, `consenting` how many of those may be used at all,
    `withheld` how many meet the condition and lack consent. `sample` holds the smallest device
    keys, in hex.
    """

    name: str
    client: int
    at: int
    size: int
    universe: int
    consenting: int
    withheld: int
    steps: tuple[Step, ...]
    sample: tuple[str, ...]
    seconds: float
    rows_read: int
    bytes_read: int

    def to_json(self) -> dict[str, object]:
        """One line of `relo preview --json`."""
        return {
            "name": self.name,
            "client": self.client,
            "at": format_instant(self.at),
            "size": self.size,
            "universe": self.universe,
            "share": round(self.size / self.universe, 6) if self.universe else None,
            "consenting": self.consenting,
            "withheld": self.withheld,
            "clauses": [{"text": step.text, "survive": step.survive} for step in self.steps],
            "sample": list(self.sample),
            "seconds": round(self.seconds, 3),
            "rows_read": self.rows_read,
            "bytes_read": self.bytes_read,
        }


def _parts(workspace: Workspace, name: str, plan: Plan) -> list[tuple[str, Plan]]:
    """What narrows the audience down, as it is written, and the plan up to there."""
    clauses = workspace.bound(name).clauses
    parts = [
        (" ".join(clause.text.split()), workspace.plan(name, clauses=count))
        for count, clause in enumerate(clauses, 1)
    ]
    syntax, source = workspace.syntax(name), workspace.source(name)
    reached = parts[-1][1]
    kept = replace(reached, keep=plan.keep)
    sampled = replace(kept, shares=plan.shares and replace(plan.shares, holdout=None))
    after = ((syntax.keep, kept), (syntax.sample, sampled), (syntax.holdout, plan))
    for written, reached in after:
        if written is not None:
            parts.append((" ".join(source.slice(written.span).split()), reached))
    return parts


def expected_rows(workspace: Workspace, name: str, stored: Mapping[str, int]) -> int:
    """How many events a preview would read, of those that are `stored` by type."""
    plan = workspace.plan(name)
    parts = [reached for _, reached in _parts(workspace, name, plan) if reached != plan]
    # The members, who would be without consent, and twice everybody.
    return rows_to_read([plan, plan, *parts], stored) + 2 * sum(stored.values())


def preview(workspace: Workspace, engine: Engine, name: str, *, at: int, sample: int) -> Preview:
    """Sizes a definition without errors. Raises as the engine does.

    `seconds`, `rows_read` and `bytes_read` are those of the query for the members alone.
    """
    # What the catalog has named since the last load is a column only from now on.
    apply_catalog(engine, workspace.catalog)
    plan = workspace.plan(name)
    scoped = scope(plan)
    started = time.perf_counter()
    members = engine.members(members_query(scoped, at))
    smallest: list[bytes] = []
    for chunk in members:
        smallest = heapq.nsmallest(sample, [*smallest, *chunk])
    seconds = time.perf_counter() - started
    parts = _parts(workspace, name, plan)
    steps = [
        Step(text, members.count if part == plan else counted(engine, count_query(scope(part), at)))
        for text, part in parts
    ]
    whole = universe(engine, plan, at)
    return Preview(
        name=name,
        client=plan.client,
        at=at,
        size=members.count,
        universe=whole.devices,
        consenting=whole.consenting,
        withheld=counted(engine, withheld_query(scoped, at)),
        steps=tuple(steps),
        sample=tuple(key.hex() for key in smallest),
        seconds=seconds,
        rows_read=members.rows_read,
        bytes_read=members.bytes_read,
    )
