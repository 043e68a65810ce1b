"""The whole demo: load, build, and something to show of one audience."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from relo_dsl.cli.project import read_project
from relo_dsl.consent import scope
from relo_dsl.engine import Engine, device_key, installation_key
from relo_dsl.errors import UserError
from relo_dsl.settings import Settings
from relo_dsl.sql.lower import members_query
from relo_dsl.sql.query import SqlQuery
from relo_dsl.workspace import Workspace
from relo_server.demo.data import households
from relo_server.demo.store import Loaded, Progress, fill, prepare
from relo_server.refresh.audiences import audiences
from relo_server.refresh.results import RefreshResult
from relo_server.refresh.run import refresh
from relo_server.sets import Sets

#: The audience to show, where it is still among the definitions.
SHOWN = "winback_big_spenders"


@dataclass(frozen=True, slots=True)
class Example:
    """One audience from text to members: `members` are (household, key in hex).

    `other` is a household that is not a member.
    """

    name: str
    file: str
    text: str
    query: SqlQuery
    members: tuple[tuple[str, str], ...]
    other: str | None


@dataclass(frozen=True, slots=True)
class Demo:
    """What one run did. `aside` is where an earlier week's store went."""

    at: int
    loaded: Loaded
    aside: Path | None
    results: Sequence[RefreshResult]
    example: Example | None
    seconds: float

    @property
    def failed(self) -> bool:
        """Whether an audience could not be built."""
        return any(result.error is not None for result in self.results)


@dataclass(frozen=True, slots=True)
class Watch:
    """Who is told how far it is: records loaded, and each audience when it is built."""

    loading: Progress | None = None
    building: Callable[[str, int, int], object] | None = None


def run(settings: Settings, at: int, watch: Watch | None = None) -> Demo:
    """Loads what is missing, builds every audience of the project at `at`, and publishes it.

    `at` (epoch milliseconds) is the instant T and decides the week that the data end in. Raises
    UserError where the stores cannot be used or the project has no audience.
    """
    started = time.perf_counter()
    watch = watch or Watch()
    workspace = read_project(settings)
    names = audiences(workspace)
    if not names:
        raise UserError(f"there is no audience in {settings.segments}")
    aside = prepare(settings, at)
    with Engine.open(settings) as engine, Sets.open(settings) as sets:
        loaded = fill(engine, settings, at, watch.loading)
        results = _build(workspace, engine, sets, names, at, watch)
        example = _example(workspace, sets, settings, results, at)
    return Demo(at, loaded, aside, results, example, time.perf_counter() - started)


def _build(
    workspace: Workspace, engine: Engine, sets: Sets, names: list[str], at: int, watch: Watch
) -> list[RefreshResult]:
    count = 0

    def done(result: RefreshResult) -> None:
        nonlocal count
        count += 1
        if watch.building:
            watch.building(result.name, count, len(names))

    return refresh(workspace, engine, sets, names, at=at, by="relo demo", universes=True, done=done)


def _example(
    workspace: Workspace, sets: Sets, settings: Settings, results: Sequence[RefreshResult], at: int
) -> Example | None:
    """The shown audience, else the first that was published; None where none was."""
    published = [result for result in results if result.published]
    if not published:
        return None
    result = next((r for r in published if r.name == SHOWN), published[0])
    key = installation_key(settings)
    keys = [(household, device_key(key, result.client, household)) for household in households()]
    inside = set(sets.members(result.client, result.name))
    members = tuple((household, k.hex()) for household, k in keys if k in inside)
    source = workspace.source(result.name)
    return Example(
        name=result.name,
        file=source.name,
        text=source.text,
        query=members_query(scope(workspace.plan(result.name)), at),
        members=members[:3],
        other=next((household for household, k in keys if k not in inside), None),
    )
