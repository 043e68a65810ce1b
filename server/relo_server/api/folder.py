"""A folder of definitions, as git has it, taken over as one change: planned first, then whole."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import delete, select

from relo_dsl.diagnostics import Severity
from relo_dsl.engine import Engine
from relo_dsl.engine.migrate import apply_catalog
from relo_dsl.source import SourceFile
from relo_dsl.workspace import Workspace
from relo_server.api.callers import Caller
from relo_server.api.definitions import Definitions, Kept
from relo_server.api.problems import Problem
from relo_server.api.shelf import write
from relo_server.estimate import exact
from relo_server.platform.models import Audience
from relo_server.security.clients import ensure_client

#: Who owns what a folder brought.
GIT = "git"
What = Literal["new", "changed", "removed"]


@dataclass(frozen=True, slots=True)
class Change:
    """One definition; sizes in devices, None for a segment, or where there is no such side."""

    name: str
    kind: str
    what: What
    file: str
    before: int | None = None
    after: int | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name, "kind": self.kind, "change": self.what, "file": self.file,
            "size_before": self.before, "size_after": self.after,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Plan:
    """What taking a folder over would do. `state` stands for what it was made from."""

    changes: tuple[Change, ...]
    unchanged: int
    state: str
    names: Mapping[str, SourceFile]

    def to_json(self) -> dict[str, Any]:
        return {
            "changes": [one.to_json() for one in self.changes],
            "unchanged": self.unchanged,
            "state": self.state,
        }


def plan(
    caller: Caller, known: Definitions, engine: Engine, files: Mapping[str, str], *, sizes: bool
) -> Plan:
    """Compares a folder (texts by file name) with what an earlier one brought.

    Raises Problem where a definition has errors, is of another client, or has the name of one that
    the folder does not own.
    """
    kept = known.of(engine, caller.client)
    own = {name: row for name, row in kept.rows.items() if row.owner == GIT}
    after = _workspace(kept, own, files)
    names = {name: after.source(name) for name in after.names if after.source(name).name in files}
    _require_sound(caller, kept, own, after, names)
    changes: list[Change] = []
    for name, source in sorted(names.items()):
        row = own.get(name)
        if row is not None and _same(kept.workspace, after, name):
            continue
        what: What = "new" if row is None else "changed"
        changes.append(Change(name, after.syntax(name).kind, what, source.name))
    for name, row in sorted(own.items()):
        if name not in names:
            kind = kept.workspace.syntax(name).kind
            changes.append(Change(name, kind, "removed", row.file or ""))
    if sizes:
        apply_catalog(engine, after.catalog)
        now = caller.house.clock()
        changes = [_sized(one, kept.workspace, after, engine, now) for one in changes]
    untouched = len(names) - sum(one.what != "removed" for one in changes)
    return Plan(tuple(changes), untouched, _state(own, files), names)


def apply(caller: Caller, found: Plan, files: Mapping[str, str], state: str | None) -> None:
    """Does all of a plan, or nothing. Raises Problem (409) if something has changed since."""
    if state is not None and state != found.state:
        raise Problem(
            409, "changed", "the definitions have changed since the plan was made",
            "ask for the plan again",
        )  # fmt: skip
    now = caller.house.clock()
    with caller.house.platform.tenant(caller.client) as session:
        ensure_client(session, now)
        rows = {row.name: row for row in session.scalars(select(Audience).with_for_update()).all()}
        own = {name: row for name, row in rows.items() if row.owner == GIT}
        if _state(own, files) != found.state:
            raise Problem(409, "changed", "somebody else is taking a folder over just now")
        _refuse_taken(found.names, {n: r.owner for n, r in rows.items() if r.owner != GIT})
        for name, source in found.names.items():
            row = rows.get(name)
            if row is None or (row.text, row.file) != (source.text, source.name):
                wanted = Audience(name=name, owner=GIT, file=source.name, text=source.text)
                write(session, caller, row, wanted, now)
        gone = [one.name for one in found.changes if one.what == "removed"]
        session.execute(delete(Audience).where(Audience.name.in_(gone)))


def _workspace(kept: Kept, own: Mapping[str, Audience], files: Mapping[str, str]) -> Workspace:
    """The client's definitions as they would be with these files."""
    before = kept.workspace
    workspace = Workspace(before.catalog, before.client, before.timezone)
    workspace.lists = before.lists
    for file, text in sorted(files.items()):
        workspace.add(SourceFile(file, text))
    others = [name for name in before.names if name not in own]
    for source in dict.fromkeys(before.source(name) for name in others):
        workspace.add(source)
    return workspace


def _require_sound(
    caller: Caller, kept: Kept, own: Mapping[str, Audience], after: Workspace,
    names: Mapping[str, SourceFile],
) -> None:  # fmt: skip
    taken = {
        name: kept.workspace.source(name).name for name in kept.workspace.names if name not in own
    }
    _refuse_taken(names, taken)
    found = [item for item in after.check() if item.severity is Severity.ERROR]
    if found:
        raise Problem.of_definition(found)
    for name in names:
        caller.require_client(after.bound(name).client)


def _refuse_taken(names: Mapping[str, SourceFile], taken: Mapping[str, str]) -> None:
    both = sorted(set(names) & set(taken))
    if both:
        there = ", ".join(f"`{name}` ({taken[name]})" for name in both)
        raise Problem(
            409, "taken", f"these names are there already, and are not the folder's: {there}",
            "rename them in the folder, or take them away on the server",
        )  # fmt: skip


def _same(before: Workspace, after: Workspace, name: str) -> bool:
    """Whether nothing about a definition has changed, its header and what it refers to included."""
    old, new = before.bound(name), after.bound(name)
    if old.header != new.header:
        return False
    return before.plan(name).fingerprint == after.plan(name).fingerprint


def _sized(one: Change, before: Workspace, after: Workspace, engine: Engine, now: int) -> Change:
    if one.kind != "audience":
        return one
    old = None if one.what == "new" else exact(before.plan(one.name), engine, now).size
    new = None if one.what == "removed" else exact(after.plan(one.name), engine, now).size
    return Change(one.name, one.kind, one.what, one.file, old, new)


def _state(own: Mapping[str, Audience], files: Mapping[str, str]) -> str:
    parts: Sequence[object] = (
        sorted((name, row.etag, row.file or "") for name, row in own.items()),
        sorted(files.items()),
    )
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]
