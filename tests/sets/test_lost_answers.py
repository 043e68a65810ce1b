"""The connection ends at the worst moment: what happened is found out, and never done twice."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from relo_server.sets import Overtaken, Sets, SetsError, new_version
from tests.sets.helpers import KEYS, Wire, change, publish, stamp, wall_clock


@pytest.mark.parametrize("swallow", [False, True], ids=["done", "not done"])
@pytest.mark.parametrize("way", ["draft", "change"])
def test_exec_without_an_answer(
    sets: Sets, wired: Sets, wire: Wire, new_client: int, way: str, swallow: bool
) -> None:
    """Done or not, the caller is told of success, and there is one version more."""
    base = publish(wired, new_client, KEYS[:10], base=None)
    # A draft's first piece is added by EXEC too, so the cut is at what only publishing sends.
    wire.cut_at(b"HSET", swallow=swallow)
    if way == "draft":
        version = publish(wired, new_client, KEYS[5:9], base=base, epoch=0)
        expected = KEYS[5:9]
    else:
        version = change(wired, new_client, base, entered=KEYS[20:22], size=12, epoch=0)
        expected = KEYS[:10] + KEYS[20:22]
    assert wire.cuts == 1
    info = sets.info(new_client, "vip")
    assert info is not None
    assert (info.version, info.size) == (version, len(expected))
    assert sorted(sets.members(new_client, "vip")) == expected


@pytest.mark.parametrize("way", ["draft", "change"])
def test_overtaken_while_nobody_knows(
    sets: Sets, wired: Sets, wire: Wire, new_client: int, way: str
) -> None:
    """It was done, and then somebody came: only `unsure` is the truth."""
    base = publish(wired, new_client, KEYS[:10], base=None)
    wire.cut_at(b"HSET", swallow=False, then=lambda: publish(sets, new_client, KEYS[7:9]))
    ways: dict[str, Callable[[], str]] = {
        "draft": lambda: publish(wired, new_client, KEYS[5:9], base=base),
        "change": lambda: change(wired, new_client, base, entered=KEYS[20:22], size=12),
    }
    with pytest.raises(Overtaken) as caught:
        ways[way]()
    assert (caught.value.what, caught.value.unsure) == ("base", True)
    assert sorted(sets.members(new_client, "vip")) == KEYS[7:9]


def test_a_server_that_stays_away(sets: Sets, wired: Sets, wire: Wire, new_client: int) -> None:
    """Whether it happened cannot be known then; and what may be published is not thrown away."""
    wire.cut_at(b"HSET", swallow=False, then=wire.close)
    version = new_version(wall_clock())
    draft = wired.draft(new_client, "vip", version)
    draft.add([KEYS[:3]])
    with pytest.raises(SetsError) as caught:
        draft.publish(stamp(version, 3), base=None, epoch=0)
    draft.discard()
    assert not isinstance(caught.value, Overtaken)
    info = sets.info(new_client, "vip")
    assert info is not None
    assert info.version == version
    assert info.whole
    assert sorted(sets.members(new_client, "vip")) == KEYS[:3]


def test_a_published_set_is_never_discarded(sets: Sets, wired: Sets, new_client: int) -> None:
    """Somebody who does not know that its draft was published may still end it."""
    version = new_version(wall_clock())
    draft = wired.draft(new_client, "vip", version)
    draft.add([KEYS[:3]])
    draft.publish(stamp(version, 3), base=None, epoch=0)
    draft._published = False
    draft.discard()
    assert sorted(sets.members(new_client, "vip")) == KEYS[:3]


@pytest.mark.parametrize("swallow", [False, True], ids=["done", "not done"])
def test_pieces_that_are_sent_again_are_counted_once(
    sets: Sets, wired: Sets, wire: Wire, new_client: int, swallow: bool
) -> None:
    version = new_version(wall_clock())
    with wired.draft(new_client, "vip", version) as draft:
        draft.add([KEYS[:1_000]])
        wire.cut_at(b"SADD", swallow=swallow)
        draft.add([KEYS[1_000:3_000]])
        assert draft.size() == 3_000
        wire.cut_at(b"SREM", swallow=swallow)
        assert draft.remove(KEYS[:500]) == 500
        draft.publish(stamp(version, 2_500), base=None, epoch=0)
    assert wire.cuts == 2
    assert sorted(sets.members(new_client, "vip")) == KEYS[500:3_000]


@pytest.mark.parametrize("swallow", [False, True], ids=["done", "not done"])
def test_a_lease_without_an_answer(
    sets: Sets, wired: Sets, wire: Wire, new_client: int, swallow: bool
) -> None:
    wire.cut_at(b"INCR", swallow=swallow)
    lease = wired.lease(new_client, "refresh", "a", 60)
    assert lease is not None
    assert lease.held()
    assert lease.token == 1
    wire.cut_at(b"PX", swallow=swallow)
    assert lease.renew()
    wire.cut_at(b"DEL", swallow=swallow)
    lease.release()
    assert wire.cuts == 3
    assert not lease.held()
    assert sets.lease(new_client, "refresh", "b", 60) is not None


@pytest.mark.parametrize("swallow", [False, True], ids=["done", "not done"])
def test_reads_and_epochs_without_an_answer(
    sets: Sets, wired: Sets, wire: Wire, new_client: int, swallow: bool
) -> None:
    publish(sets, new_client, KEYS[:3])
    reads: list[tuple[bytes, Callable[[], object]]] = [
        (b"SMISMEMBER", lambda: wired.contains(new_client, "vip", KEYS[2:4])),
        (b"SMISMEMBER", lambda: (wired.contains(new_client, "vip", KEYS) or [])[2:4]),
    ]
    for command, read in reads:
        wire.cut_at(command, swallow=swallow)
        assert read() == [True, False]
    wire.cut_at(b"INCR", swallow=swallow)
    # One too many does no harm: publications only have to look again.
    assert wired.raise_epoch(new_client) in (1, 2)
