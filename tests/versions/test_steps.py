"""Nothing published undoes a withdrawal: somebody withdraws at every step of every publication.

And a process that ends at any step leaves what the next one carries on from.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from relo_server.sets import Overtaken
from relo_server.sets.drafts import Draft
from relo_server.versions import ledger, publication
from relo_server.versions.publisher import STEPS
from relo_server.versions.rebuild import rebuild
from relo_server.versions.rollback import rollback
from tests.versions.world import World, each_device

STEP_NAMES = [*STEPS, "computed", "raised"]
Act = Callable[[World, Callable[[str], None]], object]


class Killed(BaseException):
    """The process ends here."""


def lose(world: World, *names: str) -> None:
    for name in names:
        world.sets.drop(world.client, name)


def changed(world: World) -> None:
    """Two enter and two leave."""
    world.choose([*each_device(48), "d50", "d51"])


def a_refresh(world: World, at_step: Callable[[str], None]) -> None:
    changed(world)
    world.refresh(at_step=at_step)


def a_refresh_in_the_past(world: World, at_step: Callable[[str], None]) -> None:
    changed(world)
    world.refresh(at=world.now - 60_000, at_step=at_step)


def an_emptied_one(world: World, at_step: Callable[[str], None]) -> None:
    world.text = world.text.replace("audience a", "audience a minimum 1000")
    world.refresh(at_step=at_step)


def a_withdrawal(world: World, at_step: Callable[[str], None]) -> None:
    world.consent(0, "d5")
    world.withdraw(at_step)


def a_rebuild(world: World, at_step: Callable[[str], None]) -> None:
    lose(world, "a", "a:holdout")
    for name in ("a", "a:holdout"):
        rebuild(world.publisher(at_step), world.client, name)


def a_rollback(world: World, at_step: Callable[[str], None]) -> None:
    changed(world)
    world.refresh()
    rollback(world.publisher(at_step), world.client, "a", "1")


ACTS: list[Act] = [a_refresh, a_refresh_in_the_past, an_emptied_one, a_rebuild, a_rollback]


@pytest.fixture
def split(world: World, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> World:
    """Published, with a holdout; changes travel alone or as whole sets, as the parameter says."""
    monkeypatch.setattr(publication, "MOST_CHANGES", 0 if request.param == "whole" else 10_000)
    world.text = "audience a match in list chosen holdout 40%"
    world.refresh()
    assert world.inside() | world.inside("a:holdout") == set(each_device(50))
    return world


class Leaving:
    """Takes some out at each of the steps, the first time it comes: one of the audience and one of
    its holdout withdraw, and another one is erased.
    """

    def __init__(self, world: World, steps: Iterable[str]) -> None:
        self._world = world
        self._left = sorted(set(each_device(48)) - {"d5"})
        self._held = world.inside("a:holdout")
        self._steps = set(steps)
        self.gone: set[str] = set()

    def __call__(self, step: str) -> None:
        if step not in self._steps:
            return
        self._steps.remove(step)
        world = self._world
        leaving = [
            next(d for d in self._left if (d in self._held) is held) for held in (True, False)
        ]
        world.consent(0, *leaving)
        erased = next(d for d in self._left if d not in leaving)
        world.erase(erased)
        self.gone.update([*leaving, erased])
        self._left = [d for d in self._left if d not in self.gone]
        world.withdraw()
        assert not self.gone & inside(world), step

    def finish(self) -> None:
        """All are out, all steps came, and what is published is what the ledger says."""
        world = self._world
        assert not self._steps
        assert not self.gone & inside(world)
        for name in ("a", "a:holdout"):
            assert world.stored(world.last(name)) == world.inside(name)
            info = world.sets.info(world.client, name)
            assert info is not None
            assert info.version == world.last(name).version
            assert info.size == len(world.inside(name)) == world.last(name).size


def inside(world: World) -> set[str]:
    return world.inside() | world.inside("a:holdout")


WHOLE = {"filled"}


@pytest.mark.parametrize("split", ["whole", "in place"], indirect=True)
@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.__name__)
def test_who_withdraws_at_any_step_is_out_and_stays_out(
    split: World, act: Act, request: pytest.FixtureRequest
) -> None:
    steps = set(STEPS)
    if "in place" in request.node.name and act is not a_rebuild:
        steps -= WHOLE
    leaving = Leaving(split, steps)
    act(split, leaving)
    leaving.finish()
    stay = set(each_device(48)) - leaving.gone
    assert inside(split) >= (set() if act is an_emptied_one else stay)


@pytest.mark.parametrize("split", ["whole", "in place"], indirect=True)
@pytest.mark.parametrize("back", [False, True], ids=["a refresh", "a rollback"])
def test_who_withdraws_before_they_enter_never_does(
    split: World, back: bool, request: pytest.FixtureRequest
) -> None:
    """Nothing that is published changes by it, so the consent epoch alone tells of it."""
    entering = [f"d{50 + number}" for number in range(len(STEPS))]
    if back:
        split.choose([*each_device(50), *entering])
        split.refresh()
        split.choose(each_device(50))
        split.refresh()
    for device, step in zip(entering, STEPS, strict=True):
        if step in WHOLE and "in place" in request.node.name:
            continue
        reached: list[str] = []

        def at_step(
            here: str, device: str = device, step: str = step, reached: list[str] = reached
        ) -> None:
            if here == step and not reached:
                reached.append(here)
                split.consent(0, device)
                split.withdraw()

        if back:
            rollback(split.publisher(at_step), split.client, "a", "2")
        else:
            split.choose([*each_device(50), device])
            split.refresh(at_step=at_step)
        assert reached
        assert device not in inside(split), step
        split.choose(each_device(50))
        split.refresh()
    assert inside(split) == set(each_device(50))


@pytest.mark.parametrize("split", ["whole", "in place"], indirect=True)
def test_who_withdraws_at_any_step_of_a_withdrawal(
    split: World, request: pytest.FixtureRequest
) -> None:
    """Each step by itself: the second withdrawal takes out whom the first came for."""
    gone: set[str] = set()
    for step in [*STEPS, "raised"]:
        if step in WHOLE and "in place" in request.node.name:
            continue
        leaving = Leaving(split, [step])
        leaving._left = [d for d in leaving._left if d not in gone]
        split.consent(0, "d5")
        split.withdraw(leaving)
        leaving.finish()
        gone |= leaving.gone
        assert inside(split) == set(each_device(50)) - gone - {"d5"}
        split.consent(255, "d5")
        split.refresh()
        assert inside(split) == set(each_device(50)) - gone


@pytest.mark.parametrize(
    ("split", "act"),
    [
        ("whole", a_refresh),
        ("in place", a_refresh),
        ("in place", a_withdrawal),
        ("whole", an_emptied_one),
        ("whole", a_rebuild),
        ("in place", a_rollback),
    ],
    indirect=["split"],
)
def test_who_is_killed_at_any_step_is_carried_on_from(split: World, act: Act) -> None:
    for step in STEP_NAMES:

        def at_step(reached: str, step: str = step) -> None:
            if reached == step:
                raise Killed

        with contextlib.suppress(Killed):
            act(split, at_step)
        # Whoever comes next: a withdrawal, and then a refresh of the definition as it was.
        split.consent(0, "d1")
        split.withdraw()
        assert "d1" not in inside(split), step
        split.consent(255, "d1", "d5")
        split.text = "audience a match in list chosen holdout 40%"
        split.choose(each_device(50))
        split.refresh()
        assert inside(split) == set(each_device(50)), step
        for name in ("a", "a:holdout"):
            version = split.last(name)
            assert split.stored(version) == split.inside(name), step
            ordinals = [v.ordinal for v in ledger.history(split.engine, split.client, name)]
            assert ordinals == sorted(set(ordinals), reverse=True), step


def test_an_overtaken_build_is_abandoned_and_done_again(world: World) -> None:
    """Another refresh, with newer data, comes in between: both are versions, in order."""
    world.refresh()
    reached: list[str] = []

    def at_step(step: str) -> None:
        if step == "prepared" and not reached:
            reached.append(step)
            world.choose([*each_device(49), "d55"])
            world.refresh()

    world.choose(each_device(49))
    (result,) = world.refresh(at_step=at_step)
    assert [(v.ordinal, v.entered, v.left) for v in world.history()] == [
        (3, 0, 1), (2, 1, 1), (1, 50, 0),
    ]  # fmt: skip
    assert result.ordinal == 3
    rows = world.engine.rows(
        "SELECT step, count() FROM versions WHERE client_id = {c:UInt32} GROUP BY step",
        {"c": world.client},
    )
    assert dict(rows) == {"prepared": 4, "published": 3, "abandoned": 1}


def test_who_was_current_for_a_moment_is_not_abandoned(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer to a publication is lost, and another comes and records it as it finds it."""
    world.refresh()
    world.choose(each_device(49))
    publish = Draft.publish

    def lost(draft: Draft, *args: Any, **named: Any) -> None:
        monkeypatch.setattr(Draft, "publish", publish)
        publish(draft, *args, **named)
        world.choose(each_device(48))
        world.refresh()
        raise Overtaken("base", unsure=True)

    monkeypatch.setattr(publication, "MOST_CHANGES", 0)
    monkeypatch.setattr(Draft, "publish", lost)
    world.refresh()
    steps = world.engine.rows(
        "SELECT version, groupArray(step) FROM versions WHERE client_id = {c:UInt32} "
        "GROUP BY version", {"c": world.client},
    )  # fmt: skip
    assert all("published" in found for _, found in steps)
    assert all("abandoned" not in found for _, found in steps)
    assert world.inside() == set(each_device(49)), "it was made again, on top of the other"
    for version in world.history():
        assert len(world.stored(version)) == version.size


def test_a_storm_of_withdrawals_ends_with_an_error_that_says_so(world: World) -> None:
    world.refresh()
    world.choose(each_device(10))

    def at_step(step: str) -> None:
        if step == "prepared":
            world.sets.raise_epoch(world.client)

    (result,) = world.refresh(at_step=at_step)
    assert result.error == "`a` changed 20 times while it was being published"
    assert world.inside() == set(each_device(50))
