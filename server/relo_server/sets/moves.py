"""One change of what is published: look, and if nothing has moved since, do it, all or nothing.

WATCH makes the server refuse the MULTI where one of the keys was touched after it was looked at.
There is no script in it: Dragonfly wants the keys of those declared, and has them on one thread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

import redis

from relo_dsl.setkeys import Command, SetKeys, consent_key
from relo_server.sets.errors import Overtaken, SetsError

if TYPE_CHECKING:
    from relo_server.sets.leases import Lease

#: How often somebody else may come first without having moved what we build upon.
_TRIES = 100


class Base(Enum):
    """See ANY."""

    ANY = "any"


#: As the base of a publication: whatever is published now, or nothing.
ANY: Final = Base.ANY


@dataclass(frozen=True, slots=True)
class Conditions:
    """What must still be so at the moment of a change.

    `base` is the version that is published (None: none is), `epoch` the consent epoch (None:
    unchecked), `lease` one that must still be held.
    """

    base: str | Base | None
    epoch: int | None
    lease: Lease | None


@dataclass(frozen=True, slots=True)
class Current:
    """What is published at the moment: its key, version and size; None where nothing is.

    A pointer without an info is nothing, and yet its key has to go.
    """

    key: bytes | None
    version: str | None
    size: int


def transact(
    client: redis.Redis,
    watched: Sequence[str],
    look: Callable[[Any, bool], list[Command] | None],
) -> bool:
    """Does in one MULTI what `look` says; False where it says None: there is nothing to do.

    `look` gets the connection that watches, and whether an answer was lost before: then what it
    asked for may have happened, and it has to find out. It is called again where a key moved.
    """
    lost = False
    for _ in range(_TRIES):
        pipeline: Any = client.pipeline(transaction=True)
        with pipeline:
            try:
                pipeline.watch(*watched)
                commands = look(pipeline, lost)
                if commands is None:
                    return False
                pipeline.multi()
                for command in commands:
                    pipeline.execute_command(*command)
                pipeline.execute()
            except redis.WatchError as error:
                # redis-py says so too where the connection ended while it watched.
                lost = lost or isinstance(error.__context__, redis.RedisError | OSError)
                continue
            return True
    raise SetsError("the set store failed: too many publish the same audience", "try again")


def watched_keys(keys: SetKeys, conditions: Conditions) -> list[str]:
    """Everything that decides whether a publication may happen."""
    watched = [keys.pointer, keys.info]
    if conditions.epoch is not None:
        watched.append(consent_key(keys.client))
    if conditions.lease is not None:
        watched.append(conditions.lease.key)
    return watched


def look_at(
    pipeline: Any, keys: SetKeys, conditions: Conditions, version: str, *, lost: bool
) -> Current | None:
    """What is published now; None where that is `version` already. Raises Overtaken."""
    lease = conditions.lease
    names = [keys.pointer, consent_key(keys.client)]
    if lease is not None:
        names.append(lease.key)
    key, epoch, *holds = pipeline.execute_command("MGET", *names)
    found, size = pipeline.execute_command("HMGET", keys.info, "version", "size")
    there = key is not None and found is not None
    current = Current(key, found.decode() if there else None, int(size) if there else 0)
    if current.version == version:
        return None
    if lease is not None and holds != [lease.value]:
        raise Overtaken("lease", unsure=lost)
    if conditions.epoch is not None and int(epoch or 0) != conditions.epoch:
        raise Overtaken("consent", unsure=lost)
    if conditions.base is not ANY and conditions.base != current.version:
        raise Overtaken("base", unsure=lost)
    return current
