"""Building audiences: from the definition to the published set, one after the other.

Members go from the engine to the sets in chunks, so that no audience has to fit into memory.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from relo_dsl.consent import ScopedPlan, scope
from relo_dsl.diagnostics import Diagnostic, Severity
from relo_dsl.engine import Engine, EngineError
from relo_dsl.engine.migrate import apply_catalog
from relo_dsl.errors import UserError
from relo_dsl.plan import Plan
from relo_dsl.setkeys import HOLDOUT
from relo_dsl.sql.lower import count_query, holdout_query, members_query, withheld_query
from relo_dsl.sql.query import SqlQuery
from relo_dsl.terms import Always
from relo_dsl.times import format_instant
from relo_dsl.workspace import Workspace
from relo_server.sets import Sets


@dataclass(frozen=True, slots=True)
class BuildResult:
    """What became of one audience.

    `version` is None where nothing was published: the definition has errors (`diagnostics`),
    something failed (`error`), or it is smaller than its `minimum`. `size` counts its members at
    `at` (epoch milliseconds), `universe` the devices it chose from, `withheld` those that met the
    condition without consenting; None where that is not known. `seconds` is the time from the
    compiler to the published set, `rows_read` and `bytes_read` what its query read. `holdout`
    counts the devices of its second set, None where it splits none off.
    """

    name: str
    client: int
    type: str | None
    at: int
    minimum: int = 0
    size: int | None = None
    universe: int | None = None
    withheld: int | None = None
    version: str | None = None
    seconds: float = 0.0
    rows_read: int = 0
    bytes_read: int = 0
    holdout: int | None = None
    error: str | None = None
    hint: str | None = None
    emptied: bool = False
    diagnostics: tuple[Diagnostic, ...] = ()

    @property
    def published(self) -> bool:
        """Whether there is a new version with these members."""
        return self.version is not None

    @property
    def too_small(self) -> bool:
        """Whether it was not published because of its minimum."""
        return self.size is not None and self.size < self.minimum and not self.published

    def to_json(self) -> dict[str, object]:
        """One line of `relo build --json`."""
        return {
            "name": self.name,
            "client": self.client,
            "type": self.type,
            "at": format_instant(self.at),
            "published": self.published,
            "version": self.version,
            "size": self.size,
            "minimum": self.minimum,
            "universe": self.universe,
            "withheld": self.withheld,
            "holdout": self.holdout,
            "seconds": round(self.seconds, 3),
            "rows_read": self.rows_read,
            "bytes_read": self.bytes_read,
            "emptied": self.emptied,
            "error": self.error,
            "diagnostics": [item.to_json() for item in self.diagnostics],
        }


class _TooSmall(Exception):
    """Ends a publication whose members are all there and too few."""


class Builder:
    """Builds audiences of one workspace at one instant; the universe is counted once a mask."""

    def __init__(self, workspace: Workspace, engine: Engine, sets: Sets, *, at: int) -> None:
        self.workspace = workspace
        self.engine = engine
        self.sets = sets
        self.at = at
        self._universes: dict[Plan, int] = {}
        # What the catalog has named since the last load is a column only from now on.
        apply_catalog(engine, workspace.catalog)

    def build(self, name: str, *, force: bool = False) -> BuildResult:
        """Builds one audience; with `force` even where it is below its minimum.

        Never raises for what is wrong with the audience: the result says it. An audience that fell
        below its minimum is not published, and a version from before is emptied: devices that have
        left or withdrawn their consent must not stay in it.
        """
        bound = self.workspace.bound(name)
        header = bound.header
        minimum = 0 if force else header.minimum
        result = BuildResult(name, header.client, header.type, self.at, minimum)
        found = self.workspace.errors_of([name])
        if any(item.severity is Severity.ERROR for item in found):
            return replace(result, diagnostics=tuple(found), error="the definition has errors")
        try:
            plan = self.workspace.plan(name)
            return self._publish(result, plan, header.ttl)
        except UserError as error:
            return replace(result, error=error.message, hint=error.hint)
        except EngineError as error:
            return replace(result, error=f"the engine failed: {error}")

    def _publish(self, result: BuildResult, plan: Plan, ttl: int) -> BuildResult:
        started = time.perf_counter()
        scoped = scope(plan)
        members = self.engine.members(members_query(scoped, self.at))

        def chunks() -> Iterator[list[bytes]]:
            yield from members
            if members.count < result.minimum:
                raise _TooSmall

        version, emptied = None, False
        try:
            version = self.sets.publish(
                result.name, result.client, chunks(),
                at=self.at, ttl=ttl, fingerprint=plan.fingerprint,
            ).version  # fmt: skip
        except _TooSmall:
            emptied = self._empty(result, plan, ttl)
        held_out = self._hold_out(result, scoped, ttl, published=version is not None)
        seconds = time.perf_counter() - started
        return replace(
            result,
            holdout=held_out,
            size=members.count,
            universe=self._universe(plan),
            withheld=counted(self.engine, withheld_query(scoped, self.at)),
            version=version,
            emptied=emptied,
            seconds=seconds,
            rows_read=members.rows_read,
            bytes_read=members.bytes_read,
        )

    def _hold_out(
        self, result: BuildResult, scoped: ScopedPlan, ttl: int, *, published: bool
    ) -> int | None:
        """Publishes the holdout under a name of its own; its size, None where there is none.

        It is emptied where the members are not out, or the definition has none any more: whoever
        was in it must not stay there.
        """
        name, shares = result.name + HOLDOUT, scoped.plan.shares
        if shares is None or shares.holdout is None:
            before = self.sets.info(result.client, name)
            if before is None or not before.size:
                return None
            published = False
        keys = self.engine.members(holdout_query(scoped, self.at)) if published else None
        self.sets.publish(
            name, result.client, keys or (),
            at=self.at, ttl=ttl, fingerprint=scoped.plan.fingerprint,
        )  # fmt: skip
        return 0 if keys is None else keys.count

    def _empty(self, result: BuildResult, plan: Plan, ttl: int) -> bool:
        """Publishes nobody in place of a version from before; whether there was one."""
        before = self.sets.info(result.client, result.name)
        if before is None or not before.size:
            return False
        self.sets.publish(
            result.name, result.client, (), at=self.at, ttl=ttl, fingerprint=plan.fingerprint
        )
        return True

    def _universe(self, plan: Plan) -> int:
        """The size of a plan's universe, counted once for all plans that share it."""
        everyone = replace(plan, condition=Always(True), keep=None, shares=None)
        if everyone not in self._universes:
            self._universes[everyone] = universe(self.engine, plan, self.at).devices
        return self._universes[everyone]


