"""A refresh: all its audiences are computed together, then each is published by itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby

from relo_dsl.bind import BoundDefinition
from relo_dsl.consent import ScopedPlan, scope
from relo_dsl.diagnostics import has_errors
from relo_dsl.engine import Engine, EngineError
from relo_dsl.engine.migrate import apply_catalog
from relo_dsl.errors import UserError
from relo_dsl.plan import Plan
from relo_dsl.setkeys import HOLDOUT
from relo_dsl.settings import Publishing
from relo_dsl.sql.together import Part
from relo_dsl.workspace import Workspace
from relo_server.refresh.audiences import refuse_segments
from relo_server.refresh.compute import Computed, compute
from relo_server.refresh.counts import everybody, universe
from relo_server.refresh.limits import too_different
from relo_server.refresh.results import RefreshResult
from relo_server.sets import Lease, Overtaken, Sets
from relo_server.tracing import span
from relo_server.versions import ledger
from relo_server.versions.barred import Bar
from relo_server.versions.ledger import Kind, Step, Version
from relo_server.versions.membership import NOBODY, Devices, prune_old
from relo_server.versions.publication import Outcome, publish_all
from relo_server.versions.publisher import (
    Base,
    Planner,
    Publisher,
    Wanted,
    no_step,
    settle,
    wall_clock,
)
from relo_server.versions.staging import Staged, sweep
from relo_server.versions.withdrawal import withdraw_from

#: Audiences whose statements are sent as one.
_TOGETHER = 25


def refresh(
    workspace: Workspace,
    engine: Engine,
    sets: Sets,
    names: Sequence[str],
    *,
    at: int,
    by: str,
    lease: Lease | None = None,
    force: bool = False,
    limits: Publishing | None = None,
    universes: bool = False,
    clock: Callable[[], int] = wall_clock,
    at_step: Callable[[str], None] = no_step,
    done: Callable[[RefreshResult], object] = lambda _: None,
) -> list[RefreshResult]:
    """Refreshes audiences at T = `at` and publishes them in order; `done` gets each result.

    One that fails stops none, and whoever withdrew leaves what stays published of it all the same.
    `force` publishes against a minimum and `limits`. With `universes` their sizes are counted.
    `at_step` is called at `computed` and at each step of a publication. If the lease is lost, the
    rest is left alone, and their results say so. Raises UserError, before anything is computed,
    for a name that is no audience.
    """
    refuse_segments(workspace, names)
    # What the catalog has named since the last load is a column only from now on.
    apply_catalog(engine, workspace.catalog)
    sweep(engine)
    publisher = Publisher(engine, sets, workspace.catalog.flags_of, by, clock, lease, at_step)
    tasks = [_task(workspace, name, at) for name in names]
    planned = [task for task in tasks if task.scoped is not None]
    results = []
    with span("refresh", audiences=len(tasks)), Staged(engine) as staged:
        with span("compute", audiences=len(planned)):
            computed = compute(engine, staged, [task.plan for task in planned], at)
        at_step("computed")
        found = dict(zip((task.result.name for task in planned), computed, strict=True))
        ready = [_Ready(task, found.get(task.result.name)) for task in tasks]
        run = _Refresh(publisher, staged, at, limits or Publishing(), force=force)
        for group in _groups(ready):
            with span("publish", client=group[0].task.result.client, audiences=len(group)):
                finished = run.finish(group)
            for result in finished:
                if universes and result.size is not None:
                    result = replace(result, universe=run.universe(workspace.plan(result.name)))
                done(result)
                results.append(result)
    return results


@dataclass(frozen=True, slots=True)
class _Task:
    """One audience: its definition, and its plan where that has no errors."""

    bound: BoundDefinition
    result: RefreshResult
    scoped: ScopedPlan | None

    @property
    def plan(self) -> ScopedPlan:
        assert self.scoped is not None
        return self.scoped


def _task(workspace: Workspace, name: str, at: int) -> _Task:
    bound = workspace.bound(name)
    result = RefreshResult(name, bound.client, bound.header.type, at, bound.header.minimum)
    found = workspace.errors_of([name])
    if has_errors(found):
        failed = replace(result, diagnostics=tuple(found), error="the definition has errors")
        return _Task(bound, failed, None)
    try:
        return _Task(bound, result, scope(workspace.plan(name)))
    except UserError as error:
        return _Task(bound, replace(result, error=error.message, hint=error.hint), None)


@dataclass(slots=True)
class _Ready:
    """One audience, what was computed of it, and what is decided when it is published."""

    task: _Task
    computed: Computed | None
    size: int = 0
    too_small: bool = False
    held: str | None = None

    @property
    def found(self) -> Computed:
        assert self.computed is not None
        return self.computed

    @property
    def name(self) -> str:
        return self.task.result.name

    @property
    def has_holdout(self) -> bool:
        shares = self.task.plan.plan.shares
        return shares is not None and shares.holdout is not None


def _groups(ready: Sequence[_Ready]) -> Iterator[list[_Ready]]:
    """Neighbours of one client, in groups that are published together."""
    for _, of_client in groupby(ready, lambda item: item.task.result.client):
        rest = list(of_client)
        for start in range(0, len(rest), _TOGETHER):
            yield rest[start : start + _TOGETHER]


class _Refresh:
    """Publishes what was computed, group by group."""

    def __init__(
        self, publisher: Publisher, staged: Staged, at: int, limits: Publishing, *, force: bool
    ) -> None:
        self._publisher = publisher
        self._staged = staged
        self._at = at
        self._limits = limits
        self._force = force
        self._universes: dict[Plan, int] = {}
        self._sizes: dict[Bar, dict[int, int]] = {}
        self._lost_lease = False

    def finish(self, group: Sequence[_Ready]) -> list[RefreshResult]:
        """Publishes audiences of one client and their holdouts, or says why not; never raises for
        what is wrong with them.
        """
        started = time.perf_counter()
        results = {item.name: item.task.result for item in group}
        ready = []
        for item in group:
            if item.computed is None:
                continue
            if item.computed.error is not None:
                results[item.name] = _failed(item.task.result, item.computed.error)
            else:
                ready.append(item)
        try:
            outcomes = self._publish(ready)
        except (UserError, EngineError) as error:
            outcomes = {item.name: error for item in ready}
        seconds = (time.perf_counter() - started) / len(group)
        for item in ready:
            results[item.name] = self._result(item, outcomes, seconds)
        return self._withdraw(group, results)

    def _publish(self, ready: Sequence[_Ready]) -> dict[str, Outcome]:
        """What became of the audiences, and of the holdouts of those that did not fail."""
        if self._lost_lease or not ready:
            return {}
        client = ready[0].task.result.client
        plans: dict[str, Planner] = {item.name: partial(self._decide, item) for item in ready}
        outcomes = publish_all(self._publisher, client, plans)
        going = []
        for item in ready:
            if isinstance(outcomes[item.name], Exception):
                continue
            if item.held is not None:
                self._hold(item)
            elif item.has_holdout or self._publisher.sets.info(client, item.name + HOLDOUT):
                going.append(item)
        held_out: dict[str, Planner] = {
            item.name + HOLDOUT: partial(self._hold_out, item) for item in going
        }
        outcomes |= publish_all(self._publisher, client, held_out)
        for outcome in outcomes.values():
            if isinstance(outcome, Version):
                prune_old(self._publisher.engine, outcome, self._limits.keep_versions)
            elif isinstance(outcome, Overtaken) and outcome.what == "lease":
                self._lost_lease = True
        return outcomes

    def _result(
        self, item: _Ready, outcomes: Mapping[str, Outcome], seconds: float
    ) -> RefreshResult:
        computed, result = item.found, item.task.result
        version, holdout = outcomes.get(item.name), outcomes.get(item.name + HOLDOUT)
        for outcome in (version, holdout):
            if isinstance(outcome, Exception):
                return _failed(result, outcome)
        held_out = None
        if item.has_holdout and item.held is None:
            held_out = holdout.size if isinstance(holdout, Version) else 0
        result = replace(
            result,
            minimum=0 if self._force else result.minimum,
            size=item.size,
            withheld=computed.withheld + computed.counted - item.size,
            seconds=computed.seconds + seconds,
            rows_read=computed.rows_read,
            bytes_read=computed.bytes_read,
            holdout=held_out,
            held=item.held,
        )
        if not isinstance(version, Version):
            return result
        if item.too_small:
            return replace(result, emptied=True)
        return replace(
            result, version=version.version, ordinal=version.ordinal, entered=version.entered,
            left=version.left, forced=version.forced,
        )  # fmt: skip

    def _decide(self, item: _Ready, base: Base, now: int) -> Wanted | None:
        """What to publish of an audience, by its size as it is now."""
        result, plan = item.task.result, item.task.plan
        item.size = self._size(item.found, self._publisher.bar(plan.client, plan.mask, now))
        below = item.size < result.minimum
        item.too_small, item.held = below and not self._force, None
        wanted = self._wanted(item, item.found.members, now)
        if item.too_small:
            reason = f"{item.size:,} members, and its minimum is {result.minimum:,}"
            return _emptied(wanted, base, reason)
        different = too_different(item.size, base.last, now, self._limits)
        if different is not None and not self._force:
            item.held = different
            return None
        if below or different:
            reason = different or f"below its minimum of {result.minimum:,}"
            return replace(wanted, forced=True, reason=reason)
        return wanted

    def _size(self, computed: Computed, bar: Bar) -> int:
        """How many may be published now, counted once for all that need the same consent."""
        if bar not in self._sizes:
            self._sizes[bar] = self._staged.allowed(Part.MEMBER, bar)
        return self._sizes[bar].get(computed.number, 0)

    def _wanted(self, item: _Ready, devices: Devices, now: int) -> Wanted:
        computed, plan = item.found, item.task.plan
        return Wanted(
            kind=Kind.REFRESH,
            devices=devices,
            at=self._at,
            expires=now + item.task.bound.header.ttl,
            fingerprint=plan.plan.fingerprint,
            mask=plan.mask,
            withheld=computed.withheld + computed.counted - item.size,
            rows_read=computed.rows_read,
            bytes_read=computed.bytes_read,
            spent=computed.seconds,
        )

    def _hold_out(self, item: _Ready, base: Base, now: int) -> Wanted | None:
        """What to publish of a holdout, under a name of its own.

        It is emptied where the members are not out, or the definition has none any more: whoever
        was in it must not stay there.
        """
        wanted = self._wanted(item, item.found.held_out, now)
        wanted = replace(wanted, withheld=0, rows_read=0, bytes_read=0, spent=0.0)
        if item.has_holdout and not item.too_small:
            return wanted
        why = "its audience was emptied" if item.has_holdout else "its definition has no holdout"
        return _emptied(wanted, base, why)

    def _hold(self, item: _Ready) -> None:
        """Writes into the history that a version was held back."""
        publisher, now = self._publisher, self._publisher.clock()
        client = item.task.result.client
        base = settle(publisher.engine, publisher.sets, client, item.name)
        wanted = self._wanted(item, item.found.members, now)
        version = publisher.version(client, item.name, base, wanted, now)
        ordinal = 0 if base.last is None else base.last.ordinal
        held = replace(version, ordinal=ordinal, size=item.size, reason=item.held or "")
        ledger.record(publisher.engine, held, Step.HELD)

    def _withdraw(
        self, group: Sequence[_Ready], results: dict[str, RefreshResult]
    ) -> list[RefreshResult]:
        """Whoever withdrew leaves what stays published."""
        for item in group:
            result = results[item.name]
            if self._lost_lease or result.published or result.emptied:
                continue
            try:
                left = withdraw_from(
                    self._publisher, result.client, [item.name, item.name + HOLDOUT]
                )
                results[item.name] = replace(result, withdrawn=sum(v.left for v in left))
            except Overtaken as error:
                self._lost_lease = error.what == "lease"
                results[item.name] = _failed(result, error)
            except (UserError, EngineError) as error:
                results[item.name] = _failed(result, error)
        return [self._checked(result) for result in results.values()]

    def _checked(self, result: RefreshResult) -> RefreshResult:
        """The result, or that it came too late: another process leads."""
        if not self._lost_lease or result.published or result.emptied:
            return result
        lost = "another process leads this client's refreshes now"
        return replace(result, error=lost, hint=None, lost_lease=True)

    def universe(self, plan: Plan) -> int | None:
        """The size of a plan's universe, counted once for all plans that share it; None where that
        takes too much.
        """
        everyone = everybody(plan)
        try:
            if everyone not in self._universes:
                self._universes[everyone] = universe(self._publisher.engine, plan, self._at).devices
        except (UserError, EngineError):
            return None
        return self._universes[everyone]


def _emptied(wanted: Wanted, base: Base, reason: str) -> Wanted | None:
    """Nobody, in place of what is published; None where nobody is."""
    if base.info is None or (base.agrees and not base.info.size):
        return None
    return replace(wanted, kind=Kind.EMPTIED, devices=NOBODY, reason=reason)


def _failed(result: RefreshResult, error: Exception) -> RefreshResult:
    if isinstance(error, UserError):
        return replace(result, error=error.message, hint=error.hint)
    return replace(result, error=f"the engine failed: {error}")
