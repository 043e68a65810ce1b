"""Refreshing: minimum, shares of the last version, force, edits, failures and holdouts."""

from __future__ import annotations

import pytest

from relo_dsl.engine import Engine
from relo_dsl.errors import UserError
from relo_dsl.settings import Limits, Publishing
from relo_dsl.sql.together import passes
from relo_server.refresh import compute
from relo_server.versions import ledger
from relo_server.versions.ledger import Kind, Step
from relo_server.versions.rebuild import Expired, rebuild
from relo_server.versions.rollback import rollback
from relo_server.versions.staging import Staged
from tests.versions.world import World, each_device


def steps_of(world: World, name: str = "a") -> list[tuple[Step, Kind, int]]:
    return [(v.step, v.kind, v.size) for v in reversed(world.history(name))]


def test_far_smaller_or_larger_is_held_back(world: World) -> None:
    world.limits = Publishing(compared_from=10)
    world.refresh()
    world.choose(each_device(24))
    (result,) = world.refresh()
    why = "24 members are less than 0.5 of the last version's 50 (`smallest_share`)"
    assert (result.held, result.published, result.size) == (why, False, 24)
    assert result.error is None
    assert world.inside() == set(each_device(50))
    assert steps_of(world) == [(Step.PUBLISHED, Kind.REFRESH, 50), (Step.HELD, Kind.REFRESH, 24)]
    assert world.history()[0].reason == why
    (forced,) = world.refresh(force=True)
    assert (forced.forced, forced.size, forced.entered, forced.left) == (True, 24, 0, 26)
    assert world.last().reason == why
    world.choose(each_device(12))  # exactly the share
    (result,) = world.refresh()
    assert result.published
    assert not result.forced
    world.choose(each_device(37))
    (result,) = world.refresh()
    assert result.held == (
        "37 members are more than 3 times the last version's 12 (`largest_share`)"
    )
    world.limits = Publishing(compared_from=13)  # a last version of 12 says nothing
    assert world.refresh()[0].published


def test_who_withdrew_leaves_what_is_held_back_or_fails(world: World) -> None:
    """In the audience and in its holdout, and none of it is published."""
    world.limits = Publishing(compared_from=10)
    world.text = "audience a match in list chosen holdout 40%"
    world.refresh()
    gone = {min(world.inside()), min(world.inside("a:holdout"))}
    world.consent(0, *gone)
    world.choose(each_device(5))
    (result,) = world.refresh()
    assert result.held
    assert result.withdrawn == 2
    assert world.inside() | world.inside("a:holdout") == set(each_device(50)) - gone
    assert world.last().kind is Kind.WITHDRAWAL
    more = {min(world.inside()), min(world.inside("a:holdout"))}
    world.erase(*more)
    world.text = "audience a match in nothing"
    (result,) = world.refresh()
    assert result.error == "the definition has errors"
    assert result.withdrawn == 2
    assert world.inside() | world.inside("a:holdout") == set(each_device(50)) - gone - more


def test_an_edit_replaces_the_members_in_one_version(world: World) -> None:
    world.choose(["d50", "d51", "d1"], "other")
    world.refresh()
    before = world.last()
    world.text = "audience a match in list other"
    (result,) = world.refresh()
    assert (result.entered, result.left) == (2, 49)
    assert world.inside() == {"d1", "d50", "d51"}
    assert world.last().fingerprint != before.fingerprint
    assert world.stored(before) == set(each_device(50))


