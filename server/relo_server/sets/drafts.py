"""A version that is filled under a key of its own, which nobody reads, and then published."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import redis

from relo_dsl.setkeys import (
    FILLING_SECONDS,
    Command,
    SetKeys,
    fill_commands,
    first_commands,
    pieces,
    switch_commands,
)
from relo_server.sets.errors import SetsError, translated
from relo_server.sets.moves import Base, Conditions, asked_of, current, watched_keys
from relo_server.sets.stamps import Stamp
from relo_server.sets.watching import Watching, transact

if TYPE_CHECKING:
    from relo_server.sets.leases import Lease

#: Commands sent before their answers are read.
_PIPELINED = 20


class Draft:
    """A new version of an audience. Use as a context manager, or end it by `publish` or `discard`.

    It ends by itself ten minutes after it was last added to, so a process that dies leaves nothing.
    """

    def __init__(self, client: redis.Redis, keys: SetKeys, version: str) -> None:
        """Use `Sets.draft`."""
        self.keys = keys
        self.version = version
        self.key = keys.version(version)
        self._redis = client
        self._size = 0
        self._published = False
        with translated():
            if client.exists(self.key):
                raise SetsError(f"version {version} of `{keys.name}` is there already")

    def add(self, chunks: Iterable[Sequence[bytes]]) -> int:
        """Adds members (16-byte device keys, in chunks of any size); how many of them were new.

        Raises SetsError where the server failed, or lost what had been added before.
        """
        self._refuse_published()
        before = self._size
        parts = iter(pieces(chunks))
        with translated():
            while batch := list(islice(parts, _PIPELINED)):
                first = first_commands(self.key, batch.pop(0)) if not self._size else []
                self._send(first, fill_commands(self.key, batch) if batch else [])
        return self._size - before

    def remove(self, devices: Sequence[bytes]) -> int:
        """Removes members; how many of them there were. Raises as `add` does."""
        self._refuse_published()
        before = self._size
        parts = iter(pieces([devices]))
        with translated():
            while self._size and (batch := list(islice(parts, _PIPELINED))):
                commands: list[Command] = [("EXPIRE", self.key, FILLING_SECONDS)]
                commands += [("SREM", self.key, *piece) for piece in batch]
                self._send([], [*commands, ("SCARD", self.key)])
        return before - self._size

    def size(self) -> int:
        """How many members it has."""
        return self._size

    def _refuse_published(self) -> None:
        if self._published:
            raise ValueError(f"{self.key} is published: readers would see it change")

    def _send(self, first: list[Command], more: list[Command]) -> None:
        """Starts the set in a MULTI, adds more to it, or both; the last of each must be SCARD.

        Counted by the server: redis-py sends all of them again where a connection broke.
        """
        pipeline: Any = self._redis.pipeline(transaction=False)
        if first:
            first = [("MULTI",), *first, ("EXEC",)]
        for command in (*first, *more):
            pipeline.execute_command(*command)
        answers = pipeline.execute()
        if more and not answers[len(first)]:
            raise self._gone()  # the answer to EXPIRE: there is no such key
        self._size = int(answers[-1] if more else answers[-1][-1])

    def _gone(self) -> SetsError:
        return SetsError(
            f"the server lost version {self.version} of `{self.keys.name}` while it was filled",
            "it took longer than ten minutes between two pieces, or the server's memory is full",
        )

    def publish(
        self,
        stamp: Stamp,
        *,
        base: str | Base | None,
        epoch: int | None,
        lease: Lease | None = None,
    ) -> None:
        """Moves the pointer here, if `base`, `epoch` and `lease` still hold: see `Conditions`.

        A second call does nothing. Raises Overtaken where one of them does not hold, and SetsError
        where the server failed or `stamp` is not about these members; then nothing was changed.
        Only if the server was lost may it have happened: `Sets.info` tells, once it is back.
        """
        if (stamp.version, stamp.size) != (self.version, self._size):
            raise ValueError(f"{stamp} is not about {self.key}, which has {self._size} members")
        conditions = Conditions(base, epoch, lease)

        def look(_: Watching, answers: list[Any], lost: bool) -> list[Command] | None:
            now = current(answers, conditions, self.version, lost=lost)
            if now is None:
                return None
            if answers[-1] != self._size:
                raise self._gone()
            old = None if now.key is None else now.key.decode()
            return switch_commands(self.keys, self.key, old, stamp.fields(), stamp.expires_at)

        if self._published:
            return
        with translated():
            watched = [*watched_keys(self.keys, conditions), self.key]
            asked = [*asked_of(self.keys, conditions), ("SCARD", self.key)]
            transact(self._redis, watched, asked, look)
        self._published = True

    def discard(self) -> None:
        """Drops it, unless it is published. If the server fails, it expires by itself."""
        if self._published:
            return

        pointer = self.keys.pointer

        def look(_: Watching, answers: list[Any], _lost: bool) -> list[Command] | None:
            return None if answers == [self.key.encode()] else [("UNLINK", self.key)]

        try:
            transact(self._redis, [pointer], [("GET", pointer)], look)
        except (redis.RedisError, SetsError):
            return

    def __enter__(self) -> Draft:
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()
