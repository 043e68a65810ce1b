"""Only what Redis 7, Valkey 8 and Dragonfly all have is sent, and what `--emit sets` says."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis

from relo_dsl.setkeys import CHUNK, edit_commands, pieces, publish_commands
from relo_server.sets import Overtaken, Sets, SetsError, new_version
from relo_server.sets.commands import ALLOWED
from tests.sets.helpers import AT, KEYS, change, publish, stamp, wall_clock
from tests.sets.test_lookups import looking


def seen_by(folder: Path, act: Callable[[Sets], object]) -> list[str]:
    """The commands that the server got from `act`, in order, members left out."""
    seen: list[str] = []
    ready = threading.Event()
    monitor: Any = redis.Redis(unix_socket_path=str(folder / "sets.sock"))

    def watch() -> None:
        with monitor.monitor() as stream:
            ready.set()
            for command in stream.listen():
                if "the-end" in command["command"]:
                    return
                seen.append(command["command"])

    thread = threading.Thread(target=watch)
    thread.start()
    assert ready.wait(10)
    with Sets.server(f"unix://{folder}/sets.sock") as other:
        act(other)
        other.epoch(0)
        other._redis.get("the-end")
    thread.join(10)
    monitor.close()
    assert seen[0] == "PING"
    assert seen.pop() == "GET consent:{0}"
    return seen[1:]


def test_only_common_commands_are_sent(folder: Path, sets: Sets, new_client: int) -> None:
    def everything(store: Sets) -> None:
        lease = store.lease(new_client, "refresh", "a", 60)
        assert lease is not None
        for _ in range(2):
            base = publish(store, new_client, KEYS, lease=lease, epoch=0)
        store.raise_epoch(new_client)
        base = change(store, new_client, base, entered=[], left=KEYS[:10], size=len(KEYS) - 10)
        store.publish("empty", new_client, [], at=AT)
        store.contains(new_client, "vip", KEYS)
        store.contains(new_client, "vip", KEYS[:1])
        store.published(new_client)
        assert len(list(store.members(new_client, "vip"))) == len(KEYS) - 10
        with pytest.raises(Overtaken):
            publish(store, new_client, KEYS, base=None)
        with pytest.raises(ZeroDivisionError):
            store.publish("vip", new_client, (KEYS[: 1 // zero] for zero in [0]), at=AT)
        looking(store, lambda lookups: lookups.ask(new_client, "vip", KEYS[0]))
        draft = store.draft(new_client, "vip", new_version(wall_clock()))
        draft.add([KEYS])
        draft.remove(KEYS[:5])
        draft.discard()
        store.drop(new_client, "vip", lease=lease)
        store.drop(new_client, "vip")
        lease.renew()
        lease.held()
        lease.release()

    seen = {command.split()[0].upper() for command in seen_by(folder, everything)}
    assert seen <= ALLOWED, seen - ALLOWED
    # All of them but those that start and end a connection or a server.
    assert ALLOWED - seen == {"PING", "SELECT", "SHUTDOWN"}


def test_dragonfly_s_own_list_has_them_all() -> None:
    lines = Path(__file__).with_name("dragonfly_commands.txt").read_text().splitlines()
    listed = {name for line in lines if not line.startswith("#") for name in line.split()[1:]}
    assert listed >= ALLOWED, ALLOWED - listed


def test_the_server_at_hand_has_them_all(bare: redis.Redis) -> None:
    known: Any = bare.command()
    assert {name.lower() for name in ALLOWED} <= set(known)


def test_the_commands_as_text_are_those_that_are_sent(
    folder: Path, sets: Sets, new_client: int
) -> None:
    lease = sets.lease(new_client, "PURPOSE", "a", 60)
    base = publish(sets, new_client, KEYS[:3])

    def again(store: Sets) -> None:
        publish(store, new_client, KEYS[: 2 * CHUNK], base=base, epoch=0, lease=lease)

    sent = plain(seen_by(folder, again), new_client)
    assert sent == plain(publish_commands(new_client, "vip"), new_client)
    info = sets.info(new_client, "vip")
    assert info is not None

    def edited(store: Sets) -> None:
        change(
            store, new_client, info.version, entered=KEYS[2_000:2_001], left=KEYS[:1],
            size=2_000, epoch=0, lease=lease,
        )  # fmt: skip

    sent = plain(seen_by(folder, edited), new_client)
    assert sent == plain(edit_commands(new_client, "vip"), new_client)


def plain(commands: list[str], client: int) -> list[str]:
    """Commands without members, versions and times, which the text has placeholders for."""
    found = []
    for command in commands:
        text = re.sub(r":(\d{13}-[0-9a-f]{8}|VERSION|OLD)\b", ":KEY", command)
        verb, _, rest = text.partition(" ")
        words = rest.split()
        if verb in ("SADD", "SREM", "SMISMEMBER", "PEXPIREAT"):
            words = words[:1]
        elif verb == "HSET":
            words = [words[0], *words[1::2]]
        found.append(" ".join([verb, *words]))
    assert any(f"audience:{{{client}}}:vip" in command for command in found)
    return found


@pytest.mark.parametrize(
    "sizes", [[], [0, 0], [1], [999, 1], [1_000], [2_500], [3, 1_000, 0, 998, 2_001], [1] * 1_001]
)
def test_pieces_are_the_same_members_in_full_commands(sizes: list[int]) -> None:
    chunks = [list(KEYS[:size]) for size in sizes]
    cut = [list(piece) for piece in pieces(chunks)]
    assert [key for piece in cut for key in piece] == [key for chunk in chunks for key in chunk]
    assert all(len(piece) == CHUNK for piece in cut[:-1])
    assert all(cut)


def test_names_are_refused_wherever_they_come(sets: Sets, new_client: int) -> None:
    for act in (sets.info, sets.listing, sets.drop):
        with pytest.raises(Exception, match="must not hold"):
            act(new_client, "a:b")
    with pytest.raises(ValueError, match="not about"):
        sets.draft(new_client, "vip", "0000000000001-00000000").publish(
            stamp("0000000000002-00000000", 0), base=None, epoch=None
        )
    with pytest.raises(SetsError, match="nothing is published"):
        next(sets.members(new_client, "vip"))
