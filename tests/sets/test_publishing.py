"""Drafts and changes in place: whole or not at all, and never upon something that has moved."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis

from relo_dsl.setkeys import MOST_CHANGES, SetKeys, consent_key
from relo_server.sets import Overtaken, Sets, SetsError, new_version
from tests.sets.helpers import KEYS, change, publish, stamp, wall_clock


def members(sets: Sets, client: int) -> list[bytes]:
    return sorted(sets.members(client, "vip"))


@contextmanager
def overtaken(what: str, *, damaged: bool = False) -> Iterator[None]:
    with pytest.raises(Overtaken) as caught:
        yield
    assert (caught.value.what, caught.value.damaged) == (what, damaged)


# ---- drafts ------------------------------------------------------------------------------------


def test_a_draft_counts_and_shows_nothing_until_it_is_published(
    sets: Sets, new_client: int
) -> None:
    version = new_version(wall_clock())
    draft = sets.draft(new_client, "vip", version)
    assert draft.add([KEYS[:3], [], KEYS[2:2_500]]) == 2_500
    assert draft.add([KEYS[2_499:2_501]]) == 1
    assert draft.remove(KEYS[2_000:]) == 501
    assert draft.size() == 2_000
    assert sets.info(new_client, "vip") is None
    draft.publish(stamp(version, 2_000), base=None, epoch=0)
    info = sets.info(new_client, "vip")
    assert info is not None
    assert (info.version, info.size, info.mask, info.fingerprint) == (version, 2_000, 7, "print")
    assert info.key == SetKeys(new_client, "vip").version(version)
    assert info.whole
    assert members(sets, new_client) == KEYS[:2_000]


def test_a_published_draft_is_no_draft(sets: Sets, new_client: int) -> None:
    version = new_version(wall_clock())
    with sets.draft(new_client, "vip", version) as draft:
        draft.add([KEYS[:3]])
        draft.publish(stamp(version, 3), base=None, epoch=0)
        draft.publish(stamp(version, 3), base=None, epoch=0)
        acts: list[Callable[[], int]] = [lambda: draft.add([KEYS]), lambda: draft.remove(KEYS)]
        for act in acts:
            with pytest.raises(ValueError, match="is published"):
                act()
        draft.discard()
    assert members(sets, new_client) == KEYS[:3]
    with pytest.raises(SetsError, match="there already"):
        sets.draft(new_client, "vip", version)


def test_a_draft_that_is_emptied_and_filled_again(sets: Sets, new_client: int) -> None:
    version = new_version(wall_clock())
    with sets.draft(new_client, "vip", version) as draft:
        draft.add([KEYS[:3]])
        assert draft.remove(KEYS) == 3
        assert draft.add([KEYS[5:7]]) == 2
        draft.publish(stamp(version, 2), base=None, epoch=0)
    assert members(sets, new_client) == KEYS[5:7]


def test_a_stamp_about_other_members_is_refused(sets: Sets, new_client: int) -> None:
    version = new_version(wall_clock())
    with sets.draft(new_client, "vip", version) as draft:
        draft.add([KEYS[:3]])
        with pytest.raises(ValueError, match="not about"):
            draft.publish(stamp(version, 4), base=None, epoch=0)
    assert sets.info(new_client, "vip") is None


@pytest.mark.parametrize("loss", ["while filled", "before published"])
def test_a_draft_that_the_server_lost_is_never_published(
    sets: Sets, new_client: int, bare: redis.Redis, loss: str
) -> None:
    version = new_version(wall_clock())
    draft = sets.draft(new_client, "vip", version)
    draft.add([KEYS[:1_500]])
    bare.delete(draft.key)
    if loss == "while filled":
        with pytest.raises(SetsError, match="lost version"):
            draft.add([KEYS[1_500:]])
    else:
        with pytest.raises(SetsError, match="lost version"):
            draft.publish(stamp(version, draft.size()), base=None, epoch=0)
    draft.discard()
    assert sets.info(new_client, "vip") is None
    assert not list(bare.scan_iter(match=f"audience:{{{new_client}}}*"))


def test_a_draft_expires_by_itself_however_long_it_was_filled(
    sets: Sets, new_client: int, bare: redis.Redis
) -> None:
    draft = sets.draft(new_client, "vip", new_version(wall_clock()))
    steps: list[Callable[[], int]] = [lambda: draft.add([KEYS]), lambda: draft.remove(KEYS[:9])]
    for step in steps:
        for _ in range(2):
            step()
            left: Any = bare.ttl(draft.key)
            assert 595 <= left <= 600
            bare.expire(draft.key, 5)


# ---- what it builds upon -----------------------------------------------------------------------


def test_a_base_that_is_not_there_any_more(sets: Sets, new_client: int) -> None:
    with overtaken("base"):
        publish(sets, new_client, KEYS[:2], base="0000000000001-00000000")
    first = publish(sets, new_client, KEYS[:2], base=None)
    with overtaken("base"):
        publish(sets, new_client, KEYS[2:4], base=None)
    second = publish(sets, new_client, KEYS[4:6], base=first)
    with overtaken("base"):
        publish(sets, new_client, KEYS[6:8], base=first)
    with overtaken("base"):
        change(sets, new_client, first, entered=KEYS[6:7], size=3)
    assert members(sets, new_client) == KEYS[4:6]
    third = change(sets, new_client, second, entered=KEYS[6:7], size=3)
    with overtaken("base"):
        publish(sets, new_client, KEYS[6:8], base=second)
    publish(sets, new_client, KEYS[8:9], base=third)
    assert members(sets, new_client) == KEYS[8:9]


def test_nothing_passes_a_withdrawal(sets: Sets, new_client: int) -> None:
    assert sets.epoch(new_client) == 0
    base = publish(sets, new_client, KEYS[:2], base=None, epoch=0)
    assert sets.raise_epoch(new_client) == 1
    assert sets.raise_epoch(new_client) == sets.epoch(new_client) == 2
    with overtaken("consent"):
        publish(sets, new_client, KEYS[2:4], base=base, epoch=1)
    with overtaken("consent"):
        change(sets, new_client, base, entered=KEYS[2:3], size=3, epoch=0)
    assert members(sets, new_client) == KEYS[:2]
    base = publish(sets, new_client, KEYS[2:4], base=base, epoch=2)
    change(sets, new_client, base, entered=KEYS[4:5], size=3, epoch=2)
    assert members(sets, new_client) == KEYS[2:5]


def test_a_stale_leader_publishes_nothing(sets: Sets, new_client: int) -> None:
    stale = sets.lease(new_client, "refresh", "a", 60)
    assert stale is not None
    base = publish(sets, new_client, KEYS[:2], lease=stale)
    stale.release()
    fresh = sets.lease(new_client, "refresh", "b", 60)
    assert fresh is not None
    with overtaken("lease"):
        publish(sets, new_client, KEYS[2:4], lease=stale)
    with overtaken("lease"):
        change(sets, new_client, base, entered=KEYS[2:3], size=3, lease=stale)
    with overtaken("lease"):
        sets.drop(new_client, "vip", lease=stale)
    assert members(sets, new_client) == KEYS[:2]
    change(sets, new_client, base, entered=KEYS[2:3], size=3, lease=fresh)
    assert sets.drop(new_client, "vip", lease=fresh)


@pytest.mark.parametrize("what", ["base", "consent", "lease"])
@pytest.mark.parametrize("way", ["draft", "change"])
def test_what_moves_between_the_look_and_the_deed(
    sets: Sets, new_client: int, monkeypatch: pytest.MonkeyPatch, what: str, way: str
) -> None:
    """The last instant at which anything can happen is before EXEC: WATCH must see it."""
    from relo_server.sets import changes, drafts

    base = publish(sets, new_client, KEYS[:2])
    lease = sets.lease(new_client, "refresh", "a", 60)
    assert lease is not None
    happened: list[str] = []

    def happens() -> None:
        if what == "consent":
            sets.raise_epoch(new_client)
        elif what == "lease":
            lease.release()
        else:
            happened.append(publish(sets, new_client, KEYS[2:4]))

    module, name = (drafts, "switch_commands") if way == "draft" else (changes, "change_commands")
    real = getattr(module, name)

    def late(*args: Any) -> Any:
        monkeypatch.setattr(module, name, real)
        happens()
        return real(*args)

    monkeypatch.setattr(module, name, late)
    with overtaken(what):
        if way == "draft":
            publish(sets, new_client, KEYS[4:6], base=base, epoch=0, lease=lease)
        else:
            change(sets, new_client, base, entered=KEYS[4:5], size=3, epoch=0, lease=lease)
    info = sets.info(new_client, "vip")
    assert info is not None
    assert info.version == (happened[0] if happened else base)
    assert members(sets, new_client) == (KEYS[2:4] if what == "base" else KEYS[:2])


# ---- changes in place --------------------------------------------------------------------------


def test_a_change_moves_everything_at_once(sets: Sets, new_client: int, bare: redis.Redis) -> None:
    base = publish(sets, new_client, KEYS[:100])
    pointer: Any = bare.get(SetKeys(new_client, "vip").pointer)
    version = change(
        sets, new_client, base, entered=KEYS[100:103], left=KEYS[:50], size=53, ttl=2 * 86_400_000
    )
    assert version > base
    info = sets.info(new_client, "vip")
    assert info is not None
    assert (info.version, info.size, info.key) == (version, 53, pointer.decode())
    assert members(sets, new_client) == KEYS[50:103]
    names = SetKeys(new_client, "vip")
    ends = {bare.expiretime(key) for key in (pointer, names.pointer, names.info)}
    assert len(ends) == 1
    assert abs(info.expires_at // 1_000 - ends.pop()) <= 1


def test_from_somebody_to_nobody_and_back(sets: Sets, new_client: int) -> None:
    base = publish(sets, new_client, [])
    base = change(sets, new_client, base, entered=KEYS[:2], size=2)
    assert members(sets, new_client) == KEYS[:2]
    base = change(sets, new_client, base, left=KEYS[:2], size=0)
    assert sets.contains(new_client, "vip", KEYS[:2]) == [False, False]
    base = change(sets, new_client, base, size=0)
    base = change(sets, new_client, base, entered=KEYS[2:3], size=1)
    info = sets.info(new_client, "vip")
    assert info is not None
    assert (info.version, info.size) == (base, 1)
    assert members(sets, new_client) == KEYS[2:3]


def test_changes_that_are_none(sets: Sets, new_client: int) -> None:
    base = publish(sets, new_client, KEYS[:2])
    many = [i.to_bytes(16, "big") for i in range(10_000, 10_000 + MOST_CHANGES + 1)]
    with pytest.raises(ValueError, match="too many"):
        change(sets, new_client, base, entered=many, size=2 + len(many))
    with pytest.raises(ValueError, match="twice"):
        change(sets, new_client, base, entered=KEYS[2:3], left=KEYS[2:3], size=2)
    with pytest.raises(ValueError, match="does not follow"):
        change(sets, new_client, base, entered=KEYS[2:3], size=2)
    change(sets, new_client, base, entered=many[1:], size=2 + MOST_CHANGES)
    assert len(members(sets, new_client)) == 2 + MOST_CHANGES


@pytest.mark.parametrize("loss", ["expired", "key", "some", "stranger", "not a member", "all"])
def test_a_set_that_was_lost_is_no_base(
    sets: Sets, new_client: int, bare: redis.Redis, loss: str
) -> None:
    """Differences on top of a lost set would publish a fragment of an audience."""
    keys = SetKeys(new_client, "vip")
    base = publish(sets, new_client, KEYS[:100])
    key: Any = bare.get(keys.pointer)
    if loss == "expired":
        for name in (key, keys.pointer, keys.info):
            bare.pexpire(name, 1)
        time.sleep(0.01)
    elif loss == "key":
        bare.delete(key)
    elif loss == "some":
        bare.srem(key, *KEYS[50:55])
    elif loss == "stranger":  # as many as before, and not the same
        bare.smove(key, "elsewhere", KEYS[0])  # type: ignore[arg-type]
        bare.sadd(key, KEYS[200])
    elif loss == "all":
        bare.delete(key, keys.pointer, keys.info)
    entered = KEYS[200:201]
    left = KEYS[300:301] if loss == "not a member" else KEYS[:1]
    with overtaken("base", damaged=loss not in ("expired", "all")):
        change(sets, new_client, base, entered=entered, left=left, size=100)
    info = sets.info(new_client, "vip")
    if loss in ("expired", "all"):
        assert info is None
    else:
        assert info is not None
        assert info.version == base
        # And a draft brings it back.
        publish(sets, new_client, KEYS[:3], base=base)
        assert members(sets, new_client) == KEYS[:3]


def test_a_set_that_expires_during_a_change(
    sets: Sets, new_client: int, bare: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was there at the look; at EXEC it is not, and nothing may be added to nothing."""
    from relo_server.sets import changes

    base = publish(sets, new_client, KEYS[:100], ttl=1_000)
    real: Any = vars(changes)["change_commands"]

    def late(*args: Any) -> Any:
        time.sleep(1.1)
        return real(*args)

    monkeypatch.setattr(changes, "change_commands", late)
    with overtaken("base"):
        change(sets, new_client, base, entered=KEYS[200:201], size=101)
    assert not list(bare.scan_iter(match=f"audience:{{{new_client}}}*"))


