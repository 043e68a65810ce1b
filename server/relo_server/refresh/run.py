"""A refresh: all its audiences are computed together, then each is published by itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from relo_dsl.bind import BoundDefinition
from relo_dsl.consent import ScopedPlan, scope
from relo_dsl.diagnostics import Severity
from relo_dsl.engine import Engine, EngineError
from relo_dsl.engine.migrate import apply_catalog
from relo_dsl.errors import UserError
from relo_dsl.plan import Plan
from relo_dsl.setkeys import HOLDOUT
from relo_dsl.settings import Publishing
from relo_dsl.workspace import Workspace
from relo_server.refresh.audiences import refuse_segments
from relo_server.refresh.compute import Computed, compute
from relo_server.refresh.counts import everybody, universe
from relo_server.refresh.limits import too_different
from relo_server.refresh.results import RefreshResult
from relo_server.sets import Lease, Overtaken, Sets
from relo_server.versions import ledger
from relo_server.versions.ledger import Kind, Step, Version
from relo_server.versions.membership import NOBODY, Devices, count_allowed, prune_old
from relo_server.versions.publication import (
    Base,
    Publisher,
    Wanted,
    no_step,
    publish,
    settle,
    wall_clock,
)
from relo_server.versions.staging import Staged, sweep
from relo_server.versions.withdrawal import withdraw_from


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
    publisher = Publisher(engine, sets, workspace.catalog.default_flags, by, clock, lease, at_step)
    run = _Refresh(publisher, at, limits or Publishing(), force=force, universes=universes)
    tasks = [_task(workspace, name, at) for name in names]
    planned = [task for task in tasks if task.scoped is not None]
    results = []
    with Staged(engine) as staged:
        computed = compute(engine, staged, [task.plan for task in planned], at)
        at_step("computed")
        found = dict(zip((task.result.name for task in planned), computed, strict=True))
        for task in tasks:
            result = run.finish(task, found.get(task.result.name))
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
    if any(item.severity is Severity.ERROR for item in found):
        failed = replace(result, diagnostics=tuple(found), error="the definition has errors")
        return _Task(bound, failed, None)
    try:
        return _Task(bound, result, scope(workspace.plan(name)))
    except UserError as error:
        return _Task(bound, replace(result, error=error.message, hint=error.hint), None)


@dataclass
class _Verdict:
    """What was decided when an audience was last about to be published."""

    size: int = 0
    too_small: bool = False
    held: str | None = None


class _Refresh:
    """Publishes what was computed."""

    def __init__(
        self, publisher: Publisher, at: int, limits: Publishing, *, force: bool, universes: bool
    ) -> None:
        self._publisher = publisher
        self._at = at
        self._limits = limits
        self._force = force
        self._counts_universes = universes
        self._universes: dict[Plan, int] = {}
        self._lost_lease = False

    def finish(self, task: _Task, computed: Computed | None) -> RefreshResult:
        """Publishes one audience and its holdout, or says why not; never raises for what is wrong
        with it.
        """
        result = task.result
        if not self._lost_lease and computed is not None:
            try:
                if computed.error is not None:
                    raise computed.error
                result = self._publish(task, computed)
            except Overtaken as error:
                self._lost_lease = error.what == "lease"
                result = _failed(result, error)
            except (UserError, EngineError) as error:
                result = _failed(result, error)
        if self._lost_lease:
            lost = "another process leads this client's refreshes now"
            return replace(result, error=lost, lost_lease=True)
        if not result.published and not result.emptied:
            result = self._withdraw(result)
        return result

    def _publish(self, task: _Task, computed: Computed) -> RefreshResult:
        started = time.perf_counter()
        verdict = _Verdict()
        name, client = task.result.name, task.result.client

        def plan(base: Base, now: int) -> Wanted | None:
            return self._decide(task, computed, verdict, base, now)

        version = publish(self._publisher, client, name, plan)
        if verdict.held is not None:
            self._hold(task, computed, verdict)
            held_out = None
        else:
            held_out = self._hold_out(task, computed, published=not verdict.too_small)
        if version is not None:
            prune_old(self._publisher.engine, version, self._limits.keep_versions)
        seconds = computed.seconds + time.perf_counter() - started
        result = replace(
            task.result,
            minimum=0 if self._force else task.result.minimum,
            size=verdict.size,
            withheld=computed.withheld + computed.counted - verdict.size,
            universe=self._universe(task.plan.plan) if self._counts_universes else None,
            seconds=seconds,
            rows_read=computed.rows_read,
            bytes_read=computed.bytes_read,
            holdout=held_out,
            held=verdict.held,
        )
        if version is None:
            return result
        if verdict.too_small:
            return replace(result, emptied=True)
        return replace(
            result, version=version.version, ordinal=version.ordinal, entered=version.entered,
            left=version.left, forced=version.forced,
        )  # fmt: skip

    def _decide(
        self, task: _Task, computed: Computed, verdict: _Verdict, base: Base, now: int
    ) -> Wanted | None:
        """What to publish of an audience, by its size as it is now."""
        plan = task.plan
        bar = self._publisher.bar(plan.client, plan.mask, now)
        size = count_allowed(self._publisher.engine, computed.members, bar)
        verdict.size, verdict.held = size, None
        below = size < task.result.minimum
        verdict.too_small = below and not self._force
        wanted = self._wanted(task, computed, computed.members, now, size)
        if verdict.too_small:
            reason = f"{size:,} members, and its minimum is {task.result.minimum:,}"
            return _emptied(wanted, base, reason)
        different = too_different(size, base.last, now, self._limits)
        if different is not None and not self._force:
            verdict.held = different
            return None
        if below or different:
            reason = different or f"below its minimum of {task.result.minimum:,}"
            return replace(wanted, forced=True, reason=reason)
        return wanted

    def _wanted(
        self, task: _Task, computed: Computed, devices: Devices, now: int, size: int
    ) -> Wanted:
        return Wanted(
            kind=Kind.REFRESH,
            devices=devices,
            at=self._at,
            expires=now + task.bound.header.ttl,
            fingerprint=task.plan.plan.fingerprint,
            mask=task.plan.mask,
            withheld=computed.withheld + computed.counted - size,
            rows_read=computed.rows_read,
            bytes_read=computed.bytes_read,
            spent=computed.seconds,
        )

    def _hold_out(self, task: _Task, computed: Computed, *, published: bool) -> int | None:
        """Publishes the holdout under a name of its own; its size, None where there is none.

        It is emptied where the members are not out, or the definition has none any more: whoever
        was in it must not stay there.
        """
        shares = task.plan.plan.shares
        has_one = shares is not None and shares.holdout is not None
        client, name = task.result.client, task.result.name + HOLDOUT
        if not has_one and self._publisher.sets.info(client, name) is None:
            return None

        def plan(base: Base, now: int) -> Wanted | None:
            wanted = self._wanted(task, computed, computed.held_out, now, computed.counted)
            wanted = replace(wanted, withheld=0, rows_read=0, bytes_read=0, spent=0.0)
            if has_one and published:
                return wanted
            why = "its audience was emptied" if has_one else "its definition has no holdout"
            return _emptied(wanted, base, why)

        version = publish(self._publisher, client, name, plan)
        if version is not None:
            prune_old(self._publisher.engine, version, self._limits.keep_versions)
        if not has_one and version is None:
            return None
        return 0 if version is None else version.size

    def _hold(self, task: _Task, computed: Computed, verdict: _Verdict) -> None:
        """Writes into the history that a version was held back."""
        publisher, now = self._publisher, self._publisher.clock()
        client, name = task.result.client, task.result.name
        base = settle(publisher.engine, publisher.sets, client, name)
        wanted = self._wanted(task, computed, computed.members, now, verdict.size)
        version = publisher.version(client, name, base, wanted, now)
        ordinal = 0 if base.last is None else base.last.ordinal
        held = replace(version, ordinal=ordinal, size=verdict.size, reason=verdict.held or "")
        ledger.record(publisher.engine, held, Step.HELD)

    def _withdraw(self, result: RefreshResult) -> RefreshResult:
        """Whoever withdrew leaves what stays published."""
        versions: list[Version] = []
        try:
            for name in (result.name, result.name + HOLDOUT):
                version = withdraw_from(self._publisher, result.client, name)
                versions += [version] if version is not None else []
        except Overtaken as error:
            self._lost_lease = error.what == "lease"
            return replace(_failed(result, error), lost_lease=self._lost_lease)
        except (UserError, EngineError) as error:
            return _failed(result, error)
        return replace(result, withdrawn=sum(version.left for version in versions))

    def _universe(self, plan: Plan) -> int:
        """The size of a plan's universe, counted once for all plans that share it."""
        everyone = everybody(plan)
        if everyone not in self._universes:
            self._universes[everyone] = universe(self._publisher.engine, plan, self._at).devices
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
