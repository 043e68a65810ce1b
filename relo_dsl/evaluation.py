"""Definitions over files, with no server and no setup: `relo eval` without its terminal.

The definitions of one file, and those they refer to in other files of its folder, are bound against
a catalog (given, or inferred from the data) and evaluated at each instant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from relo_dsl.catalog import Catalog, PropertyType
from relo_dsl.consent import ScopedPlan, scope
from relo_dsl.diagnostics import CODES, Diagnostic, did_you_mean, has_errors, in_order
from relo_dsl.errors import UserError
from relo_dsl.infer import (
    TRAITS,
    Inferred,
    Key,
    as_taken,
    conflicts_in,
    infer_catalog,
    retyped,
    taken_in,
    with_absent,
    without_conflicts,
)
from relo_dsl.inputs import checked, read_records
from relo_dsl.interpret import History, Lists, members
from relo_dsl.records import Record
from relo_dsl.source import SourceFile, Span
from relo_dsl.syntax import nodes, parse, read_source
from relo_dsl.times import format_instant
from relo_dsl.workspace import Workspace

#: The client of records that name none, until a definition lends them its own.
UNNAMED = -1

#: Gives the members of a plan over the records of its client at each of some instants.
Engine = Callable[[ScopedPlan, Sequence[Record], Sequence[int], Lists], Iterator[frozenset[str]]]


@dataclass(frozen=True, slots=True)
class Result:
    """The members (device ids, sorted) of one definition at one instant."""

    name: str
    at: int
    members: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        """One line of `relo eval --json`."""
        return {
            "name": self.name,
            "at": format_instant(self.at),
            "count": len(self.members),
            "members": list(self.members),
        }


@dataclass(frozen=True, slots=True)
class Request:
    """What to evaluate over what. `names` empty: every definition of the file, in its order.

    `catalog` None: it is inferred. `client` is the configured one, for definitions and records
    that name none.
    """

    source: SourceFile
    folder: Path
    events: Sequence[Path | str]
    names: Sequence[str] = ()
    lists: Mapping[str, frozenset[str]] = field(default_factory=dict)
    catalog: Catalog | None = None
    client: int | None = None
    timezone: str = "UTC"
    allow_unknown: bool = False


@dataclass(frozen=True, slots=True)
class Prepared:
    """Definitions ready to run, unless `diagnostics` holds errors."""

    names: tuple[str, ...]
    diagnostics: tuple[Diagnostic, ...]
    workspace: Workspace
    placed: Sequence[tuple[str, Record]]
    request: Request
    inferred: Inferred | None = None

    @property
    def usable_catalog(self) -> Catalog:
        """The catalog, without what has no one type in the data."""
        catalog = self.workspace.catalog
        if self.inferred is not None:
            catalog = without_conflicts(self.inferred)
        if not self.request.allow_unknown:
            return catalog
        return with_absent(catalog, (self.workspace.bound(n).condition for n in self.names))

    @property
    def has_errors(self) -> bool:
        return has_errors(self.diagnostics)

    def results(self, instants: Sequence[int], engine: Engine | None = None) -> Iterator[Result]:
        """The members of every definition at every instant, definition by definition.

        `engine` None is the naive evaluator. Raises UserError for a record that the catalog types
        otherwise.
        """
        answer = engine or interpreted
        records: dict[int, list[Record]] = {}
        for name in self.names:
            scoped = scope(self.workspace.plan(name))
            if scoped.client not in records:
                records[scoped.client] = self.records(scoped.client)
            answers = answer(scoped, records[scoped.client], instants, self.request.lists)
            for at, found in zip(instants, answers, strict=True):
                yield Result(name, at, tuple(sorted(found)))

    def records(self, client: int) -> list[Record]:
        """The records of a client, checked. Raises UserError for one that the catalog types
        otherwise.
        """
        own = _of_client(self.placed, client)
        if self.request.catalog is not None:
            return [checked(record, place, self.request.catalog) for place, record in own]
        return [as_taken(record, self.workspace.catalog) for _, record in own]


def interpreted(
    scoped: ScopedPlan, records: Sequence[Record], instants: Sequence[int], lists: Lists
) -> Iterator[frozenset[str]]:
    """The naive evaluator as an engine."""
    history = History.of(records, client=scoped.client, default_flags=scoped.plan.default_flags)
    for at in instants:
        yield members(scoped, history, at, lists)


def prepare(request: Request) -> Prepared:
    """Reads the data and binds the definitions.

    Raises UserError where the input cannot be used, a name is not in the file, or no client is
    known; mistakes in the definitions come back as diagnostics.
    """
    workspace, in_file = _workspace(request, request.catalog or Catalog(), request.client)
    broken = workspace.has_errors
    names = _chosen(in_file, request, broken)
    placed = list(read_records(request.events, UNNAMED, request.catalog))
    if workspace.client is None:
        workspace.client = _only_client(placed)
    clients = {_client_of(workspace, name) for name in names}
    inferred: Inferred | None = None
    if request.catalog is None:
        inferred = infer_catalog(
            pair for pair in placed if pair[1].client in clients or pair[1].client == UNNAMED
        )
        workspace, inferred = _inferred(request, inferred, workspace.client, names)
    found = _diagnostics(workspace, names, request.source)
    if inferred and not has_errors(found):
        found.extend(_conflicts(workspace, names, inferred))
    return Prepared(names, tuple(in_order(found)), workspace, placed, request, inferred)


def _workspace(
    request: Request, catalog: Catalog, client: int | None
) -> tuple[Workspace, list[str]]:
    """The definitions of the file and of those it refers to, and the names in the file itself."""
    workspace = Workspace(
        catalog=catalog,
        client=client,
        timezone=request.timezone,
        lists=frozenset(request.lists),
        allow_unknown=request.allow_unknown,
        retention=None,
    )
    in_file = [name for name in workspace.add(request.source) if not name.startswith("<")]
    add_referred(workspace, request.source, request.folder)
    return workspace, in_file


def _inferred(
    request: Request, inferred: Inferred, client: int | None, names: Iterable[str]
) -> tuple[Workspace, Inferred]:
    """The definitions bound against inferred types, times and points being what they take for
    such: what one clause takes for a time is a time in the others too.
    """
    while True:
        workspace, _ = _workspace(request, inferred.catalog, client)
        taken: dict[Key, PropertyType] = {}
        for name in names:
            taken |= taken_in(workspace.bound(name).condition, inferred.catalog)
        if not taken:
            return workspace, inferred
        inferred = retyped(inferred, taken)


def _chosen(in_file: list[str], request: Request, broken: bool) -> tuple[str, ...]:
    file = request.source.name
    for name in request.names:
        if name not in in_file and not broken:
            help_text, _ = did_you_mean(name, in_file, "definition")
            raise UserError(f"{file} defines no `{name}`", help_text)
    if not in_file and not broken:
        raise UserError(f"{file} holds no audience and no segment")
    return tuple(name for name in in_file if not request.names or name in request.names)


def _diagnostics(
    workspace: Workspace, names: Iterable[str], source: SourceFile
) -> list[Diagnostic]:
    names = tuple(names)
    # Of a file that is broken throughout there may be no definition to ask about.
    found = workspace.errors_of(names) if names else workspace.check()
    return [
        item
        for item in found
        # A file of the folder that was only looked into may well define a name of this one too.
        if item.source == source or item.code != "duplicate-definition"
    ]


# ---- clients -----------------------------------------------------------------------------------


def _client_of(workspace: Workspace, name: str) -> int:
    """The client that a definition names, else the workspace's; UserError where there is none."""
    for header in workspace.syntax(name).headers:
        if header.keyword == "client" and isinstance(header.value, nodes.Number):
            return int(header.value.value)
    if workspace.client is None:
        raise UserError(
            f"`{name}` names no client, none is configured, and the data do not tell",
            "add a line such as `client 3` to the definition, or give `--client 3`",
        )
    return workspace.client


