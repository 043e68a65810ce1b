"""One change of what is stored: look, and if nothing has moved since, do it, all or nothing.

WATCH makes the server refuse the MULTI where one of the keys was touched after it was looked at.
There is no script in it: Dragonfly wants the keys of those declared, and has them on one thread.
redis-py's pipelines do this too, with a round trip for every key that is looked at.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Self

import redis

from relo_dsl.setkeys import Command
from relo_server.sets.errors import SetsError

#: How often somebody else may come first without having moved what we build upon.
_TRIES = 100
#: How often the connection may break.
_BREAKS = 3
_PAUSE_SECONDS = 0.05


class Watching:
    """A connection that sees whether keys were touched."""

    def __init__(self, client: redis.Redis) -> None:
        self._pool: Any = client.connection_pool
        self._connection: Any = self._pool.get_connection()
        self._watches = False
        #: Whether EXEC was sent, so that it may have happened.
        self.sent = False

    def ask(self, *commands: Command) -> list[Any]:
        """The answers, in one round trip. Raises the first error of redis-py among them."""
        self._watches = True
        return self._answers(commands)

    def execute(self, commands: Sequence[Command]) -> bool:
        """Does all in one MULTI; False where a key that is watched was touched: then nothing."""
        self.sent = True
        done = self._answers([("MULTI",), *commands, ("EXEC",)])[-1]
        self._watches = False
        if done is None:
            return False
        for answer in done:
            if isinstance(answer, Exception):
                raise answer
        return True

    def _answers(self, commands: Sequence[Command]) -> list[Any]:
        answers: list[Any] = []
        try:
            self._connection.send_packed_command(self._connection.pack_commands(commands))
            for _ in commands:
                try:
                    answers.append(self._connection.read_response())
                except redis.ResponseError as error:
                    answers.append(error)
        except BaseException:
            # Whatever is still on its way must not be taken for the answer to something else.
            self._connection.disconnect()
            self._watches = False
            raise
        for answer in answers:
            if isinstance(answer, redis.ResponseError):
                raise answer
        return answers

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if self._watches:
                self._answers([("UNWATCH",)])
        except redis.RedisError:
            self._connection.disconnect()
        finally:
            self._pool.release(self._connection)


#: What to do, from the answers to what was asked for, and whether EXEC may have happened before.
Look = Callable[[Watching, list[Any], bool], "list[Command] | None"]


def transact(
    client: redis.Redis, watched: Sequence[str], asked: Sequence[Command], look: Look
) -> bool:
    """Does in one MULTI what `look` says; False where it says None: there is nothing to do.

    It is called again where a key moved, or the connection broke: then what it wanted may have
    happened, which it has to find out.
    """
    lost, breaks = False, 0
    for _ in range(_TRIES):
        with Watching(client) as watching:
            try:
                answers = watching.ask(("WATCH", *watched), *asked)
                commands = look(watching, answers[1:], lost)
                if commands is None:
                    return False
                if watching.execute(commands):
                    return True
            except (redis.ConnectionError, redis.TimeoutError):
                lost, breaks = lost or watching.sent, breaks + 1
                if breaks > _BREAKS:
                    raise
        if breaks:
            time.sleep(_PAUSE_SECONDS * breaks)
    raise SetsError("the set store failed: too many publish the same audience", "try again")
