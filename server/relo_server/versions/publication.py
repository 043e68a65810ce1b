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
from collections.abc import Callable
from dataclasses import dataclass, replace

from relo_dsl.engine import Engine
from relo_dsl.setkeys import MOST_CHANGES
from relo_server.sets import Lease, Overtaken, SetInfo, Sets, SetsError, Stamp, new_version
from relo_server.versions import ledger, membership
from relo_server.versions.barred import Bar
from relo_server.versions.ledger import Kind, Step, Version
from relo_server.versions.membership import Devices

STEPS = ("base", "epoch", "changes", "prepared", "filled", "moved", "published")
#: Attempts after which something other than other publications must be wrong.
_ATTEMPTS = 20


def wall_clock() -> int:
    """Now, in epoch milliseconds."""
    return int(time.time() * 1000)


def no_step(_step: str) -> None:
    """What happens at a step where nobody asks."""


@dataclass(frozen=True)
class Publisher:
    """Where versions are published, on whose behalf, and who may stop it.

    `default_flags` is the consent of a device without a record, `by` who publishes. `lease` must
    still be held when the set moves (None: unchecked). `clock` gives the wall clock in epoch ms;
    `at_step` is called after each step.
    """

    engine: Engine
    sets: Sets
    default_flags: int
    by: str
    clock: Callable[[], int] = wall_clock
    lease: Lease | None = None
    at_step: Callable[[str], None] = no_step

    def bar(self, client: int, mask: int, now: int) -> Bar:
        """Who must not be published at `now`."""
        return Bar(client, mask, self.default_flags, now)

    def version(self, client: int, name: str, base: Base, wanted: Wanted, now: int) -> Version:
        """A version of one attempt, with an id after all that is published or recorded."""
        ids = [known for known in (base.shown, base.last and base.last.version) if known]
        return Version(
            client=client,
            name=name,
            version=new_version(now, max(ids, default=None)),
            ordinal=1 if base.last is None else base.last.ordinal + 1,
            kind=wanted.kind,
            at=wanted.at,
            built=now,
            expires=wanted.expires,
            fingerprint=wanted.fingerprint,
            mask=wanted.mask,
            size=0,
            withheld=wanted.withheld,
            rows_read=wanted.rows_read,
            bytes_read=wanted.bytes_read,
            by=self.by,
            forced=wanted.forced,
            reason=wanted.reason,
        )


