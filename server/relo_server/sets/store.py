"""The set store: publishing audiences, changing and asking them, and who may do so.

A new version is filled in pieces under its own key, which nobody reads; then one MULTI moves the
pointer. Where few members differ, one MULTI changes the set itself. See `relo_dsl.setkeys`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

import redis
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from relo_dsl.setkeys import SetKeys, consent_key
from relo_dsl.settings import Settings
from relo_dsl.times import UNITS
from relo_server.sets import changes, leases, reading
from relo_server.sets.drafts import Draft
from relo_server.sets.errors import SetsError, translated
from relo_server.sets.leases import Lease
from relo_server.sets.lookups import Aside, Lookups
from relo_server.sets.moves import ANY, Conditions
from relo_server.sets.reading import Answers, Listing
from relo_server.sets.stamps import SetInfo, Stamp, new_version

if TYPE_CHECKING:
    from relo_server.sets.embedded import EmbeddedServer

_DEFAULT_TTL = 90 * UNITS["d"]
# RESP 2 without a greeting: HELLO and CLIENT SETINFO are not the same everywhere.
_CONNECTION: dict[str, Any] = {
    "protocol": 2,
    "driver_info": None,
    "socket_timeout": 60,
    # Everything that is sent may be sent again: counts are asked of the server, never added up.
    "retry": Retry(ExponentialBackoff(cap=1, base=0.05), 3),
}


@dataclass(frozen=True, slots=True)
class Published:
    """A version that has just been published."""

    name: str
    client: int
    version: str
    size: int
    seconds: float


class Sets:
    """The set store. Use as a context manager, or call `close`. Threads may share it.

    Every method raises SetsError where the server cannot be reached, and UserError for a name of
    an audience that cannot be a key. A name may end with `:holdout`.
    """

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
        with translated():
            client.ping()
        return cls(client)

    # ---- publishing ----------------------------------------------------------------------------

    def draft(self, client: int, name: str, version: str) -> Draft:
        """A version to be filled and published, under a key that nobody reads until then.

        `version` is a new one, from `new_version`. Raises SetsError if there is one of that id.
        """
        return Draft(self._redis, SetKeys(client, name), version)

    def change(
        self,
        client: int,
        name: str,
        stamp: Stamp,
        *,
        entered: Sequence[bytes],
        left: Sequence[bytes],
        base: str,
        epoch: int | None,
        lease: Lease | None = None,
    ) -> None:
        """Makes the version that `stamp` tells of from `base`, by who entered and who left.

        All in one MULTI; at most 10,000 members together. A second call does nothing. Raises
        Overtaken where `base` is not what is published, or its set was lost (`damaged`), the
        consent epoch is not `epoch`, or `lease` has ended: then nothing was changed. Raises
        ValueError for too many, or where `stamp.size` does not follow from the base's.
        """
        changes.change(
            self._redis, SetKeys(client, name), stamp, entered, left, Conditions(base, epoch, lease)
        )

    def drop(self, client: int, name: str, *, lease: Lease | None = None) -> bool:
        """Ends the publication; whether there was one. Raises Overtaken if the lease has ended."""
        return changes.drop(self._redis, SetKeys(client, name), lease)

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
        built = int(time.time() * 1000) if now is None else now
        started = time.perf_counter()
        before = self.info(client, name)
        version = new_version(built, None if before is None else before.version)
        with self.draft(client, name, version) as draft:
            draft.add(chunks)
            stamp = Stamp(version, draft.size(), at, built, built + ttl, fingerprint)
            draft.publish(stamp, base=ANY, epoch=None)
        return Published(name, client, version, stamp.size, time.perf_counter() - started)

    # ---- reading -------------------------------------------------------------------------------

    def info(self, client: int, name: str) -> SetInfo | None:
        """What is published under the name, or None."""
        return reading.find(self._redis, SetKeys(client, name))

    def published(self, client: int) -> list[SetInfo]:
        """Everything that is published for a client, by name."""
        start, end = SetKeys(client, "x").pointer.removesuffix("x"), ":info"
        with translated():
            found = {k.decode() for k in self._redis.scan_iter(match=f"{start}*{end}", count=1_000)}
        names = sorted(key.removeprefix(start).removesuffix(end) for key in found)
        infos = (self.info(client, name) for name in names)
        return [info for info in infos if info is not None]

    def ask(self, client: int, name: str, members: Sequence[bytes]) -> Answers | None:
        """Which of these device keys are members, and of what version; None: not published.

        Raises SetsError where the server lost the set: no device is told a false no.
        """
        return reading.ask(self._redis, SetKeys(client, name), members)

    def ask_several(
        self, client: int, names: Sequence[str], members: Sequence[bytes]
    ) -> list[Answers | None]:
        """The same of several audiences, in their order."""
        return reading.ask_several(self._redis, [SetKeys(client, n) for n in names], members)

    def contains(self, client: int, name: str, members: Sequence[bytes]) -> list[bool] | None:
        """For each device key whether it is a member: see `ask`."""
        answers = self.ask(client, name, members)
        return None if answers is None else answers.members

    def listing(self, client: int, name: str) -> Listing | None:
        """The version that is published, to be read member by member; None: not published."""
        return reading.listing(self._redis, SetKeys(client, name))

    def members(self, client: int, name: str) -> Iterator[bytes]:
        """The device keys of one version, each once, in no order.

        Raises SetsError if nothing is published, or at the end if the version was no longer the
        one that is published.
        """
        found = self.listing(client, name)
        if found is None:
            raise SetsError(
                f"nothing is published as `{name}`", f"`relo build {name}` publishes it"
            )
        yield from found.members()

    def found(self, client: int, name: str) -> Iterator[bytes]:
        """What the set under a name holds now, be it what was published or not: to be checked."""
        found = reading.as_found(self._redis, SetKeys(client, name))
        return iter(()) if found is None else found.found()

    # ---- consent, and who leads ----------------------------------------------------------------

    def epoch(self, client: int) -> int:
        """How often consent was withdrawn, or somebody erased: 0 where never."""
        with translated():
            return int(cast(bytes | None, self._redis.get(consent_key(client))) or 0)

    def raise_epoch(self, client: int) -> int:
        """The next epoch. Call it when the records are stored, and before you look at the sets.

        Every publication that looked at consent before fails from here on: `Overtaken("consent")`.
        """
        with translated():
            send: Any = self._redis.execute_command
            return int(send("INCR", consent_key(client)))

    def lease(self, client: int, purpose: str, holder: str, seconds: float) -> Lease | None:
        """The right to do something for a client, for some seconds; None where another has it.

        `holder` names this process, and no other one ever. Its token is greater than every before.
        """
        return leases.take(self._redis, client, purpose, holder, seconds)

    def lookups(self, aside: Aside) -> Lookups:
        """Look-ups of one device at a time, for the event loop that runs now."""
        return Lookups(self._redis, aside)

    @property
    def shared_url(self) -> str | None:
        """Where other processes find a server of our own, as long as it runs; None: it is not."""
        return None if self._server is None else f"unix://{self._server.socket}"

    @property
    def connections(self) -> redis.ConnectionPool:
        """For what else keeps something short-lived on the same server."""
        return self._redis.connection_pool

    def close(self) -> None:
        """Closes the connection, and stops the embedded server."""
        self._redis.close()
        if self._server is not None:
            self._server.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
