"""Checking: what a test planted is found, and what it removed; and what is published afterwards."""

from __future__ import annotations

import pytest
import redis

from relo_dsl.setkeys import SetKeys
from relo_server.refresh.definitions import definition_of
from relo_server.versions import ledger
from relo_server.versions.verify import Checked, verify
from tests.versions.world import World, each_device


def check(world: World, name: str = "a") -> Checked:
    return verify(world.publisher(), world.client, name, definition_of(world.workspace(), name))


def key_of(world: World, name: str = "a") -> str:
    info = world.sets.info(world.client, name)
    assert info is not None
    return info.key


def blocked(world: World, name: str = "a") -> bool:
    return ledger.is_blocked(world.engine, world.client, name)


@pytest.mark.parametrize("name", ["a", "a:holdout"])
def test_a_planted_and_a_removed_member_are_found(
    world: World, bare: redis.Redis, name: str
) -> None:
    world.text = "audience a match in list chosen holdout 40%"
    world.refresh()
    found = check(world, name)
    assert found.is_right
    assert found.sql is not None
    assert found.size == len(world.inside(name)) > 10
    (planted,) = world.keys(["d59"])
    (removed,) = world.keys([min(world.inside(name))])
    bare.sadd(key_of(world, name), planted)
    found = check(world, name)
    assert not found.is_right
    assert blocked(world, name)
    for part in (found.sql, found.stored):
        assert part is not None
        assert (part.missing, part.surplus) == (0, 1)
        assert part.surplus_keys == (planted.hex(),)
    bare.srem(key_of(world, name), removed)
    found = check(world, name)  # as many as there should be, and others
    for part in (found.sql, found.stored):
        assert part is not None
        assert (part.missing_keys, part.surplus_keys) == ((removed.hex(),), (planted.hex(),))
    bare.srem(key_of(world, name), planted)
    found = check(world, name)
    assert not found.is_right
    assert not found.blocked
    assert not blocked(world, name)  # somebody missing is no reason not to export the others
    world.refresh()
    assert check(world, name).is_right


def test_a_refresh_after_surplus_fills_the_set_anew(world: World, bare: redis.Redis) -> None:
    """Even where nobody enters and nobody leaves: differences would leave the planted one there."""
    world.refresh()
    assert world.last().whole
    (removed,) = world.keys(["d1"])
    bare.sadd(key_of(world), *world.keys(["d59"]))
    bare.srem(key_of(world), removed)
    assert check(world).blocked
    world.refresh()
    assert (world.last().entered, world.last().left, world.last().whole) == (0, 0, True)
    assert not blocked(world)
    assert world.inside() == set(each_device(50))
    world.refresh()
    assert not world.last().whole


def test_a_set_that_is_gone_misses_everybody(world: World, bare: redis.Redis) -> None:
    assert check(world) == Checked("a", world.client)
    world.refresh()
    bare.delete(key_of(world))
    found = check(world)
    assert found.sql is not None
    assert (found.sql.missing, found.size) == (50, 0)
    keys = SetKeys(world.client, "a")
    bare.delete(keys.pointer, keys.info)
    found = check(world)
    assert found.stored is not None
    assert (found.version, found.stored.missing) == (None, 50)


def test_who_withdrew_is_no_difference(world: World) -> None:
    world.refresh()
    world.consent(0, "d1", "d2")
    found = check(world)
    assert found.stored is not None
    assert found.sql is not None
    # Stored, and not yet applied: the set has them, and should not.
    assert (found.sql.surplus, found.stored.surplus) == (2, 0)
    assert blocked(world)
    world.withdraw()
    assert check(world).is_right
    assert not blocked(world)
    world.consent(255, "d1")
    assert check(world).is_right  # the next refresh brings them back
    world.refresh()
    assert world.inside() == set(each_device(50)) - {"d2"}
    assert check(world).is_right


def test_an_emptied_audience_is_right(world: World) -> None:
    world.refresh()
    world.text = "audience a minimum 80 match in list chosen"
    (result,) = world.refresh()
    assert result.emptied
    assert world.inside() == set()
    assert check(world).is_right


def test_what_cannot_be_computed_says_so(world: World) -> None:
    world.refresh()
    world.text = "audience a match in list other"
    found = check(world)
    assert found.not_computed == "its definition has changed since"
    assert found.sql is None
    assert found.is_right
    world.text = "audience b match purchase"
    assert check(world).not_computed == "it has no definition any more"


def test_a_set_of_unknown_origin_is_all_surplus(world: World) -> None:
    world.sets.publish("a", world.client, [world.keys(["d1", "d2"])], at=world.now)
    found = check(world)
    assert found.not_computed == "no record tells of the version in the set"
    assert found.stored is not None
    assert found.stored.surplus == 2
    assert blocked(world)
    # It holds nobody who must not be in it, so a withdrawal leaves it; and then it does.
    world.withdraw()
    assert world.sets.info(world.client, "a") is not None
    world.consent(251, "d2")
    world.withdraw()
    assert world.sets.info(world.client, "a") is None
    world.refresh()
    assert world.inside() == set(each_device(50))
    assert not blocked(world)
