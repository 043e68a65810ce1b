"""Publishing audiences, and asking them.

A new version is filled in pieces under its own key, which nobody reads; then one MULTI moves the
pointer. The version before stays for a minute (`GRACE_SECONDS`): a reader that has read the pointer
and not yet the set is never told a false no. See `relo_dsl.setkeys` for the keys.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

import redis

from relo_dsl.errors import UserError
from relo_dsl.setkeys import CHUNK, SetKeys, fill_commands, switch_commands
from relo_dsl.settings import Settings
from relo_dsl.times import UNITS, format_instant, parse_instant

if TYPE_CHECKING:
    from relo_server.sets.embedded import EmbeddedServer

#: SADDs sent before their answers are read.
_PIPELINED = 20
_DEFAULT_TTL = 90 * UNITS["d"]


class SetsError(UserError):
    """The set server refused, failed or could not be reached."""


@dataclass(frozen=True, slots=True)
class Published:
    """A version that has just been published."""

    name: str
    client: int
    version: str
    size: int
    seconds: float


@dataclass(frozen=True, slots=True)
class SetInfo:
    """What is published under a name. Times are epoch milliseconds.

    `at` is the instant that was evaluated, `fingerprint` that of the plan (may be empty).
    """

    name: str
    client: int
    version: str
    size: int
    at: int
    built_at: int
    expires_at: int
    fingerprint: str


class Sets:
    """The set store. Use as a context manager, or call `close`."""

    def __init__(self, client: redis.Redis, server: EmbeddedServer | None = None) -> None:
        """Use `Sets.open`, `Sets.embedded` or `Sets.server`."""
        self._redis = client
        self._server = server

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """The store that the settings name. Raises UserError if it cannot be used."""
        if settings.sets == "embedded":
            return cls.embedded(settings.data)
        return cls.server(settings.sets)

    @classmethod
    def embedded(cls, folder: Path) -> Self:
        """A server of our own over `folder`/sets, which ends with this object."""
        from relo_server.sets.embedded import EmbeddedServer

        server = EmbeddedServer(folder)
        client = redis.Redis(unix_socket_path=str(server.socket), **_CONNECTION)
        return cls(client, server)

    @classmethod
    def server(cls, url: str) -> Self:
        """A server by URL: redis://, rediss:// or unix://."""
        client = redis.Redis.from_url(url, **_CONNECTION)
        with _translated():
            client.ping()
        return cls(client)

    def publish(
        self,
        name: str,
        client: int,
        chunks: Iterable[Sequence[bytes]],
        *,
        at: int,
        ttl: int = _DEFAULT_TTL,
        fingerprint: str = "",
        now: int | None = None,
    ) -> Published:
        """Publishes members (16-byte device keys, in chunks of any size) in place of the last.

        `at` is the instant they were evaluated at and `ttl` how long they are kept, in ms. If the
        chunks or the server fail, what was published stays as it was and nothing is left behind.
        """
        keys = SetKeys(client, name)
        built = int(time.time() * 1000) if now is None else now
        version = f"{built:013d}-{secrets.token_hex(4)}"
        started = time.perf_counter()
        try:
            with _translated():
                size = self._fill(keys.version(version), chunks)
                self._switch(keys, version, size, at, built, ttl, fingerprint)
        except BaseException:
            self._discard(keys.version(version))
            raise
        return Published(name, client, version, size, time.perf_counter() - started)

    def _fill(self, key: str, chunks: Iterable[Sequence[bytes]]) -> int:
        members = (member for chunk in chunks for member in chunk)
        size = 0
        for pieces in _batched(_batched(members, CHUNK), _PIPELINED):
            pipeline: Any = self._redis.pipeline(transaction=False)
            for piece in pieces:
                for command in fill_commands(key, piece):
                    pipeline.execute_command(*command)
            size += sum(int(answer) for answer in pipeline.execute()[::2])
        return size

    def _switch(
        self, keys: SetKeys, version: str, size: int, at: int, built: int, ttl: int, print_: str
    ) -> None:
        """Moves the pointer; starts over if somebody else has just moved it."""
        info: dict[str, str | int] = {
            "version": version,
            "size": size,
            "at": format_instant(at),
            "built_at": format_instant(built),
            "expires_at": format_instant(built + ttl),
            "fingerprint": print_,
        }
        pipeline: Any = self._redis.pipeline(transaction=True)
        with pipeline:
            while True:
                try:
                    pipeline.watch(keys.pointer)
                    old = cast(bytes | None, pipeline.get(keys.pointer))
                    pipeline.multi()
                    old_key = None if old is None else old.decode()
                    for command in switch_commands(keys, version, old_key, info, built + ttl):
                        pipeline.execute_command(*command)
                    pipeline.execute()
                except redis.WatchError:
                    continue
                return

    def _discard(self, key: str) -> None:
        """Drops a version that nobody will read; if even that fails, it expires by itself."""
        try:
            self._redis.unlink(key)
        except redis.RedisError:
            return

    def info(self, client: int, name: str) -> SetInfo | None:
        """What is published under the name, or None."""
        keys = SetKeys(client, name)
        with _translated():
            pipeline = self._redis.pipeline(transaction=True)
            pipeline.get(keys.pointer)
            pipeline.hgetall(keys.info)
            pointer, raw = pipeline.execute()
        if pointer is None:
            return None
        return _info(keys, {k.decode(): v.decode() for k, v in raw.items()})

    def published(self, client: int) -> list[SetInfo]:
        """Everything that is published for a client, by name."""
        start, end = SetKeys(client, "x").pointer.removesuffix("x"), ":info"
        with _translated():
            found = {k.decode() for k in self._redis.scan_iter(match=f"{start}*{end}", count=1_000)}
        names = sorted(key.removeprefix(start).removesuffix(end) for key in found)
        infos = (self.info(client, name) for name in names)
        return [info for info in infos if info is not None]

    def contains(self, client: int, name: str, members: Sequence[bytes]) -> list[bool] | None:
        """For each device key whether it is a member, all of one version; None: not published."""
        keys = SetKeys(client, name)
        with _translated():
            while True:
                version = self._redis.get(keys.pointer)
                if version is None:
                    return None
                pipeline: Any = self._redis.pipeline(transaction=False)
                for piece in _batched(members, CHUNK):
                    pipeline.execute_command("SMISMEMBER", version, *piece)
                pipeline.get(keys.pointer)
                *answers, after = pipeline.execute()
                # Still the one: so its set cannot have been dropped while it was being read.
                if after == version:
                    return [bool(hit) for answer in answers for hit in answer]

    def members(self, client: int, name: str) -> Iterator[bytes]:
        """The device keys of one version, each once, in no order.

        Raises SetsError if nothing is published, or if the set went away while it was being read.
        """
        keys = SetKeys(client, name)
        info = self.info(client, name)
        if info is None:
            raise SetsError(
                f"nothing is published as `{name}`", f"`relo build {name}` publishes it"
            )
        key = keys.version(info.version)
        seen: set[bytes] = set()
        with _translated():
            for member in cast(Iterator[bytes], self._redis.sscan_iter(key, count=CHUNK)):
                # A scan may return a member twice while the table behind the set is moved.
                if member not in seen:
                    seen.add(member)
                    yield member
        if len(seen) != info.size:
            raise SetsError(f"`{name}` was published anew while it was being read", "read it again")

    def close(self) -> None:
        """Closes the connection, and stops the embedded server."""
        self._redis.close()
        if self._server is not None:
            self._server.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


# RESP 2 without a greeting: HELLO and CLIENT SETINFO are not the same everywhere.
_CONNECTION: dict[str, Any] = {"protocol": 2, "driver_info": None, "socket_timeout": 60}


_T = TypeVar("_T")


def _batched(items: Iterable[_T], size: int) -> Iterator[tuple[_T, ...]]:
    source = iter(items)
    while batch := tuple(islice(source, size)):
        yield batch


def _info(keys: SetKeys, raw: dict[str, str]) -> SetInfo:
    return SetInfo(
        name=keys.name,
        client=keys.client,
        version=raw["version"],
        size=int(raw["size"]),
        at=parse_instant(raw["at"]),
        built_at=parse_instant(raw["built_at"]),
        expires_at=parse_instant(raw["expires_at"]),
        fingerprint=raw.get("fingerprint", ""),
    )


class _translated:  # noqa: N801 - reads as a statement
    """Turns redis-py's errors into ours."""

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, redis.RedisError):
            raise SetsError(f"the set store failed: {error}") from error