@dataclass(frozen=True, slots=True)
class Base:
    """What is published: the latest recorded version, and the one that the set has (or None)."""

    last: Version | None
    info: SetInfo | None

    @property
    def shown(self) -> str | None:
        """The id of the version that readers see."""
        return None if self.info is None else self.info.version

    @property
    def agrees(self) -> bool:
        """Whether the set is at the latest recorded version."""
        return self.last is not None and self.last.version == self.shown

    @property
    def unknown(self) -> bool:
        """Whether the set has a version that no record tells of."""
        if self.shown is None or self.agrees:
            return False
        return self.last is None or self.shown > self.last.version


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be published: `devices`, without those who must not be.

    `at` and `expires` (epoch ms), `fingerprint` and `mask` become those of the version; so do
    `withheld`, `rows_read`, `bytes_read`, `forced` and `reason`. `spent` are seconds that it took
    so far. `whole` fills the set anew, `only_changes` publishes nothing where nobody enters or
    leaves. `source` is the version that the members are those of, if any.
    """

    kind: Kind
    devices: Devices
    at: int
    expires: int
    fingerprint: str
    mask: int
    withheld: int = 0
    rows_read: int = 0
    bytes_read: int = 0
    spent: float = 0.0
    forced: bool = False
    whole: bool = False
    only_changes: bool = False
    source: Version | None = None
    reason: str = ""


#: Decides what to publish, given what is published and the wall clock; None: nothing.
Planner = Callable[[Base, int], Wanted | None]


def settle(engine: Engine, sets: Sets, client: int, name: str) -> Base:
    """What is published. A version that the set moved to, and that nobody lived to record, is."""
    info = sets.info(client, name)
    last = ledger.last(engine, client, name)
    base = Base(last, info)
    if base.unknown and info is not None:
        moved = ledger.prepared(engine, client, name, info.version)
        if moved is not None:
            return Base(ledger.record(engine, moved, Step.PUBLISHED), info)
    return base


def publish(publisher: Publisher, client: int, name: str, plan: Planner) -> Version | None:
    """Publishes what `plan` wants, again and again until nothing has moved meanwhile.

    Returns the version, or None where nothing was to be published. Raises Overtaken where the lease
    was lost, and as the engine and the sets do; what was published then stays as it was, or is the
    new version, whole.
    """
    whole = False
    for _ in range(_ATTEMPTS):
        try:
            return _attempt(publisher, client, name, plan, whole=whole)
        except Overtaken as error:
            if error.what == "lease":
                raise
            whole = whole or error.damaged
    raise SetsError(
        f"`{name}` changed {_ATTEMPTS} times while it was being published", "try again later"
    )


def _attempt(
    publisher: Publisher, client: int, name: str, plan: Planner, *, whole: bool
) -> Version | None:
    started = time.perf_counter()
    engine, sets = publisher.engine, publisher.sets
    base = settle(engine, sets, client, name)
    publisher.at_step("base")
    # Before anybody's consent is read: a withdrawal after this makes the set refuse to move.
    epoch = sets.epoch(client)
    publisher.at_step("epoch")
    now = publisher.clock()
    wanted = plan(base, now)
    if wanted is None:
        return None
    attempt = publisher.version(client, name, base, wanted, now)
    bar = publisher.bar(client, wanted.mask, now)
    entered, left = membership.add_changes(engine, attempt, base.last, wanted.devices, bar)
    if wanted.source is not None:
        ledger.require_known(engine, wanted.source)
    publisher.at_step("changes")
    if wanted.only_changes and base.agrees and not entered and not left:
        return None
    before = 0 if base.last is None else base.last.size
    in_place = not whole and _in_place(publisher, base, wanted, entered + left)
    attempt = replace(
        attempt,
        size=before + entered - left, entered=entered, left=left, whole=not in_place,
        duration_ms=_millis(wanted.spent + time.perf_counter() - started),
    )  # fmt: skip
    ledger.record(engine, attempt, Step.PREPARED)
    publisher.at_step("prepared")
    try:
        (_change if in_place else _fill)(publisher, attempt, base, epoch)
    except Overtaken:
        ledger.record(engine, attempt, Step.ABANDONED)
        raise
    publisher.at_step("moved")
    attempt = replace(attempt, duration_ms=_millis(wanted.spent + time.perf_counter() - started))
    done = ledger.record(engine, attempt, Step.PUBLISHED)
    publisher.at_step("published")
    return done


def _millis(seconds: float) -> int:
    return round(seconds * 1000)


def _in_place(publisher: Publisher, base: Base, wanted: Wanted, changes: int) -> bool:
    """Whether the differences travel alone: the set is there and right, and they are few."""
    if base.last is None or base.info is None or wanted.whole or changes > MOST_CHANGES:
        return False
    if not base.agrees or not base.info.whole:
        return False
    return not ledger.is_blocked(publisher.engine, base.last.client, base.last.name)


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


def _change(publisher: Publisher, attempt: Version, base: Base, epoch: int) -> None:
    entered, left = membership.changes_of(publisher.engine, attempt)
    assert base.shown is not None
    publisher.sets.change(
        attempt.client, attempt.name, _stamp(attempt),
        entered=entered, left=left, base=base.shown, epoch=epoch, lease=publisher.lease,
    )  # fmt: skip


def _fill(publisher: Publisher, attempt: Version, base: Base, epoch: int) -> None:
    with publisher.sets.draft(attempt.client, attempt.name, attempt.version) as draft:
        filled = draft.add(membership.prepared_members(publisher.engine, attempt))
        if filled != attempt.size:
            raise SetsError(
                f"`{attempt.name}` should have {attempt.size:,} members, and its set took "
                f"{filled:,}",
                "nothing was published; try again",
            )
        publisher.at_step("filled")
        draft.publish(_stamp(attempt), base=base.shown, epoch=epoch, lease=publisher.lease)
