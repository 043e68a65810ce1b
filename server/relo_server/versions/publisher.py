"""Who publishes, what is published, and what is to be."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from relo_dsl.engine import Engine
from relo_server.sets import Lease, SetInfo, Sets, new_version
from relo_server.versions import ledger
from relo_server.versions.barred import Bar
from relo_server.versions.ledger import Kind, Step, Version
from relo_server.versions.membership import Devices

STEPS = ("base", "epoch", "changes", "prepared", "filled", "moved", "published")


def wall_clock() -> int:
    """Now, in epoch milliseconds."""
    return int(time.time() * 1000)


def no_step(_step: str) -> None:
    """What happens at a step where nobody asks."""


@dataclass(frozen=True)
class Publisher:
    """Where versions are published, on whose behalf, and who may stop it.

    `flags_of` gives the consent of a client's devices without a record, `by` who publishes. `lease`
    must still be held when the set moves (None: unchecked). `clock` gives the wall clock in epoch
    ms; `at_step` is called after each step.
    """

    engine: Engine
    sets: Sets
    flags_of: Callable[[int], int]
    by: str
    clock: Callable[[], int] = wall_clock
    lease: Lease | None = None
    at_step: Callable[[str], None] = no_step

    def bar(self, client: int, mask: int, now: int) -> Bar:
        """Who must not be published at `now`."""
        return Bar(client, mask, self.flags_of(client), now)

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
    """What is to be published: `devices`, without those who must not be. None: those of the last
    version.

    `at` and `expires` (epoch ms), `fingerprint` and `mask` become those of the version; so do
    `withheld`, `rows_read`, `bytes_read`, `forced` and `reason`. `spent` are seconds that it took
    so far. `whole` fills the set anew, `only_changes` publishes nothing where nobody enters or
    leaves. `source` is the version that the members are those of, if any.
    """

    kind: Kind
    devices: Devices | None
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
    return settle_all(engine, sets, client, [name])[name]


def settle_all(engine: Engine, sets: Sets, client: int, names: Sequence[str]) -> dict[str, Base]:
    """The same of several names."""
    infos = {name: sets.info(client, name) for name in names}
    latest = ledger.latest(engine, client, names)
    return {name: _settled(engine, Base(latest.get(name), infos[name])) for name in names}


def _settled(engine: Engine, base: Base) -> Base:
    info = base.info
    if not base.unknown or info is None:
        return base
    moved = ledger.prepared(engine, info.client, info.name, info.version)
    if moved is None:
        return base
    return Base(ledger.record(engine, moved, Step.PUBLISHED), info)
