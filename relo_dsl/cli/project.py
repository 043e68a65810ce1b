"""What commands need of a project: its catalog, its definitions, the lists they may name."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from relo_dsl.cli.output import fail

if TYPE_CHECKING:
    from relo_dsl.catalog import Catalog
    from relo_dsl.diagnostics import Diagnostic
    from relo_dsl.engine import Engine
    from relo_dsl.settings import Settings
    from relo_dsl.workspace import Workspace

#: Gives the names of the lists that some clients uploaded; called only where a definition uses one
#: that the catalog does not have, because it may have to open the engine.
ListNames = Callable[[frozenset[int]], Iterable[str]]

EXIT_DEFINITION = 1


def read_instant(
    _context: click.Context, _parameter: click.Parameter, text: str | None
) -> int | None:
    """Epoch milliseconds of `--at`: RFC 3339, a date, or epoch milliseconds themselves."""
    from relo_dsl.times import TimeError, format_instant, parse_instant

    if text is None:
        return None
    try:
        instant = int(text) if text.lstrip("-").isdecimal() else parse_instant(text)
        format_instant(instant)
    except (TimeError, ValueError) as error:
        raise click.BadParameter(str(error)) from error
    return instant


at_option = click.option(
    "--at",
    "at",
    metavar="INSTANT",
    callback=read_instant,
    help="The instant T; without an offset it is UTC.  [default: now]",
)
"""`--at`, as the argument `at`: epoch milliseconds, or None for now."""


def project_catalog(settings: Settings) -> Catalog:
    """The project's catalog. Raises UserError where there is none or it cannot be used."""
    from relo_dsl.catalog import load_catalog

    if not settings.catalog.exists():
        fail(
            f"there is no catalog {shown_path(settings.catalog)}",
            "`relo init` begins one; `catalog` in relo.toml or --catalog names another",
        )
    return load_catalog(settings.catalog)


def read_project(
    settings: Settings, paths: Sequence[Path] = (), uploaded: ListNames | None = None
) -> Workspace:
    """The definitions in `paths`, or in the project's folder where there are none.

    Files inside the project's folder come with all others in it; to files elsewhere only those are
    added that they refer to. Raises UserError for what cannot be read.
    """
    from relo_dsl.workspace import Workspace

    workspace = Workspace(project_catalog(settings), settings.client, settings.timezone)
    folder = settings.segments
    if all(inside(path, folder) for path in paths):
        if not folder.is_dir():
            fail(
                f"there is no folder {shown_path(folder)}",
                "`relo init` makes one; `segments` in relo.toml or --segments names another",
            )
        workspace.add_paths([Path(shown_path(folder))])
    else:
        workspace.add_paths([Path(shown_path(path)) for path in paths])
        add_referred(workspace, folder)
    workspace.lists = frozenset(known_lists(workspace, uploaded))
    return workspace


def add_referred(workspace: Workspace, folder: Path) -> None:
    """Adds the files of a folder that define what is referred to and not there yet."""
    from relo_dsl.workspace import Workspace

    missing = workspace.references() - set(workspace.names)
    if not missing or not folder.is_dir():
        return
    others = Workspace(workspace.catalog)
    others.add_paths([Path(shown_path(folder))])
    workspace.add_referred(others)


def known_lists(workspace: Workspace, uploaded: ListNames | None) -> set[str]:
    """The names of the lists that definitions may use."""
    lists = set(workspace.catalog.lists)
    if uploaded is not None and workspace.references("list") - lists:
        lists.update(uploaded(clients(workspace)))
    return lists


def clients(workspace: Workspace) -> frozenset[int]:
    """The configured client and those that definitions name."""
    found = {workspace.client, *map(workspace.client_named, workspace.names)}
    return frozenset(client for client in found if client is not None and 0 <= client < 2**32)


def uploaded_lists(settings: Settings) -> ListNames:
    """Asks the engine, which it opens, for the names of the lists that are uploaded."""

    def ask(of: frozenset[int]) -> Iterable[str]:
        if settings.events == "embedded" and not (settings.data / "clickhouse").exists():
            return []
        from relo_dsl.engine import Engine

        with Engine.open(settings) as engine:
            return lists_in(engine)(of)

    return ask


def lists_in(engine: Engine) -> ListNames:
    """Asks an engine that is open for the names of the lists that are uploaded."""

    def ask(of: frozenset[int]) -> list[str]:
        rows = engine.rows(
            "SELECT DISTINCT name FROM lists WHERE client_id IN {c:Array(UInt32)}",
            {"c": sorted(of)},
        )
        return [str(name) for (name,) in rows]

    return ask


def find(
    settings: Settings, what: str, uploaded: ListNames | None = None
) -> tuple[Workspace, list[str]]:
    """The definition called `what`, or all of the file `what`, with what they refer to.

    Raises UserError where there is no such definition or file, or the file holds none.
    """
    path = Path(what)
    if path.suffix != ".seg" and not path.is_file():
        workspace = read_project(settings, uploaded=uploaded)
        require_names(workspace, [what])
        return workspace, [what]
    workspace = read_project(settings, [path], uploaded)
    names = [name for name in workspace.names if same_file(workspace.source(name).name, path)]
    if not names and not workspace.has_errors:
        fail(f"{what} holds no audience and no segment")
    return workspace, names


def require_names(workspace: Workspace, names: Iterable[str]) -> None:
    """Raises UserError, with the nearest names, for one that no file defines."""
    from relo_dsl.diagnostics import did_you_mean

    for name in names:
        if name not in workspace:
            hint, _ = did_you_mean(name, workspace.names, "definition")
            fail(f"no definition is called `{name}`", hint)


def stop_on_errors(
    context: click.Context, found: Sequence[Diagnostic], *, as_json: bool, remarks: bool = True
) -> None:
    """Shows diagnostics on stderr (`--json`: on stdout) and exits with 1 if one is an error.

    Without `remarks` warnings and hints are shown only where there are errors.
    """
    from relo_dsl.cli.draw import draw
    from relo_dsl.diagnostics import has_errors, to_json

    failed = has_errors(found)
    if as_json and failed:
        click.echo(to_json(found))
    elif not as_json and found and (failed or remarks):
        click.echo(draw(found), err=True)
    if failed:
        context.exit(EXIT_DEFINITION)


def of_paths(found: Iterable[Diagnostic], paths: Sequence[Path]) -> Iterator[Diagnostic]:
    """The diagnostics of the files in `paths` (files and folders); of all where it is empty."""
    for item in found:
        if not paths or any(inside(Path(item.source.name), path) for path in paths):
            yield item


def inside(path: Path, folder: Path) -> bool:
    """Whether a path is a folder or lies in it, links and `..` resolved."""
    return path.resolve().is_relative_to(folder.resolve())


def same_file(left: str | Path, right: str | Path) -> bool:
    """Whether two paths name one file, links and `..` resolved."""
    return Path(left).resolve() == Path(right).resolve()


def shown_path(path: Path) -> str:
    """A path as people would type it: relative to the current folder where it lies below it."""
    here = Path.cwd()
    absolute = Path(os.path.normpath(path.absolute()))
    return str(absolute.relative_to(here)) if absolute.is_relative_to(here) else str(path)


__all__ = [
    "EXIT_DEFINITION",
    "add_referred",
    "at_option",
    "find",
    "known_lists",
    "of_paths",
    "project_catalog",
    "read_instant",
    "read_project",
    "require_names",
    "shown_path",
    "stop_on_errors",
    "uploaded_lists",
]