@dataclass(frozen=True, slots=True)
class Universe:
    """How many devices a plan chooses from, and how many of them consent to its use at T."""

    devices: int
    consenting: int


def universe(engine: Engine, plan: Plan, at: int) -> Universe:
    """The devices with something that the plan may see, whatever its condition says."""
    everyone = scope(replace(plan, condition=Always(True), keep=None, shares=None))
    consenting = counted(engine, count_query(everyone, at))
    return Universe(consenting + counted(engine, withheld_query(everyone, at)), consenting)


def counted(engine: Engine, query: SqlQuery) -> int:
    """The one number that a query answers. Raises as `Engine.query` does."""
    return int(engine.query(query).rows[0][0])


def build_audiences(
    workspace: Workspace,
    engine: Engine,
    sets: Sets,
    names: Sequence[str],
    *,
    at: int,
    force: bool = False,
    done: Callable[[BuildResult], object] = lambda _: None,
) -> list[BuildResult]:
    """Builds audiences in order; `done` gets each result as it comes. One that fails stops none.

    Raises UserError, before anything is built, for a name that is no audience.
    """
    refuse_segments(workspace, names)
    builder = Builder(workspace, engine, sets, at=at)
    results = []
    for name in names:
        result = builder.build(name, force=force)
        done(result)
        results.append(result)
    return results


def audiences(workspace: Workspace) -> list[str]:
    """The names of the definitions that are published, in their order."""
    return [name for name in workspace.names if workspace.syntax(name).kind == "audience"]


def refuse_segments(workspace: Workspace, names: Sequence[str]) -> None:
    """Raises UserError for names of segments, which are conditions and never published."""
    for name in names:
        if workspace.syntax(name).kind != "audience":
            raise UserError(
                f"`{name}` is a segment, and only audiences are published",
                f"write `audience {name}` to publish it, or build an audience that refers to it",
            )
