"""The definitions of a client: those in the project's files, and those that the service keeps."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select

from relo_dsl.catalog import Catalog, load_catalog
from relo_dsl.cli.project import lists_in
from relo_dsl.diagnostics import did_you_mean, has_errors
from relo_dsl.engine import Engine
from relo_dsl.errors import UserError
from relo_dsl.source import SourceFile
from relo_dsl.syntax import read_source
from relo_dsl.workspace import Workspace
from relo_server.api.callers import Caller
from relo_server.api.house import House
from relo_server.api.problems import Problem
from relo_server.platform.models import Audience
from relo_server.refresh.schedule import stamped
from relo_server.security.revenue import Revenue

#: What a definition that is sent is called in its diagnostics.
DRAFT = "draft.seg"


@dataclass(frozen=True, slots=True)
class Kept:
    """A client's definitions and where each comes from: `rows` are those that the service keeps."""

    workspace: Workspace
    rows: dict[str, Audience]

    def require(self, name: str, kind: str = "audience") -> None:
        """Raises Problem (404) where no audience is called so."""
        if name in self.workspace and self.workspace.syntax(name).kind == kind:
            return
        there = [one for one in self.workspace.names if self.workspace.syntax(one).kind == kind]
        hint, _ = did_you_mean(name, there, kind)
        raise Problem(404, "unknown_audience", f"there is no {kind} `{name}`", hint or "")

    def has_errors(self, name: str) -> bool:
        """Whether a definition has mistakes."""
        return has_errors(self.workspace.errors_of([name]))

    def require_sight(self, caller: Caller, name: str) -> None:
        """Raises Problem (404) where there is no audience, (403) where the caller may not see it.

        `name` may be that of a holdout.
        """
        audience = name.partition(":")[0]
        self.require(audience)
        if not caller.sees_revenue:
            require_sound(self.workspace, [audience])
            require_sight(caller, self.workspace, [audience])

    def visible(self, caller: Caller) -> list[str]:
        """Names of audiences; what derives from revenue is not told to who may not see it."""
        workspace = self.workspace
        names = sorted(n for n in workspace.names if workspace.syntax(n).kind == "audience")
        if caller.sees_revenue:
            return names
        revenue = Revenue.of(workspace.catalog)
        sound = [name for name in names if not self.has_errors(name)]
        return [name for name in sound if not revenue.read_by(workspace.plan(name))]


class Definitions:
    """Reads and remembers them, until a file or a row has changed. Use it in a lane's thread."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._known: dict[tuple[int, int], tuple[object, Kept]] = {}

    def catalog(self) -> Catalog:
        """The project's catalog. Raises Problem (503) where it cannot be used."""
        try:
            return load_catalog(self._house.settings.catalog)
        except (UserError, OSError) as error:
            reason = error.message if isinstance(error, UserError) else error.strerror
            raise Problem(
                503, "catalog", f"the service's catalog cannot be used: {reason}",
                "whoever runs the service puts it right",
            ) from error  # fmt: skip

    def of(self, engine: Engine, client: int) -> Kept:
        """All definitions of a client, bound against the catalog as it is now."""
        rows = self.rows(client)
        lists = frozenset(lists_in(engine)(frozenset({client})))
        settings = self._house.settings
        stamp = (
            stamped([settings.catalog, settings.segments]),
            tuple((row.name, row.etag) for row in rows),
            lists,
        )
        # A workspace is for one thread: each lane has its own.
        key = threading.get_ident(), client
        known = self._known.get(key)
        if known is None or known[0] != stamp:
            known = self._known[key] = (stamp, self._read(client, rows, lists))
        return known[1]

    def draft(self, engine: Engine, client: int, text: str) -> tuple[Workspace, list[str]]:
        """A workspace with the definitions of a text, and what they refer to; and their names."""
        others = self.of(engine, client).workspace
        workspace = self._empty(others.catalog, client)
        workspace.lists = others.lists
        names = workspace.add(SourceFile(DRAFT, text))
        workspace.add_referred(others)
        return workspace, names

    def rows(self, client: int) -> Sequence[Audience]:
        """What the service keeps for a client, by name."""
        with self._house.platform.tenant(client, reading=True) as session:
            return session.scalars(select(Audience).order_by(Audience.name)).all()

    def _empty(self, catalog: Catalog, client: int | None) -> Workspace:
        return Workspace(catalog, client, self._house.settings.timezone)

    def _read(self, client: int, rows: Sequence[Audience], lists: frozenset[str]) -> Kept:
        settings = self._house.settings
        workspace = self._empty(self.catalog(), client)
        root = settings.root
        for file in sorted(settings.segments.rglob("*.seg")):
            source = read_source(file)
            name = str(file.relative_to(root)) if file.is_relative_to(root) else file.name
            # By itself: another client may have given the same name to something else.
            alone = self._empty(workspace.catalog, settings.client)
            if all(alone.client_named(one) == client for one in alone.add(source)):
                workspace.add(SourceFile(name, source.text))
        # A file of a folder that was taken over may define several.
        texts = dict.fromkeys((row.file or f"{row.name}.seg", row.text) for row in rows)
        for place, text in texts:
            workspace.add(SourceFile(place, text))
        workspace.lists = frozenset(workspace.catalog.lists) | lists
        return Kept(workspace, {row.name: row for row in rows})


def require_sound(workspace: Workspace, names: Sequence[str]) -> None:
    """Raises Problem (422) with every diagnostic where a definition has errors."""
    found = workspace.errors_of(names)
    if has_errors(found):
        raise Problem.of_definition(found)


def require_sight(caller: Caller, workspace: Workspace, names: Sequence[str]) -> None:
    """Raises Problem (403) where a definition derives from revenue and the caller sees none.

    And where it is of another client.
    """
    revenue = Revenue.of(workspace.catalog)
    for name in names:
        caller.require_client(workspace.bound(name).client)
        if caller.sees_revenue:
            continue
        if revenue.read_by(workspace.plan(name)):
            raise Problem(
                403, "revenue", f"`{name}` derives from revenue, which `{caller.role.value}` may "
                "not see",
            )  # fmt: skip
