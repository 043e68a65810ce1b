"""One at a time, for a time, and by tokens that only grow."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
import redis

from relo_dsl.setkeys import fence_key, lease_key
from relo_server.sets import Sets, SetsError


def test_a_lease_is_one_s_until_it_ends(sets: Sets, new_client: int) -> None:
    first = sets.lease(new_client, "refresh", "a", 60)
    assert first is not None
    assert first.held()
    assert sets.lease(new_client, "refresh", "b", 60) is None
    assert sets.lease(new_client, "refresh", "a", 60) is None
    assert sets.lease(new_client, "other", "b", 60) is not None
    first.release()
    first.release()
    assert not first.held()
    assert not first.renew()
    second = sets.lease(new_client, "refresh", "b", 60)
    assert second is not None
    assert second.token > first.token
    first.release()
    assert second.held()


def test_a_lease_ends_by_itself_unless_it_is_renewed(
    sets: Sets, new_client: int, bare: redis.Redis
) -> None:
    lease = sets.lease(new_client, "refresh", "a", 0.5)
    assert lease is not None
    for _ in range(3):
        time.sleep(0.25)
        assert lease.renew()
    assert 0 < bare.pttl(lease_key(new_client, "refresh")) <= 500
    time.sleep(0.6)
    assert not lease.held()
    assert not lease.renew()
    again = sets.lease(new_client, "refresh", "a", 60)
    assert again is not None
    assert again.token == lease.token + 1
    assert not lease.held()
    assert bare.ttl(fence_key(new_client, "refresh")) == -1


def test_of_many_one_gets_it(sets: Sets, new_client: int, folder: Path) -> None:
    """Threads race for ten rounds: one winner each, and tokens go up."""
    tokens: list[int] = []
    gate = threading.Barrier(4)

    def race(name: str) -> None:
        with Sets.server(f"unix://{folder}/sets.sock") as mine:
            for _ in range(10):
                gate.wait(10)
                lease = mine.lease(new_client, "refresh", name, 60)
                if lease is not None:
                    tokens.append(lease.token)
                gate.wait(10)
                if lease is not None:
                    lease.release()

    threads = [threading.Thread(target=race, args=(f"t{i}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert tokens == list(range(1, 11))


def test_leases_that_make_no_sense(sets: Sets, new_client: int) -> None:
    with pytest.raises(ValueError, match="cannot be"):
        sets.lease(new_client, "a:b", "a", 1)
    with pytest.raises(SetsError, match="some time"):
        sets.lease(new_client, "refresh", "a", 0)
