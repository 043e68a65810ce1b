"""Asking for one device at a time, thousands of times a second: for an event loop.

What waits while an answer is on its way is sent together, on one connection. Each question is one
script, so that its parts are of one instant; the keys it names are those that were found before,
and where these are no longer the ones that hold, the question is asked again with the new ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import redis.asyncio
from redis.exceptions import NoScriptError, RedisError

from relo_dsl.errors import UserError
from relo_dsl.setkeys import SetKeys
from relo_server.sets.reading import find
from relo_server.sets.stamps import SetInfo

#: KEYS: the pointer, the info, the set. Dragonfly runs scripts whose keys are declared.
_SCRIPT = """
if redis.call('GET', KEYS[1]) ~= KEYS[3] then return nil end
return {redis.call('HGET', KEYS[2], 'version'), redis.call('SCARD', KEYS[3]),
        redis.call('SISMEMBER', KEYS[3], ARGV[1])}
"""
#: Questions that are sent together at most.
_TOGETHER = 256
#: Audiences whose keys are remembered; beyond that all are forgotten.
_REMEMBERED = 10_000

_Question = tuple[SetInfo, SetKeys, bytes, "asyncio.Future[Any]"]
#: Runs something that waits for the set server in a thread of its own.
Aside = Callable[[Callable[[], SetInfo | None]], Awaitable[SetInfo | None]]


class Lookups:
    """Look-ups for one event loop, on a connection of their own to the server of `client`."""

    def __init__(self, client: redis.Redis, aside: Aside) -> None:
        """Use `Sets.lookups`."""
        pool = client.connection_pool
        where = {
            name: value for name, value in pool.connection_kwargs.items()
            if name in ("host", "port", "path", "db", "username", "password", "socket_timeout")
        }  # fmt: skip
        kind: Any = redis.asyncio.Connection
        if issubclass(pool.connection_class, redis.UnixDomainSocketConnection):
            kind = redis.asyncio.UnixDomainSocketConnection
        elif issubclass(pool.connection_class, redis.SSLConnection):
            kind = redis.asyncio.SSLConnection
        self._connection = kind(protocol=2, driver_info=None, **where)
        self._sync = client
        self._aside = aside
        self._known: dict[tuple[int, str], SetInfo] = {}
        self._waiting: list[_Question] = []
        self._sending: asyncio.Task[None] | None = None
        self._sha = b""

    async def ask(self, client: int, name: str, device: bytes) -> tuple[SetInfo, bool] | None:
        """Whether a device is a member, and of which version.

        None where that takes more than a look: nothing is published, the set is not the one that
        was published, or the server cannot be asked. `Sets.ask` says which.
        """
        try:
            keys = SetKeys(client, name)
            for _ in range(3):
                info = self._known.get((client, name)) or await self._find(keys)
                if info is None:
                    return None
                found = await self._asked(info, keys, device)
                if found is not None and found[0] == info.version.encode():
                    return (info, bool(found[2])) if found[1] == info.size else None
                self._known.pop((client, name), None)
        except (RedisError, OSError, UserError):
            return None
        return None

    async def _find(self, keys: SetKeys) -> SetInfo | None:
        found = await self._aside(lambda: find(self._sync, keys))
        if found is not None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[keys.client, keys.name] = found
        return found

    async def _asked(self, info: SetInfo, keys: SetKeys, device: bytes) -> list[Any] | None:
        """Version, size and answer of the set of `info`; None where another one holds."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((info, keys, device, answer))
        if self._sending is None:
            self._sending = asyncio.create_task(self._send())
        return cast("list[Any] | None", await answer)

    async def _send(self) -> None:
        """Sends what waits, until nothing does."""
        try:
            while self._waiting:
                some, self._waiting = self._waiting[:_TOGETHER], self._waiting[_TOGETHER:]
                try:
                    answers = await self._exchange(some)
                except (RedisError, OSError) as error:
                    await self._connection.disconnect()
                    answers = [error] * len(some)
                for (*_, future), answer in zip(some, answers, strict=True):
                    if future.done():  # whoever asked has gone away
                        continue
                    if isinstance(answer, Exception):
                        future.set_exception(answer)
                    else:
                        future.set_result(answer)
        finally:
            self._sending = None

    async def _exchange(self, some: list[_Question]) -> list[Any]:
        connection = self._connection
        await connection.connect()
        if not self._sha:
            await connection.send_command("SCRIPT", "LOAD", _SCRIPT)
            self._sha = await connection.read_response()
        commands = [
            ("EVALSHA", self._sha, 3, keys.pointer, keys.info, info.key, device)
            for info, keys, device, _ in some
        ]
        await connection.send_packed_command(connection.pack_commands(commands))
        answers: list[Any] = []
        for _ in some:
            try:
                answers.append(await connection.read_response())
            except redis.ResponseError as error:
                if isinstance(error, NoScriptError):  # the server was started anew
                    self._sha = b""
                answers.append(error)
        return answers

    async def close(self) -> None:
        await self._connection.disconnect()
