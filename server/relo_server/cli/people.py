"""What the commands for tokens, people and the audit share: the store, and who runs them."""

from __future__ import annotations

import getpass
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from relo_dsl.engine.key import installation_key
from relo_dsl.errors import UserError
from relo_dsl.settings import Settings
from relo_dsl.times import format_instant
from relo_server.cli.stores import configured_client
from relo_server.platform import Platform
from relo_server.platform.audit import Audit, Entry
from relo_server.platform.store import TenantSession
from relo_server.security.keys import Purpose, derive


@dataclass(frozen=True, slots=True)
class Office:
    """The store, the installation's key, and one instant for all that a command does."""

    platform: Platform
    key: bytes
    client: int
    now: int

    @contextmanager
    def acting(self, action: str, object_: str) -> Iterator[tuple[TenantSession, list[str]]]:
        """A transaction of the client and, with it or not at all, a line in the audit.

        What the action is done to may only be known afterwards: whoever acts appends it to the
        list. What fails is undone, and noted as failed.
        """
        objects = [object_]
        try:
            with self.platform.tenant(self.client) as session:
                yield session, objects
                self._note(session, action, " ".join(objects), "done")
        except UserError:
            self.note(action, " ".join(objects), "failed")
            raise

    @contextmanager
    def noting(self, action: str, object_: str) -> Iterator[list[str]]:
        """A line in the audit about what is done outside of a transaction, whatever stops it. What
        it is done to may only be known afterwards: whoever acts says it in the list.
        """
        objects = [object_]
        try:
            yield objects
        except BaseException:
            self.note(action, " ".join(objects), "failed")
            raise
        self.note(action, " ".join(objects), "done")

    def note(self, action: str, object_: str, outcome: str) -> None:
        """A line in the audit, by itself."""
        with self.platform.tenant(self.client) as session:
            self._note(session, action, object_, outcome)

    def _note(self, session: TenantSession, action: str, object_: str, outcome: str) -> None:
        session.flush()
        audit = Audit(derive(self.key, Purpose.AUDIT))
        audit.append(session, Entry(operator(), action, object_, outcome), self.now)


@contextmanager
def office(settings: Settings) -> Iterator[Office]:
    """Opens what the commands need. Raises UserError where no client is known."""
    client = configured_client(settings)
    key = installation_key(settings)
    with Platform.open(settings) as platform:
        yield Office(platform, key, client, time.time_ns() // 1_000_000)


def operator() -> str:
    """Who runs the command, as the audit calls them."""
    try:
        return f"os:{getpass.getuser()}"
    except (OSError, KeyError, ImportError):
        return "os:unknown"


def day(instant: int | None, otherwise: str) -> str:
    """An instant to the minute, for tables."""
    return otherwise if instant is None else format_instant(instant)[:16].replace("T", " ")
