"""Look-ups of one device from an event loop say what a whole reading says, and never a false no."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import redis

from relo_server.sets import Sets
from relo_server.sets.lookups import Lookups
from tests.sets.helpers import KEYS, Wire, change, publish
from tests.sets.test_readers import GROUPS, WHOLE, moving

T = TypeVar("T")


def looking(sets: Sets, use: Callable[[Lookups], Awaitable[T]]) -> T:
    """Something done with look-ups in a loop of its own."""

    async def run() -> T:
        lookups = sets.lookups(asyncio.to_thread)
        try:
            return await use(lookups)
        finally:
            await lookups.close()

    return asyncio.run(run())


def test_one_version_each_while_they_come_and_go(sets: Sets, new_client: int, folder: Path) -> None:
    publish(sets, new_client, sorted(WHOLE[0]))
    stop = threading.Event()
    seen: set[str] = set()

    async def read(lookups: Lookups) -> None:
        few = [KEYS[0], *(group[0] for group in GROUPS)]
        while not stop.is_set():
            asked = await asyncio.gather(*(lookups.ask(new_client, "vip", key) for key in few))
            assert asked[0] is None or asked[0][1], "a false no"
            for answer, key in zip(asked, few, strict=True):
                if answer is not None:  # None: it moved too fast to be told
                    seen.add(answer[0].version)
                    inside.append((answer[0].version, key, answer[1]))

    inside: list[tuple[str, bytes, bool]] = []
    made: dict[str, frozenset[bytes]] = {}

    def move() -> None:
        made.update(moving(sets, new_client, 60))
        stop.set()

    thread = threading.Thread(target=move)
    thread.start()
    with Sets.server(f"unix://{folder}/sets.sock") as reader:
        looking(reader, read)
    thread.join()
    assert len(seen) > 5
    wrong = [one for one in inside if one[0] in made and (one[1] in made[one[0]]) is not one[2]]
    assert not wrong


def test_what_needs_more_than_a_look(sets: Sets, new_client: int, bare: redis.Redis) -> None:
    async def read(lookups: Lookups) -> None:
        assert await lookups.ask(new_client, "vip", KEYS[0]) is None  # not published
        assert await lookups.ask(new_client, "v:ip", KEYS[0]) is None
        base = publish(sets, new_client, KEYS[:3])
        first = await lookups.ask(new_client, "vip", KEYS[0])
        assert first is not None
        assert first[1]
        assert first[0].version == base
        # Changed in place: the same key, another version.
        after = change(sets, new_client, base, entered=[], left=[KEYS[0]], size=2)
        second = await lookups.ask(new_client, "vip", KEYS[0])
        assert second is not None
        assert not second[1]
        assert second[0].version == after
        # A set that lost a member answers no more.
        bare.srem(second[0].key, KEYS[1])
        assert await lookups.ask(new_client, "vip", KEYS[2]) is None
        sets.drop(new_client, "vip")
        assert await lookups.ask(new_client, "vip", KEYS[2]) is None
        # Nobody in it: the set has no key.
        sets.publish("empty", new_client, [], at=0)
        empty = await lookups.ask(new_client, "empty", KEYS[0])
        assert empty is not None
        assert not empty[1]

    looking(sets, read)


def test_the_server_forgets_the_script(sets: Sets, new_client: int, bare: redis.Redis) -> None:
    async def read(lookups: Lookups) -> None:
        publish(sets, new_client, KEYS[:3])
        assert await lookups.ask(new_client, "vip", KEYS[0]) is not None
        bare.script_flush()
        assert await lookups.ask(new_client, "vip", KEYS[0]) is None  # the whole way answers
        again = await lookups.ask(new_client, "vip", KEYS[0])
        assert again is not None
        assert again[1]

    looking(sets, read)


def test_a_lost_connection_loses_no_more_than_what_was_asked(
    sets: Sets, new_client: int, wire: Wire, wired: Sets
) -> None:
    publish(sets, new_client, KEYS[:3])

    async def read(lookups: Lookups) -> None:
        assert await lookups.ask(new_client, "vip", KEYS[0]) is not None
        wire.cut_at(b"EVALSHA", swallow=True)
        lost = await asyncio.gather(*(lookups.ask(new_client, "vip", key) for key in KEYS[:5]))
        assert lost == [None] * 5
        found = await asyncio.gather(*(lookups.ask(new_client, "vip", key) for key in KEYS[:5]))
        assert [one is not None and one[1] for one in found] == [True, True, True, False, False]

    looking(wired, read)


def test_whoever_goes_away_takes_nothing_with_them(sets: Sets, new_client: int) -> None:
    publish(sets, new_client, KEYS[:3])

    async def read(lookups: Lookups) -> None:
        tasks = [asyncio.create_task(lookups.ask(new_client, "vip", key)) for key in KEYS[:10]]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        left = await asyncio.gather(*tasks[1::2])
        assert [one is not None and one[1] for one in left] == [True, False, False, False, False]

    looking(sets, read)
