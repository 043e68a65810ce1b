"""What is kept long enough goes, by a clock of the test's."""

from __future__ import annotations

import pytest

from relo_dsl.catalog import parse_catalog
from relo_dsl.engine import Engine, device_key
from relo_dsl.engine.staging import ClientRules
from relo_dsl.settings import Keeping
from relo_dsl.times import UNITS
from relo_server.privacy.expiring import Expired, expire
from relo_server.sets import Sets
from relo_server.versions import ledger
from relo_server.versions.rollback import rollback
from tests.versions.world import KEY, SECOND, START, World

DAY = UNITS["d"]
CATALOG = """
events: {purchase: {}}
traits: {plan: string}
lists: {chosen: {}, other: {}}
"""


@pytest.fixture
def world(engine: Engine, sets: Sets, new_client: int) -> World:
    return World(engine, sets, new_client, catalog=CATALOG)


def later(world: World, days: float, keeping: Keeping | None = None) -> Expired:
    world.now = START + round(days * DAY) - SECOND  # each look at the clock is a second later
    rules = ClientRules.of(parse_catalog(CATALOG))
    return expire(world.publisher(), world.client, rules, keeping or Keeping())


def left(world: World, table: str) -> set[str]:
    """The devices of the test that a table has rows of."""
    rows = world.engine.rows(
        f"SELECT DISTINCT device FROM {table} WHERE client_id = {{c:UInt32}}", {"c": world.client}
    )
    names = {device_key(KEY, world.client, name): name for name in "abcdefgh"}
    return {names[bytes(row[0])] for row in rows}


def test_a_profile_that_nothing_confirms(world: World) -> None:
    """Ninety days after the last record of any kind, to the millisecond."""
    world.store(
        *({"t": "identify", "did": d, "ts": START, "traits": {"plan": "gold"}} for d in "abcde"),
        {"t": "score", "did": "f", "ts": START, "scores": {"churn": 1}},
        {"t": "purchase", "did": "b", "ts": START + 10 * DAY},
        {"t": "identify", "did": "c", "ts": START + 10 * DAY, "traits": {"plan": "free"}},
        {"t": "consent", "did": "d", "ts": START + 10 * DAY, "consent": 3},
        {"t": "identify", "did": "e", "ts": START + 2_000, "traits": {"plan": "free"}},
    )
    assert later(world, 90 - 1 / 86_400).profiles == 0
    assert left(world, "traits") == set("abcde")
    assert later(world, 90).profiles == 2
    assert left(world, "traits") == set("bcde")
    assert left(world, "scores") == set()
    assert later(world, 99).profiles == 1
    assert later(world, 101).profiles == 3
    assert left(world, "traits") == set()
    assert left(world, "consent") == {"d"}, "what was withdrawn stays withdrawn"


def test_profiles_are_kept_as_long_as_is_set(world: World) -> None:
    world.store({"t": "identify", "did": "a", "ts": START, "traits": {"plan": "gold"}})
    assert later(world, 91, Keeping(profile_days=100)).profiles == 0
    assert later(world, 101, Keeping(profile_days=100)).profiles == 1


def test_events_after_24_months_unless_they_were_granted_more(world: World) -> None:
    old = START - 600 * DAY
    world.store(
        *({"t": "consent", "did": d, "ts": old - 2, "consent": 255} for d in "bc"),
        *({"t": "purchase", "did": d, "ts": old} for d in "abc"),
    )
    world.store({"t": "consent", "did": "c", "ts": START, "consent": 255 - 64})
    assert later(world, 100).events == 0
    months24 = (731 - 600) + 7 + 1
    assert later(world, months24).events == 2
    assert left(world, "events") == {"b"}, "explicitly granted, and granted still"
    assert later(world, 5 * 366 - 600 + 8).events == 1


def test_memberships_end_with_their_audience(world: World) -> None:
    world.text = "audience a\n  ttl 30d\nmatch in list chosen"
    world.populate("abc")
    world.choose("ab")
    assert world.refresh()[0].size == 2
    assert later(world, 29).audiences == ()
    world.choose("abc")
    world.refresh()
    assert later(world, 58).audiences == ()
    assert later(world, 60).audiences == ("a",)
    assert left(world, "membership") == set()
    info = world.sets.info(world.client, "a")
    assert info is None or info.size == 0
    assert later(world, 61).audiences == (), "once"
    world.now = START + 62 * DAY
    assert world.refresh()[0].size == 3, "it can be refreshed again"


def test_a_set_that_ended_by_itself(world: World) -> None:
    world.populate("a")
    world.choose("a")
    world.refresh()
    world.sets.drop(world.client, "a")
    assert later(world, 91).audiences == ("a",)
    assert left(world, "membership") == set()


def test_memberships_end_90_days_after_they_were_confirmed(world: World) -> None:
    """However long the audience's own `ttl` is."""
    world.text = "audience a\n  ttl 360d\nmatch in list chosen"
    world.populate("abc")
    world.choose("ab")
    world.refresh()
    world.now = START + 50 * DAY
    world.refresh()  # nobody changes, and all are confirmed
    assert later(world, 139).audiences == ()
    assert world.inside() == {"a", "b"}
    assert later(world, 139, Keeping(membership_days=80)).audiences == ("a",)
    assert (world.inside(), left(world, "membership")) == (set(), set())
    assert "80 days" in world.last().reason
    world.now = START + 200 * DAY
    assert world.refresh()[0].size == 2, "it can be refreshed again"
    assert later(world, 289).audiences == ()
    assert later(world, 291).audiences == ("a",)
    assert world.inside() == set()
    assert later(world, 292).audiences == (), "once"


@pytest.mark.parametrize("back", [False, True])
def test_only_a_refresh_confirms(world: World, back: bool) -> None:
    """Neither a withdrawal nor a rollback does."""
    world.text = "audience a\n  ttl 360d\nmatch in list chosen"
    world.populate("abc")
    world.choose("ab")
    world.refresh()
    world.now = START + 30 * DAY
    world.choose("abc")
    world.refresh()
    world.now = START + 60 * DAY
    world.consent(0, "b")
    assert len(world.withdraw()) == 1
    if back:
        rollback(world.publisher(), world.client, "a", "1")
    confirmed = 0 if back else 30
    assert later(world, confirmed + 89).audiences == ()
    assert world.inside() == ({"a"} if back else {"a", "c"})
    assert later(world, confirmed + 91).audiences == ("a",)
    assert world.inside() == set()


def test_old_versions_are_forgotten(world: World) -> None:
    world.text = "audience a\n  ttl 360d\nmatch in list chosen"
    world.populate("abcd")
    for day, devices in ((0, "ab"), (20, "bc"), (50, "cd")):
        world.now = START + day * DAY
        world.choose(devices)
        world.refresh()
    assert later(world, 100).pruned == ("a",)
    assert left(world, "membership") == set("bcd"), "b left with a version that is young enough"
    assert later(world, 101).pruned == ()
    assert later(world, 139).pruned == ("a",)
    assert left(world, "membership") == set("cd"), "the latest stays whole"
    assert ledger.floor(world.engine, world.client, "a") == 3
    assert later(world, 139.5).pruned == ()
    assert later(world, 141).audiences == ("a",)
    assert left(world, "membership") == set(), "until 90 days after it was refreshed"
