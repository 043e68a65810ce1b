"""Random histories against a plain model: members, differences, counts, and lost set servers."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest

from relo_dsl.errors import UserError
from relo_server.versions import ledger, membership, publication
from relo_server.versions.membership import differences, prune
from relo_server.versions.rebuild import rebuild
from relo_server.versions.rollback import rollback
from tests.versions.world import World, each_device

EVERYONE = list(each_device(40))


@dataclass
class Model:
    """What should be: the members of each version by its ordinal, and who may be published."""

    versions: dict[int, set[str]] = field(default_factory=dict)
    oldest: int = 1
    withdrawn: set[str] = field(default_factory=set)
    erased: set[str] = field(default_factory=set)

    @property
    def last(self) -> set[str]:
        return self.versions[max(self.versions)] if self.versions else set()

    def publish(self, members: set[str]) -> None:
        ordinal = max(self.versions, default=0) + 1
        self.versions[ordinal] = members - self.withdrawn - self.erased


@dataclass
class Play:
    """One random sequence of things that happen to a world and to the model of it."""

    world: World
    dice: random.Random
    model: Model = field(default_factory=Model)

    def refresh(self) -> None:
        chosen = set(self.dice.sample(EVERYONE, self.dice.randrange(len(EVERYONE))))
        self.world.choose(chosen)
        self.world.refresh()
        self.model.publish(chosen)

    def withdraw(self) -> None:
        device = self.dice.choice(EVERYONE)
        self.world.consent(0, device)
        self.model.withdrawn.add(device)
        self._taken_out(device)

    def erase(self) -> None:
        device = self.dice.choice(EVERYONE)
        self.world.erase(device)
        self.model.erased.add(device)
        self._taken_out(device)

    def _taken_out(self, device: str) -> None:
        versions = self.world.withdraw()
        if device in self.model.last:
            self.model.publish(self.model.last)
            assert [version.left for version in versions] == [1]
        else:
            assert versions == []

    def consent_again(self) -> None:
        if self.model.withdrawn:
            device = self.dice.choice(sorted(self.model.withdrawn))
            self.world.consent(255, device)
            self.model.withdrawn.remove(device)

    def roll_back(self) -> None:
        if not self.model.versions:
            return
        ordinal = self.dice.randint(1, max(self.model.versions))
        publisher = self.world.publisher()
        if ordinal < self.model.oldest:
            with pytest.raises(UserError, match="are not kept any more"):
                rollback(publisher, self.world.client, "a", str(ordinal))
            return
        rollback(publisher, self.world.client, "a", str(ordinal))
        self.model.publish(self.model.versions[ordinal])

    def prune(self) -> None:
        if not self.model.versions:
            return
        ordinal = self.dice.randint(self.model.oldest, max(self.model.versions))
        oldest = ledger.find(self.world.engine, self.world.client, "a", str(ordinal))
        prune(self.world.engine, oldest)
        self.model.oldest = ordinal

    def lose_the_set(self) -> None:
        if self.model.versions:
            before = self.world.inside()
            self.world.sets.drop(self.world.client, "a")
            assert rebuild(self.world.publisher(), self.world.client, "a") is not None
            self.model.publish(self.model.last)
            assert self.world.inside() == before

    def step(self) -> None:
        actions = [self.refresh, self.refresh, self.withdraw, self.erase, self.consent_again,
                   self.roll_back, self.prune, self.lose_the_set]  # fmt: skip
        self.dice.choice(actions)()

    def check(self) -> None:
        """Everything that is known is what the model says."""
        world, model = self.world, self.model
        assert world.inside() == model.last
        history = {version.ordinal: version for version in world.history()}
        assert list(history) == sorted(model.versions, reverse=True)
        known = [ordinal for ordinal in model.versions if ordinal >= model.oldest]
        for ordinal in known:
            assert world.stored(history[ordinal]) == model.versions[ordinal]
        for ordinal, version in history.items():
            was, now = model.versions.get(ordinal - 1, set()), model.versions[ordinal]
            assert (version.entered, version.left) == (len(now - was), len(was - now))
            assert version.size == len(now)
        for _ in range(3):
            if known:
                first, second = self.dice.choice(known), self.dice.choice(known)
                self._differ(history[first], history[second])

    def _differ(self, first: ledger.Version, second: ledger.Version) -> None:
        was, now = self.model.versions[first.ordinal], self.model.versions[second.ordinal]
        entered, left = differences(self.world.engine, first, second, limit=1_000)
        named = self.world.named
        assert (entered[0], named(entered[1])) == (len(now - was), now - was)
        assert (left[0], named(left[1])) == (len(was - now), was - now)


@pytest.mark.parametrize("in_place", [5, 10_000])
@pytest.mark.parametrize("seed", range(4))
def test_random_histories(
    world: World, seed: int, in_place: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publication, "MOST_CHANGES", in_place)
    play = Play(world, random.Random(f"{seed}/{in_place}"))
    for _ in range(12):
        play.step()
        play.check()


def test_pruning_keeps_no_more_rows_than_it_needs(world: World) -> None:
    """And every state in between is exact: deleting reaches one part after the other."""
    play = Play(world, random.Random(5))
    for _ in range(6):
        play.refresh()
    world.engine.command(
        "INSERT INTO membership SELECT client_id, audience, device, ordinal, 'never', 1 "
        "FROM membership WHERE client_id = {c:UInt32} AND ordinal = 2",
        {"c": world.client},
    )
    play.check()
    oldest = ledger.find(world.engine, world.client, "a", "5")
    prune(world.engine, oldest)
    play.model.oldest = 5
    play.check()
    rows = world.engine.rows(
        "SELECT count(), countIf(entered = 0) FROM membership "
        "WHERE client_id = {c:UInt32} AND ordinal <= 5",
        {"c": world.client},
    )
    assert rows == [(len(play.model.versions[5]), 0)]
    membership.prune_old(world.engine, world.last(), keep=2)
    assert ledger.floor(world.engine, world.client, "a") == 5  # not worth it yet
    for _ in range(2):
        play.refresh()
    membership.prune_old(world.engine, world.last(), keep=2)
    play.model.oldest = 7
    assert ledger.floor(world.engine, world.client, "a") == 7
    play.check()
