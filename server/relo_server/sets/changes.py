"""Changing few members of the set that is published, so that a reader never sees half of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import redis

from relo_dsl.setkeys import CHUNK, GRACE_SECONDS, MOST_CHANGES, Command, SetKeys, change_commands
from relo_server.sets.errors import Overtaken, translated
from relo_server.sets.leases import Lease
from relo_server.sets.moves import ANY, Conditions, asked_of, current, watched_keys
from relo_server.sets.stamps import Stamp
from relo_server.sets.watching import Watching, transact


def change(
    client: redis.Redis,
    keys: SetKeys,
    stamp: Stamp,
    entered: Sequence[bytes],
    left: Sequence[bytes],
    conditions: Conditions,
) -> None:
    """See `Sets.change`."""
    if len(entered) + len(left) > MOST_CHANGES:
        raise ValueError(f"{len(entered) + len(left):,} changes are too many: use a draft")
    if len({*entered, *left}) != len(entered) + len(left):
        raise ValueError("a device enters or leaves twice")

    def look(watching: Watching, answers: list[Any], lost: bool) -> list[Command] | None:
        now = current(answers, conditions, stamp.version, lost=lost)
        if now is None:
            return None
        if now.key is None or now.version is None:
            raise Overtaken("base", unsure=lost)
        if stamp.size != now.size + len(entered) - len(left):
            raise ValueError(f"{stamp} does not follow from a set of {now.size} members")
        key = now.key.decode()
        if not _as_published(watching, key, now.size, entered, left):
            # Unless another version has come between the two looks.
            again = watching.ask(*asked_of(keys, conditions))
            if current(again, conditions, stamp.version, lost=lost) is None:
                return None
            raise Overtaken("base", damaged=True)
        return change_commands(keys, key, entered, left, stamp.fields(), stamp.expires_at)

    with translated():
        transact(client, watched_keys(keys, conditions), asked_of(keys, conditions), look)


def _as_published(
    watching: Watching, key: str, size: int, entered: Sequence[bytes], left: Sequence[bytes]
) -> bool:
    """Whether the set is the one that these differences are about; it is watched from here on.

    Otherwise a fragment would be published, or a set of another size than its info says.
    """
    asked: list[Command] = [("WATCH", key), ("SCARD", key)]
    for devices in (entered, left):
        asked += [
            ("SMISMEMBER", key, *devices[start : start + CHUNK])
            for start in range(0, len(devices), CHUNK)
        ]
    _, members, *hits = watching.ask(*asked)
    found = [hit for answer in hits for hit in answer]
    return bool(members == size and found == [0] * len(entered) + [1] * len(left))


def drop(client: redis.Redis, keys: SetKeys, lease: Lease | None) -> bool:
    """See `Sets.drop`."""
    conditions = Conditions(ANY, None, lease)

    def look(_: Watching, answers: list[Any], lost: bool) -> list[Command] | None:
        now = current(answers, conditions, "", lost=lost)
        assert now is not None  # no version is called that
        if now.key is None:
            return [("DEL", keys.info)] if answers[1][0] is not None else None
        return [("DEL", keys.pointer, keys.info), ("EXPIRE", now.key, GRACE_SECONDS)]

    with translated():
        return transact(client, watched_keys(keys, conditions), asked_of(keys, conditions), look)