# ---- ends --------------------------------------------------------------------------------------


def test_nothing_stale_is_served(sets: Sets, new_client: int, bare: redis.Redis) -> None:
    base = publish(sets, new_client, KEYS[:100], ttl=60_000)
    change(sets, new_client, base, left=KEYS[:1], size=99, ttl=500)
    assert sets.contains(new_client, "vip", KEYS[1:2]) == [True]
    time.sleep(0.6)
    assert sets.info(new_client, "vip") is None
    assert sets.contains(new_client, "vip", KEYS[:1]) is None
    assert sets.published(new_client) == []
    assert not list(bare.scan_iter(match=f"audience:{{{new_client}}}*"))


def test_what_is_dropped_is_not_published(sets: Sets, new_client: int, bare: redis.Redis) -> None:
    assert not sets.drop(new_client, "vip")
    publish(sets, new_client, KEYS[:2])
    key: Any = bare.get(SetKeys(new_client, "vip").pointer)
    assert sets.drop(new_client, "vip")
    assert not sets.drop(new_client, "vip")
    assert sets.info(new_client, "vip") is None
    assert sets.contains(new_client, "vip", KEYS[:1]) is None
    left: Any = bare.ttl(key)
    assert 55 <= left <= 60
    publish(sets, new_client, KEYS[:2], base=None)


