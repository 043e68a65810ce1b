"""How a version is published: what was computed, through consent as it is now, into the set.

Each step is named (`STEPS`) and comes after the one before is on the disk, so that a process can
end at any of them:

- `base`: what is published now is known; a version that the set moved to before its record was
  written is recorded;
- `epoch`: the client's consent epoch is read, before anybody's consent is;
- `changes`: who enters and who leaves is stored, under an id of this attempt alone;
- `prepared`: and so is the version itself;
- `filled`: the new key holds all members (not where the set is changed in place);
- `moved`: readers see the new version;
- `published`: and the ledger says so.

The set moves only where neither what is published nor the epoch has changed meanwhile; otherwise
the attempt is abandoned and the next one starts at the beginning. So whoever withdraws while a
version is on its way is left out of it, or is taken out after it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from relo_dsl.engine import EngineError
from relo_dsl.errors import UserError
from relo_dsl.setkeys import MOST_CHANGES
from relo_server.sets import Overtaken, SetsError, Stamp
from relo_server.versions import ledger, membership
from relo_server.versions.ledger import Step, Version
from relo_server.versions.membership import Changes
from relo_server.versions.publisher import Base, Planner, Publisher, Wanted, settle_all

#: Attempts after which something other than other publications must be wrong.
_ATTEMPTS = 20

#: What became of a publication: a version, nothing to publish, or why it failed.
Outcome = Version | None | Exception


def publish(publisher: Publisher, client: int, name: str, plan: Planner) -> Version | None:
    """Publishes what `plan` wants, again and again until nothing has moved meanwhile.

    Returns the version, or None where nothing was to be published. Raises Overtaken where the lease
    was lost, and as the engine and the sets do; what was published then stays as it was, or is the
    new version, whole.
    """
    outcome = publish_all(publisher, client, {name: plan})[name]
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def publish_all(
    publisher: Publisher, client: int, plans: Mapping[str, Planner]
) -> dict[str, Outcome]:
    """The same for several audiences, each by itself, with the statements of all in one.

    What one of them raises is its outcome, and holds up none of the others.
    """
    outcomes: dict[str, Outcome] = {}
    pending, whole = dict(plans), set[str]()
    for _ in range(_ATTEMPTS):
        if not pending:
            return outcomes
        attempt = _Attempt(publisher, client, whole)
        try:
            attempt.run(pending)
        except (UserError, EngineError) as error:
            if len(pending) == 1:
                return outcomes | dict.fromkeys(pending, error)
            for name, plan in pending.items():
                outcomes |= publish_all(publisher, client, {name: plan})
            return outcomes
        outcomes |= attempt.outcomes
        whole |= attempt.damaged
        pending = {name: plans[name] for name in pending if name not in outcomes}
    for name in pending:
        outcomes[name] = SetsError(
            f"`{name}` changed {_ATTEMPTS} times while it was being published", "try again later"
        )
    return outcomes


@dataclass(frozen=True, slots=True)
class _Underway:
    """A version on its way."""

    version: Version
    base: Base
    wanted: Wanted


class _Attempt:
    """One attempt at several audiences. Who is not in `outcomes` afterwards was overtaken."""

    def __init__(self, publisher: Publisher, client: int, whole: set[str]) -> None:
        self._publisher = publisher
        self._engine = publisher.engine
        self._client = client
        self._whole = whole
        self._started = time.perf_counter()
        self.outcomes: dict[str, Outcome] = {}
        self.damaged: set[str] = set()

    def run(self, plans: Mapping[str, Planner]) -> None:
        """Raises what concerns all of them: then none, or some of them, are published."""
        publisher = self._publisher
        bases = settle_all(self._engine, publisher.sets, self._client, list(plans))
        publisher.at_step("base")
        # Before anybody's consent is read: a withdrawal after this makes the set refuse to move.
        epoch = publisher.sets.epoch(self._client)
        publisher.at_step("epoch")
        underway = self._planned(plans, bases)
        if underway:
            underway = self._changed(underway)
        if underway:
            self._move(underway, epoch)

    def _planned(self, plans: Mapping[str, Planner], bases: Mapping[str, Base]) -> list[_Underway]:
        publisher, now = self._publisher, self._publisher.clock()
        found = []
        for name, plan in plans.items():
            try:
                wanted = plan(bases[name], now)
                if wanted is not None and wanted.source is not None:
                    ledger.require_known(self._engine, wanted.source)
            except (UserError, EngineError) as error:
                self.outcomes[name] = error
                continue
            if wanted is None:
                self.outcomes[name] = None
                continue
            version = publisher.version(self._client, name, bases[name], wanted, now)
            found.append(_Underway(version, bases[name], wanted))
        return found

    def _changed(self, underway: list[_Underway]) -> list[_Underway]:
        """Stores who enters and who leaves, and then the versions themselves."""
        publisher = self._publisher
        changes = [
            Changes(
                item.version,
                item.base.last,
                item.wanted.devices,
                publisher.bar(self._client, item.wanted.mask, item.version.built),
            )
            for item in underway
        ]
        counts = membership.add_changes(self._engine, changes)
        publisher.at_step("changes")
        blocked = ledger.blocked(
            self._engine, self._client, [item.version.name for item in underway]
        )
        prepared = []
        for item in underway:
            name = item.version.name
            entered, left = counts.get(item.version.version, (0, 0))
            if item.wanted.only_changes and item.base.agrees and not entered and not left:
                self.outcomes[name] = None
                continue
            before = 0 if item.base.last is None else item.base.last.size
            whole = name in self._whole or name in blocked or not _in_place(item, entered + left)
            version = replace(
                item.version,
                size=before + entered - left, entered=entered, left=left, whole=whole,
                duration_ms=self._millis(item, len(underway)),
            )  # fmt: skip
            prepared.append(replace(item, version=version))
        ledger.record_all(self._engine, [item.version for item in prepared], Step.PREPARED)
        publisher.at_step("prepared")
        return prepared

    def _millis(self, item: _Underway, together: int) -> int:
        """What it took so far; what is done for several at once is shared evenly."""
        return round((item.wanted.spent + (time.perf_counter() - self._started) / together) * 1000)

    def _move(self, underway: list[_Underway], epoch: int) -> None:
        """Moves the sets, one after the other, and records those that have moved."""
        few = [item.version for item in underway if not item.version.whole]
        changes = membership.changes_of(self._engine, few) if few else {}
        moved, abandoned = [], []
        lost: Overtaken | None = None
        for item in underway:
            version = item.version
            try:
                if lost is not None:
                    raise lost
                if version.whole:
                    self._fill(item, epoch)
                else:
                    self._change(item, epoch, *changes.get(version.version, ([], [])))
            except Overtaken as error:
                if not error.unsure:
                    # Otherwise it may have been current, and whoever came next recorded that.
                    abandoned.append(version)
                if error.damaged:
                    self.damaged.add(version.name)
                if error.what == "lease":
                    self.outcomes[version.name] = lost = error
            except (UserError, EngineError) as error:
                self.outcomes[version.name] = error
            else:
                took = self._millis(item, len(underway))
                moved.append(replace(version, duration_ms=took))
        self._publisher.at_step("moved")
        ledger.record_all(self._engine, abandoned, Step.ABANDONED)
        for version in ledger.record_all(self._engine, moved, Step.PUBLISHED):
            self.outcomes[version.name] = version
        self._publisher.at_step("published")

    def _change(self, item: _Underway, epoch: int, entered: list[bytes], left: list[bytes]) -> None:
        base = item.base.shown
        assert base is not None
        self._publisher.sets.change(
            self._client, item.version.name, _stamp(item.version),
            entered=entered, left=left, base=base, epoch=epoch, lease=self._publisher.lease,
        )  # fmt: skip

    def _fill(self, item: _Underway, epoch: int) -> None:
        publisher, version = self._publisher, item.version
        with publisher.sets.draft(self._client, version.name, version.version) as draft:
            filled = draft.add(membership.prepared_members(self._engine, version))
            if filled != version.size:
                raise SetsError(
                    f"`{version.name}` should have {version.size:,} members, and its set took "
                    f"{filled:,}",
                    "nothing was published; try again",
                )
            publisher.at_step("filled")
            draft.publish(_stamp(version), base=item.base.shown, epoch=epoch, lease=publisher.lease)


def _in_place(item: _Underway, changes: int) -> bool:
    """Whether the differences travel alone: the set is there and right, and they are few."""
    base = item.base
    if base.info is None or item.wanted.whole or changes > MOST_CHANGES:
        return False
    return base.agrees and base.info.whole


def _stamp(version: Version) -> Stamp:
    return Stamp(
        version=version.version,
        size=version.size,
        at=version.at,
        built_at=version.built,
        expires_at=version.expires,
        fingerprint=version.fingerprint,
        mask=version.mask,
    )