def test_one_that_is_too_heavy_takes_no_other_with_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Computed in one query together, they fail together; then each is tried alone."""
    asked = []

    def heavy(plans, now, **room):  # type: ignore[no-untyped-def]
        asked.append(len(plans))
        if len(plans) > 1:
            raise UserError("the query reached a limit: memory")
        return passes(plans, now, **room)

    monkeypatch.setattr(compute, "passes", heavy)
    world.text = (
        "audience a match in list chosen\n"
        "audience b match sum(purchase.revenue) > 3\n"
        "audience c match in list other\n"
    )
    a, b, c = world.refresh()
    assert asked == [2, 1, 1]
    assert (a.published, b.error, c.published) == (True, "the definition has errors", True)


def test_a_query_that_reaches_a_limit_is_the_failure_of_its_audience(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.refresh()
    world.consent(0, "d1")
    monkeypatch.setattr(world.engine, "limits", Limits(max_rows_to_read=1))
    (result,) = world.refresh()
    assert result.error is not None
    assert "the query reached a limit" in result.error
    assert result.hint == "raise `max_rows_to_read` under [limits] in relo.toml, or ask for less"


def test_nothing_staged_is_left(world: World, engine: Engine) -> None:
    engine.migrate()  # other tests play processes that die

    def tables() -> list[str]:
        found = engine.rows("SELECT name FROM system.tables WHERE name LIKE 'refresh\\_%'")
        return [str(name) for (name,) in found]

    def fail(step: str) -> None:
        if step == "computed":
            assert len(tables()) == 1
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        world.refresh(at_step=fail)
    assert tables() == []
    left = Staged(engine)  # a process that died
    assert tables() == [left.table]
    engine.migrate()  # opening the store
    assert tables() == []


def test_nobody_comes_back_by_a_build_in_the_past(world: World) -> None:
    world.refresh()
    before = world.now
    world.consent(0, "d1")
    world.erase("d2")
    world.withdraw()
    (result,) = world.refresh(at=before)
    assert world.inside() == set(each_device(50)) - {"d1", "d2"}
    assert (result.size, result.withheld) == (48, 2)


def test_records_of_one_instant_are_anded_and_a_default_may_refuse(world: World) -> None:
    """The same law as in the compiler, at the wall clock."""
    world.refresh()
    at = world.clock()
    world.consent(254, "d1", at=at)
    world.consent(1, "d1", at=at)
    world.consent(255, "d2", at=at)
    # Dated by a clock that was put back since: what it takes is taken.
    world.consent(0, "d3", at=world.now + 10_000_000)
    world.withdraw()
    assert world.inside() == set(each_device(50)) - {"d1", "d3"}
    publisher = world.publisher()
    bar = publisher.bar(world.client, 1, world.clock())
    assert (bar.default_flags, bar.allowed.count("NOT IN")) == (255, 2)
    strict = type(publisher)(world.engine, world.sets, lambda _: 0, "a test", world.clock)
    from relo_server.versions.withdrawal import withdraw

    withdraw(strict, world.client)  # now only who has consented may stay
    assert world.inside() == {"d2"}


def test_what_is_past_its_ttl_is_not_published_again(world: World) -> None:
    world.text = "audience a ttl 30d match in list chosen"
    world.refresh()
    world.choose(each_device(10))
    world.refresh()
    world.now += 31 * 86_400_000
    for act in (
        lambda: rebuild(world.publisher(), world.client, "a"),
        lambda: rollback(world.publisher(), world.client, "a", "1"),
    ):
        with pytest.raises(Expired, match="by its `ttl`"):
            act()


def test_a_rollback_takes_the_holdout_with_it(world: World) -> None:
    world.text = "audience a match in list chosen holdout 40%"
    world.refresh()
    first = world.inside(), world.inside("a:holdout")
    world.text = "audience a match in list chosen holdout 20%"
    world.refresh()
    assert world.inside() != first[0]
    done = rollback(world.publisher(), world.client, "a", "1")
    assert (world.inside(), world.inside("a:holdout")) == first
    assert done.holdout is not None
    assert done.version.at == world.history()[-1].at
    world.text = "audience a match in list chosen"
    world.refresh()
    assert world.inside("a:holdout") == set()
    rollback(world.publisher(), world.client, "a", str(done.version.ordinal + 1))
    assert world.inside("a:holdout") == set()  # that version had none


def test_versions_are_found_by_number_and_id(world: World) -> None:
    with pytest.raises(UserError, match="was never published"):
        ledger.find(world.engine, world.client, "a", "1")
    world.refresh()
    version = world.last()
    for wanted in ("1", version.version):
        assert ledger.find(world.engine, world.client, "a", wanted) == version
    with pytest.raises(UserError, match="has no version `2`"):
        ledger.find(world.engine, world.client, "a", "2")


def test_old_members_are_pruned_as_configured(world: World) -> None:
    world.limits = Publishing(keep_versions=2)
    for count in (10, 20, 30, 40, 50, 41):
        world.choose(each_device(count))
        world.refresh()
    assert ledger.floor(world.engine, world.client, "a") == 5
    history = world.history()
    assert [v.ordinal for v in history] == [6, 5, 4, 3, 2, 1]  # what happened is known for good
    assert world.stored(history[1]) == set(each_device(50))
    with pytest.raises(UserError, match="are not kept any more"):
        world.stored(history[2])