def _only_client(placed: Iterable[tuple[str, Record]]) -> int | None:
    clients = {record.client for _, record in placed} - {UNNAMED}
    return clients.pop() if len(clients) == 1 else None


def _of_client(placed: Iterable[tuple[str, Record]], client: int) -> Iterator[tuple[str, Record]]:
    for place, record in placed:
        if record.client == client:
            yield place, record
        elif record.client == UNNAMED:
            yield place, replace(record, client=client)


# ---- references to other files -----------------------------------------------------------------


def add_referred(workspace: Workspace, source: SourceFile, folder: Path) -> None:
    """Adds the `.seg` files of the folder that define what the file refers to and lacks."""
    wanted = _references(source) - set(workspace.names)
    others: dict[str, SourceFile] = {}
    if wanted:
        own = Path(source.name).resolve()
        for path in sorted(folder.glob("*.seg")):
            if path.resolve() != own:
                other = _readable(path)
                for name in () if other is None else _defined(other):
                    others.setdefault(name, other)  # type: ignore[arg-type]
    added: list[SourceFile] = []
    while found := next((others[n] for n in sorted(wanted) if n in others), None):
        if found not in added:
            added.append(found)
            workspace.add(found)
        wanted = (wanted | _references(found)) - set(workspace.names)


def _readable(path: Path) -> SourceFile | None:
    try:
        return read_source(path)
    except UserError:
        return None


def _defined(source: SourceFile) -> list[str]:
    items = parse(source).file.items
    return [item.name.text for item in items if isinstance(item, nodes.Definition)]


def _references(source: SourceFile) -> set[str]:
    """The names behind `in segment` anywhere in a file."""
    found: set[str] = set()
    pending: list[Any] = [parse(source).file]
    while pending:
        node = pending.pop()
        if isinstance(node, nodes.InReference):
            if node.kind == "segment":
                found.add(node.name.text)
        elif isinstance(node, tuple):
            pending.extend(node)
        elif is_dataclass(node):
            pending.extend(getattr(node, item.name) for item in fields(node))
    return found


# ---- names without one type --------------------------------------------------------------------


def _conflicts(
    workspace: Workspace, names: Iterable[str], inferred: Inferred
) -> Iterator[Diagnostic]:
    """An error for each property that a definition uses and whose values have no one type."""
    for name in names:
        for key, text in conflicts_in(workspace.bound(name).condition, inferred):
            yield Diagnostic(
                "type-mismatch",
                CODES["type-mismatch"][0],
                f"{_shown(key)} has no one type in the data: {text}",
                _first_mention(workspace, name, key),
                workspace.source(name),
                help="correct the data, or say which type it has in a catalog (`--catalog`)",
            )


def _shown(key: Key) -> str:
    owner, name = key
    return f"the trait `{name}`" if owner == TRAITS else f"`{owner}.{name}`"


def _first_mention(workspace: Workspace, name: str, key: Key) -> Span:
    """Where the definition first writes the property's last name; else the definition's name."""
    definition = workspace.syntax(name)
    text = key[1].rpartition(".")[2]
    pending: list[Any] = [definition.condition, *definition.lets]
    mentions: list[Span] = []
    while pending:
        node = pending.pop()
        if isinstance(node, nodes.Name) and node.text in (text, key[1]):
            mentions.append(node.span)
        elif isinstance(node, tuple):
            pending.extend(node)
        elif is_dataclass(node):
            pending.extend(getattr(node, item.name) for item in fields(node))
    return min(mentions, default=definition.name.span)
