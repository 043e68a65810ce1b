"""Changing few members of the set that is published, so that a reader never sees half of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import redis

from relo_dsl.setkeys import CHUNK, GRACE_SECONDS, MOST_CHANGES, Command, SetKeys, change_commands
from relo_server.sets.errors import Overtaken, translated
from relo_server.sets.leases import Lease
from relo_server.sets.moves import Conditions, Current, look_at, transact, watched_keys
from relo_server.sets.stamps import Stamp


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

    def look(pipeline: Any, lost: bool) -> list[Command] | None:
        current = look_at(pipeline, keys, conditions, stamp.version, lost=lost)
        if current is None:
            return None
        if current.key is None or current.version is None:
            raise Overtaken("base", unsure=lost)
        if stamp.size != current.size + len(entered) - len(left):
            raise ValueError(f"{stamp} does not follow from a set of {current.size} members")
        key = current.key.decode()
        pipeline.watch(key)
        if not _as_published(pipeline, key, current, entered, left):
            # Unless another version has come between the two looks.
            if look_at(pipeline, keys, conditions, stamp.version, lost=lost) is None:
                return None
            raise Overtaken("base", damaged=True)
        return change_commands(keys, key, entered, left, stamp.fields(), stamp.expires_at)

    with translated():
        transact(client, watched_keys(keys, conditions), look)


def _as_published(
    pipeline: Any, key: str, current: Current, entered: Sequence[bytes], left: Sequence[bytes]
) -> bool:
    """Whether the set is the one that these differences are about.

    Otherwise a fragment would be published, or a set of another size than its info says.
    """
    if pipeline.execute_command("SCARD", key) != current.size:
        return False
    for devices, expected in ((entered, 0), (left, 1)):
        for start in range(0, len(devices), CHUNK):
            piece = devices[start : start + CHUNK]
            answers = pipeline.execute_command("SMISMEMBER", key, *piece)
            if answers.count(expected) != len(piece):
                return False
    return True


def drop(client: redis.Redis, keys: SetKeys, lease: Lease | None) -> bool:
    """See `Sets.drop`."""
    watched = [keys.pointer, keys.info, *([] if lease is None else [lease.key])]

    def look(pipeline: Any, lost: bool) -> list[Command] | None:
        if lease is not None and pipeline.execute_command("GET", lease.key) != lease.value:
            raise Overtaken("lease", unsure=lost)
        key = pipeline.execute_command("GET", keys.pointer)
        commands: list[Command] = [("DEL", keys.pointer, keys.info)]
        if key is not None:
            commands.append(("EXPIRE", key, GRACE_SECONDS))
        elif not pipeline.execute_command("EXISTS", keys.info):
            return None
        return commands

    with translated():
        return transact(client, watched, look)
