"""What a publication builds upon, and whether it still holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from relo_dsl.setkeys import Command, SetKeys, consent_key
from relo_server.sets.errors import Overtaken

if TYPE_CHECKING:
    from relo_server.sets.leases import Lease


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


def watched_keys(keys: SetKeys, conditions: Conditions) -> list[str]:
    """Everything that decides whether a publication may happen."""
    watched = [keys.pointer, keys.info]
    if conditions.epoch is not None:
        watched.append(consent_key(keys.client))
    if conditions.lease is not None:
        watched.append(conditions.lease.key)
    return watched


def asked_of(keys: SetKeys, conditions: Conditions) -> list[Command]:
    """What `current` wants to know."""
    names = [keys.pointer, consent_key(keys.client)]
    if conditions.lease is not None:
        names.append(conditions.lease.key)
    return [("MGET", *names), ("HMGET", keys.info, "version", "size")]


def current(
    answers: Sequence[Any], conditions: Conditions, version: str, *, lost: bool
) -> Current | None:
    """What is published, of the answers to `asked_of`; None where that is `version` already.

    Raises Overtaken where the conditions do not hold; `lost` as in `transact`.
    """
    (key, epoch, *holds), (found, size), *_ = answers
    there = key is not None and found is not None
    now = Current(key, found.decode() if there else None, int(size) if there else 0)
    if now.version == version:
        return None
    if conditions.lease is not None and holds != [conditions.lease.value]:
        raise Overtaken("lease", unsure=lost)
    if conditions.epoch is not None and int(epoch or 0) != conditions.epoch:
        raise Overtaken("consent", unsure=lost)
    if conditions.base is not ANY and conditions.base != now.version:
        raise Overtaken("base", unsure=lost)
    return now
