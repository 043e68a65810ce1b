"""Any order of publishing, changing, withdrawing and losing, against a model of a few lines.

Two workers prepare publications upon what they saw at some time, and finish them later: then the
model says whether the store has to take them, and what is published after it.
"""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from relo_server.sets import Lease, Overtaken, Sets, new_version
from tests.sets.helpers import KEYS, change, publish, stamp, wall_clock

FEW = KEYS[:8]
members = st.frozensets(st.sampled_from(FEW))
workers = st.integers(0, 1)
_clients = itertools.count(700_000)


@dataclass
class Worker:
    """What a worker has seen, perhaps long ago."""

    base: str | None = None
    members: frozenset[bytes] = frozenset()
    epoch: int = 0
    lease: Lease | None = None


@dataclass
class Model:
    """What is published, and who leads."""

    version: str | None = None
    members: frozenset[bytes] = frozenset()
    epoch: int = 0
    leader: int | None = None
    damaged: bool = False
    workers: list[Worker] = field(default_factory=lambda: [Worker(), Worker()])

    def refuses(self, number: int) -> str | None:
        """What has moved since this worker looked."""
        worker = self.workers[number]
        if worker.lease is not None and self.leader != number:
            return "lease"
        if worker.epoch != self.epoch:
            return "consent"
        return "base" if worker.base != self.version else None


class Publishing(RuleBasedStateMachine):
    folder: ClassVar[Path]
    sets: ClassVar[Sets]

    def __init__(self) -> None:
        super().__init__()
        self.client = next(_clients)
        self.model = Model()

    @rule(worker=workers)
    def look(self, worker: int) -> None:
        info = self.sets.info(self.client, "vip")
        assert (None if info is None else info.version) == self.model.version
        seen = self.model.workers[worker]
        seen.base, seen.members = self.model.version, self.model.members
        seen.epoch = self.sets.epoch(self.client)

    @rule(worker=workers, new=members)
    def publish(self, worker: int, new: frozenset[bytes]) -> None:
        seen = self.model.workers[worker]

        def act() -> str:
            return publish(
                self.sets, self.client, sorted(new),
                base=seen.base, epoch=seen.epoch, lease=seen.lease,
            )  # fmt: skip

        self.done(worker, new, act, needs_whole=False)

    @rule(worker=workers, new=members)
    def change(self, worker: int, new: frozenset[bytes]) -> None:
        seen = self.model.workers[worker]
        if seen.base is None:
            return
        base = seen.base

        def act() -> str:
            return change(
                self.sets, self.client, base,
                entered=new - seen.members, left=seen.members - new, size=len(new),
                epoch=seen.epoch, lease=seen.lease,
            )  # fmt: skip

        self.done(worker, new, act, needs_whole=True)

    def done(
        self, worker: int, new: frozenset[bytes], act: Callable[[], str], *, needs_whole: bool
    ) -> None:
        expected = self.model.refuses(worker)
        damaged = expected is None and needs_whole and self.model.damaged
        if expected is None and not damaged:
            self.model.version, self.model.members, self.model.damaged = act(), new, False
            return
        with pytest.raises(Overtaken) as caught:
            act()
        assert caught.value.what == ("base" if damaged else expected)
        assert caught.value.damaged == damaged

    @rule(devices=members)
    def withdraw(self, devices: frozenset[bytes]) -> None:
        """Raise the epoch, then take devices out of whatever is published."""
        self.model.epoch += 1
        assert self.sets.raise_epoch(self.client) == self.model.epoch
        left = self.model.members & devices
        if self.model.version is None or self.model.damaged or not left:
            return
        rest = self.model.members - left
        self.model.version = change(
            self.sets, self.client, self.model.version,
            left=left, size=len(rest), epoch=self.model.epoch,
        )  # fmt: skip
        self.model.members = rest

    @rule(worker=workers)
    def lead(self, worker: int) -> None:
        lease = self.sets.lease(self.client, "refresh", f"worker {worker}", 60)
        assert (lease is None) == (self.model.leader is not None)
        if lease is not None:
            self.model.leader = worker
            self.model.workers[worker].lease = lease

    @precondition(lambda self: self.model.leader is not None)
    @rule()
    def lose_the_lease(self) -> None:
        """By hand, as the server does in time: the worker knows nothing of it."""
        self.sets._redis.delete(f"lease:{{{self.client}}}:refresh")
        self.model.leader = None

    @precondition(lambda self: self.model.members and not self.model.damaged)
    @rule()
    def lose_the_set(self) -> None:
        info = self.sets.info(self.client, "vip")
        assert info is not None
        self.sets._redis.delete(info.key)
        self.model.damaged = True

    @rule()
    def drop(self) -> None:
        assert self.sets.drop(self.client, "vip") == (self.model.version is not None)
        self.model.version, self.model.members, self.model.damaged = None, frozenset(), False

    @rule(new=members)
    def fill_and_forget(self, new: frozenset[bytes]) -> None:
        draft = self.sets.draft(self.client, "vip", new_version(wall_clock()))
        draft.add([sorted(new)])
        assert draft.size() == len(new)
        draft.discard()

    @invariant()
    def readers_see_what_is_published(self) -> None:
        info = self.sets.info(self.client, "vip")
        if self.model.version is None:
            assert info is None
            assert self.sets.contains(self.client, "vip", FEW) is None
            return
        assert info is not None
        told = (info.version, info.size, info.whole)
        assert told == (self.model.version, len(self.model.members), not self.model.damaged)
        if not self.model.damaged:
            answers = self.sets.ask(self.client, "vip", FEW)
            assert answers is not None
            assert answers.info == info
            assert answers.members == [key in self.model.members for key in FEW]
            assert set(self.sets.members(self.client, "vip")) == self.model.members
        for worker, seen in enumerate(self.model.workers):
            held = seen.lease is not None and seen.lease.held()
            assert held == (seen.lease is not None and self.model.leader == worker)


class TestPublishing(Publishing.TestCase):  # type: ignore[valid-type, misc]
    settings = settings(max_examples=60, stateful_step_count=25)

    @classmethod
    def setUpClass(cls) -> None:
        Publishing.folder = Path(tempfile.mkdtemp(prefix="relo-test-"))
        Publishing.sets = Sets.embedded(Publishing.folder)

    @classmethod
    def tearDownClass(cls) -> None:
        Publishing.sets.close()
        shutil.rmtree(Publishing.folder)


def test_the_stamp_is_what_the_reader_finds() -> None:
    found = stamp("1790000000000-00000000", 5).fields()
    assert list(found) == [
        "version", "size", "at", "built_at", "expires_at", "fingerprint", "mask",
    ]  # fmt: skip
