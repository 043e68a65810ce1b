"""Asking what is published: always one whole version, though versions come and go meanwhile.

A version comes by another key under the pointer, or by another `version` in the info of the same
key. So answers count where pointer and version are the same before and after them, or where all of
it was read in one MULTI.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, cast

import redis

from relo_dsl.setkeys import CHUNK, Command, SetKeys
from relo_server.sets.errors import SetsError, translated
from relo_server.sets.stamps import SetInfo, read_info

#: How often a set may change while it is read before a reader gives up.
_TRIES = 100


@dataclass(frozen=True, slots=True)
class Answers:
    """What one version says: for each device in the order asked whether it is a member."""

    info: SetInfo
    members: list[bool]


def find(client: redis.Redis, keys: SetKeys) -> SetInfo | None:
    """What is published, or None."""
    found = _read(client, keys, [])
    return None if found is None else found[0]


def ask(client: redis.Redis, keys: SetKeys, members: Sequence[bytes]) -> Answers | None:
    """Whether devices are members; None where nothing is published.

    Raises SetsError where the set is not what was published: a missing set answers no to all.
    """
    parts = [members[i : i + CHUNK] for i in range(0, len(members), CHUNK)]
    found = _read(client, keys, parts)
    if found is None:
        return None
    info, answers = found
    _refuse_damaged(info)
    return Answers(info, [bool(hit) for answer in answers for hit in answer])


def ask_several(
    client: redis.Redis, keys: Sequence[SetKeys], members: Sequence[bytes]
) -> list[Answers | None]:
    """The same of several audiences, in two round trips as long as no set moves meanwhile."""
    if len(members) > CHUNK or not keys:
        return [ask(client, one, members) for one in keys]
    with translated():
        pointers = cast("list[bytes | None]", client.mget([one.pointer for one in keys]))
        pipeline: Any = client.pipeline(transaction=True)
        for one, key in zip(keys, pointers, strict=True):
            for command in _commands(one, key or b"", [members] if members else []):
                pipeline.execute_command(*command)
        found = iter(pipeline.execute())
    answers: list[Answers | None] = []
    for one, key in zip(keys, pointers, strict=True):
        raw, size, *hits, after, version = islice(found, 4 + bool(members))
        if key is None and after is None:
            answers.append(None)
        elif after != key or not raw or raw[b"version"] != version:
            answers.append(ask(client, one, members))  # it moved: read by itself
        else:
            info = read_info(one, after, raw, size)
            _refuse_damaged(info)
            answers.append(Answers(info, [bool(hit) for answer in hits for hit in answer]))
    return answers


def _commands(keys: SetKeys, key: bytes, parts: Sequence[Sequence[bytes]]) -> list[Command]:
    """What is asked of one version, and whether it was that one throughout."""
    commands: list[Command] = [("HGETALL", keys.info), ("SCARD", key)]
    commands += [("SMISMEMBER", key, *part) for part in parts]
    return [*commands, ("GET", keys.pointer), ("HGET", keys.info, "version")]


def _read(
    client: redis.Redis, keys: SetKeys, parts: Sequence[Sequence[bytes]]
) -> tuple[SetInfo, list[list[int]]] | None:
    """The info and the answers of one version."""
    with translated():
        for _ in range(_TRIES):
            key = cast(bytes | None, client.get(keys.pointer))
            if key is None:
                return None
            # Many parts would keep others waiting: then the version is compared instead.
            whole = len(parts) <= 1
            pipeline: Any = client.pipeline(transaction=whole)
            for command in _commands(keys, key, parts):
                pipeline.execute_command(*command)
            raw, size, *answers, after, version = pipeline.execute()
            if after == key:
                if not raw:
                    return None  # the info was lost: nobody can tell what this is
                if raw[b"version"] == version:
                    return read_info(keys, key, raw, size), answers
    raise SetsError(f"`{keys.name}` changes faster than it can be read", "ask for fewer at a time")


def _refuse_damaged(info: SetInfo) -> None:
    if not info.whole:
        raise SetsError(
            f"the set of `{info.name}` is not the one that was published: the server lost it, or "
            "somebody else changed it",
            f"`relo build {info.name}` publishes it again",
        )


class Listing:
    """The members of one version, which `info` describes."""

    def __init__(self, client: redis.Redis, keys: SetKeys, info: SetInfo) -> None:
        """Use `Sets.listing`."""
        self.info = info
        self._redis = client
        self._keys = keys

    def members(self, limit: int | None = None) -> Iterator[bytes]:
        """At most `limit` device keys, each once, in no order.

        Raises SetsError at the end if the version was no longer the one that is published.
        """
        yield from islice(self._scan(), limit)
        with translated():
            now = find(self._redis, self._keys)
        if now is None or (now.key, now.version) != (self.info.key, self.info.version):
            raise SetsError(
                f"`{self.info.name}` was published anew while it was being read", "read it again"
            )
        _refuse_damaged(now)

    def found(self) -> Iterator[bytes]:
        """What the set holds, each once, be it what was published or not: to be checked."""
        return self._scan()

    def _scan(self) -> Iterator[bytes]:
        seen: set[bytes] = set()
        scan: Any = self._redis.sscan_iter(self.info.key, count=CHUNK)
        with translated():
            for member in scan:
                # A scan may return a member twice while the table behind the set is moved.
                if member not in seen:
                    seen.add(member)
                    yield member


def listing(client: redis.Redis, keys: SetKeys) -> Listing | None:
    """The version that is published, to be read member by member; None where nothing is."""
    found = as_found(client, keys)
    if found is not None:
        _refuse_damaged(found.info)
    return found


def as_found(client: redis.Redis, keys: SetKeys) -> Listing | None:
    """The same, whether or not its set is what was published."""
    info = find(client, keys)
    return None if info is None else Listing(client, keys, info)
