"""The audiences of a project as the scheduler sees them, read again when a file changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from relo_dsl.diagnostics import has_errors
from relo_dsl.errors import UserError
from relo_dsl.freshness import freshness_of
from relo_dsl.workspace import Workspace
from relo_server.refresh.clock import Clock
from relo_server.refresh.due import Scheduled


def scheduled(workspace: Workspace, names: Iterable[str] | None = None) -> list[Scheduled]:
    """When audiences run: those called `names`, or all of a project; segments are left out."""
    chosen = workspace.names if names is None else list(names)
    return [
        _scheduled(workspace, name)
        for name in chosen
        if name in workspace and workspace.syntax(name).kind == "audience"
    ]


def _scheduled(workspace: Workspace, name: str) -> Scheduled:
    header = workspace.bound(name).header
    clock = Clock(header.refresh, header.timezone)
    if has_errors(workspace.errors_of([name])):
        # It has its times all the same: its attempts fail, and say why.
        return Scheduled(name, header.client, clock)
    plan = workspace.plan(name)
    timed = freshness_of(plan).kind != "event"
    held_out = plan.shares is not None and plan.shares.holdout is not None
    return Scheduled(name, header.client, clock, timed, plan.fingerprint, held_out)


class Definitions:
    """The project's workspace and schedule, as its files are at the moment.

    Where they cannot be read at all they stay as they were, and `trouble` is told so once.
    """

    def __init__(
        self,
        read: Callable[[], Workspace],
        files: Sequence[Path],
        *,
        names: Sequence[str] | None = None,
        trouble: Callable[[str], object] = lambda _: None,
    ) -> None:
        """Reads them. Raises UserError where they cannot be read now. `files` may be folders."""
        self._read = read
        self._files = files
        self._names = names
        self._trouble = trouble
        self._stamp = stamped(self._files)
        self.workspace = read()
        self._scheduled = scheduled(self.workspace, names)

    def audiences(self) -> Sequence[Scheduled]:
        """The schedule; the same object as long as no file has changed."""
        stamp = stamped(self._files)
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self.workspace = self._read()
            except UserError as error:
                self._trouble(f"the definitions stay as they were: {error.message}")
            else:
                self._scheduled = scheduled(self.workspace, self._names)
        return self._scheduled


def stamped(places: Iterable[Path]) -> tuple[tuple[str, int, int], ...]:
    """What changes when a file does: name, time and size of each, of folders every `.seg` file."""
    found = []
    for place in places:
        for file in sorted(place.rglob("*.seg")) if place.is_dir() else [place]:
            try:
                about = file.stat()
            except OSError:
                continue  # it goes away while we look: seen the next time
            found.append((str(file), about.st_mtime_ns, about.st_size))
    return tuple(found)