def test_a_pointer_without_its_info_is_nothing(
    sets: Sets, new_client: int, bare: redis.Redis
) -> None:
    publish(sets, new_client, KEYS[:2])
    keys = SetKeys(new_client, "vip")
    old: Any = bare.get(keys.pointer)
    bare.delete(keys.info)
    assert sets.info(new_client, "vip") is None
    assert sets.contains(new_client, "vip", KEYS[:1]) is None
    publish(sets, new_client, KEYS[:2], base=None)
    left: Any = bare.ttl(old)
    assert 55 <= left <= 60


def test_a_lost_set_answers_nobody_no(sets: Sets, new_client: int, bare: redis.Redis) -> None:
    publish(sets, new_client, KEYS[:2])
    key: Any = bare.get(SetKeys(new_client, "vip").pointer)
    bare.delete(key)
    info = sets.info(new_client, "vip")
    assert info is not None
    assert not info.whole
    for read in (
        lambda: sets.contains(new_client, "vip", KEYS[:1]),
        lambda: sets.contains(new_client, "vip", KEYS[:1_500]),
        lambda: list(sets.members(new_client, "vip")),
    ):
        with pytest.raises(SetsError, match="not the one that was published"):
            read()


def test_versions_go_up_whatever_the_clock_says() -> None:
    first = new_version(1_790_000_000_000)
    later = new_version(5, first)
    assert first < later < new_version(1_790_000_000_001, later)
    assert new_version(5) != new_version(5)


def test_epochs_are_each_client_s_own(sets: Sets, new_client: int, bare: redis.Redis) -> None:
    sets.raise_epoch(new_client)
    assert sets.epoch(new_client + 500_000) == 0
    assert bare.ttl(consent_key(new_client)) == -1
