"""Many files together: definitions by name, references between them, duplicates and cycles."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path

from relo_dsl.bind import BoundDefinition, Surroundings, bind_definition
from relo_dsl.catalog import Catalog, Retention
from relo_dsl.diagnostics import (
    Diagnostic,
    Diagnostics,
    did_you_mean,
    has_errors,
    in_order,
)
from relo_dsl.plan import Plan, normalise
from relo_dsl.review import Reviewed
from relo_dsl.review.lets import check_lets
from relo_dsl.review.overlaps import check_overlaps
from relo_dsl.review.refreshes import check_refresh
from relo_dsl.review.sizes import check_size
from relo_dsl.source import SourceFile
from relo_dsl.syntax import nodes, parse, read_source
from relo_dsl.terms import And, Condition
from relo_dsl.testing.cases import Case, CaseReader


@dataclass
class _Entry:
    """A definition and where it stands. `bound` is None until it is needed."""

    node: nodes.Definition
    file: nodes.File
    found: Diagnostics
    broken: bool = False
    """Whether its file could not be read in full."""
    bound: BoundDefinition | None = None
    tests: tuple[Case, ...] | None = None


@dataclass
class Workspace:
    """The definitions of some files, bound against one catalog.

    `retention` applies where the catalog sets none; None keeps everything visible. Everything is
    bound once, when it is first asked for.
    """

    catalog: Catalog
    client: int | None = None
    timezone: str = "UTC"
    lists: frozenset[str] | None = None
    allow_unknown: bool = False
    retention: Retention | None = field(default_factory=Retention)
    _entries: dict[str, _Entry] = field(default_factory=dict)
    _found: list[Diagnostics] = field(default_factory=list)
    _binding: list[str] = field(default_factory=list)
    _twice: dict[str, list[Diagnostic]] = field(default_factory=dict)

    def add(self, source: SourceFile) -> list[str]:
        """Parses a file and adds its definitions; the names of the ones it holds, in order."""
        parsed = parse(source)
        found = parsed.diagnostics
        broken = found.has_errors
        self._found.append(found)
        names = []
        for item in parsed.file.items:
            if not isinstance(item, nodes.Definition):
                continue
            name = item.name.text
            if not name:
                # Nameless: reported by the parser; bound all the same, for its other mistakes.
                name = f"<unnamed {len(self._entries)}>"
            elif name in self._entries:
                self._report_twice(item, self._entries[name], found)
                # Nobody can ask for it, but it can have other mistakes.
                again = f"<again {len(self._entries)}>"
                self._entries[again] = _Entry(item, parsed.file, found, broken)
                continue
            self._entries[name] = _Entry(item, parsed.file, found, broken)
            names.append(name)
        return names

    def add_paths(self, paths: Iterable[Path]) -> list[str]:
        """Adds files and, for folders, every `.seg` file below them, sorted. Raises UserError."""
        names = []
        for path in paths:
            files = sorted(path.rglob("*.seg")) if path.is_dir() else [path]
            for file in files:
                names.extend(self.add(read_source(file)))
        return names

    def add_referred(self, others: Workspace) -> None:
        """Adds the files of another workspace that define what is referred to and not here yet."""
        while found := (self.references() - set(self.names)) & set(others.names):
            for source in dict.fromkeys(others.source(name) for name in sorted(found)):
                self.add(source)

    @property
    def names(self) -> list[str]:
        """The names of all definitions, in the order they were added."""
        return [name for name in self._entries if not name.startswith("<")]

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def bound(self, name: str) -> BoundDefinition:
        """The bound definition of that name. Raises KeyError for an unknown one."""
        entry = self._entries[name]
        if entry.bound is None:
            self._binding.append(name)
            try:
                entry.bound = bind_definition(
                    entry.node, entry.file, self._surroundings, entry.found
                )
            finally:
                self._binding.pop()
        return entry.bound

    def syntax(self, name: str) -> nodes.Definition:
        """The syntax tree of that definition."""
        return self._entries[name].node

    def client_named(self, name: str) -> int | None:
        """The client that a definition is written for, by its header, else the workspace's.

        Without binding it; what stands there need not be a client.
        """
        for header in self.syntax(name).headers:
            if header.keyword == "client" and isinstance(header.value, nodes.Number):
                return int(header.value.value)
        return self.client

    def source(self, name: str) -> SourceFile:
        """The file that a definition stands in."""
        return self._entries[name].found.source

    def tests(self, name: str) -> tuple[Case, ...]:
        """The tests of a definition that can run; what is wrong with the others is reported."""
        entry = self._entries[name]
        if entry.tests is None:
            bound = self.bound(name)
            reader = CaseReader(
                self.catalog,
                bound.client,
                bound.header.timezone,
                self._test_lists(name) if entry.node.tests else frozenset(),
                entry.found,
                self.allow_unknown,
            )
            entry.tests = reader.read(entry.node)
        return entry.tests

    def _test_lists(self, name: str) -> frozenset[str]:
        """The lists that its tests can fill: all that are known, and those that it refers to."""
        used = [(e.node, _lets_of(e.file)) for e in self._closure([name]).values()]
        return (
            frozenset(self.catalog.lists)
            | (self.lists or set())
            | _references_in(tuple(used), "list")
        )

    def plan(self, name: str, *, clauses: int | None = None) -> Plan:
        """The plan of a definition without errors.

        Of its first `clauses` clauses, if given, and without its ranking, sample and holdout then.
        """
        bound = self.bound(name)
        condition = bound.condition
        if clauses is not None:
            parts = tuple(clause.condition for clause in bound.clauses[:clauses])
            condition = parts[0] if len(parts) == 1 else And(parts)
        retention = self.catalog.retention or self.retention
        return Plan(
            client=bound.client,
            condition=normalise(condition),
            mask=bound.header.mask,
            default_flags=self.catalog.flags_of(bound.client),
            retention_months=None if retention is None else retention.months,
            extended_months=None if retention is None else retention.extended_months,
            keep=None if clauses is not None or bound.keep is None else normalise(bound.keep),
            shares=None if clauses is not None else bound.shares,
        )

    def check(self) -> list[Diagnostic]:
        """Binds everything and gives every diagnostic of every file."""
        for name in list(self._entries):
            self.bound(name)
        self._review()
        for name in list(self._entries):
            self.tests(name)
        return in_order(item for found in self._found for item in found.items)

    def errors_of(self, names: Iterable[str]) -> list[Diagnostic]:
        """The diagnostics of these definitions and of all that they refer to.

        Of a file that could not be read in full they are all of its diagnostics, of another not
        those inside definitions that are neither named nor referred to.
        """
        concerned = self._closure(names)
        nodes_ = {id(entry.node) for entry in concerned.values()}
        files = {id(entry.found): entry for entry in concerned.values()}
        kept = [item for name in concerned for item in self._twice.get(name, ())]
        for entry in files.values():
            others = [
                item.span
                for item in entry.file.items
                if isinstance(item, nodes.Definition) and id(item) not in nodes_
            ]
            for item in entry.found.items:
                elsewhere = any(o.start <= item.span.start < o.end for o in others)
                if (entry.broken or not elsewhere) and item not in kept:
                    kept.append(item)
        return in_order(kept)

    def _closure(self, names: Iterable[str]) -> dict[str, _Entry]:
        """These definitions and all that they refer to, bound."""
        pending, seen = list(names), dict[str, _Entry]()
        while pending:
            name = pending.pop()
            if name in seen or name not in self._entries:
                continue
            self.bound(name)
            seen[name] = entry = self._entries[name]
            pending.extend(_references_in((entry.node, _lets_of(entry.file)), "segment"))
        return seen

    def references(self, kind: str = "segment") -> set[str]:
        """The names behind `in segment` (`list`: behind `in list`), in all files."""
        files = {id(entry.file): entry.file for entry in self._entries.values()}
        return {name for file in files.values() for name in _references_in(file, kind)}

    @property
    def has_errors(self) -> bool:
        return any(has_errors(found.items) for found in self._found)

    # ---- references ----------------------------------------------------------------------------

    @property
    def _surroundings(self) -> Surroundings:
        return Surroundings(
            self.catalog,
            self.client,
            self.timezone,
            self.lists,
            self.allow_unknown,
            self._reference,
        )

    def _reference(self, name: nodes.Name, found: Diagnostics, client: int) -> Condition | None:
        if name.text in self._binding:
            circle = [*self._binding[self._binding.index(name.text) :], name.text]
            found.report(
                "reference-cycle",
                name.span,
                "definitions refer to one another in a circle: " + " -> ".join(circle),
            )
            return None
        if name.text not in self._entries:
            others = [known for known in self.names if known not in self._binding]
            help_text, best = did_you_mean(name.text, others, "other definition")
            found.report(
                "unknown-segment",
                name.span,
                f"there is no segment or audience `{name.text}`",
                help=help_text,
                replacement=best,
            )
            return None
        other = self.bound(name.text)
        if other.client != client:
            found.report(
                "unknown-segment",
                name.span,
                f"`{name.text}` belongs to client {other.client}, and this to client {client}",
            )
            return None
        return other.condition

    # ---- several definitions -------------------------------------------------------------------

    def _report_twice(self, item: nodes.Definition, first: _Entry, found: Diagnostics) -> None:
        source = first.found.source
        place = source.position(first.node.name.span.start)
        found.report(
            "duplicate-definition",
            item.name.span,
            f"`{item.name.text}` is defined already, at {source.name}:{place.line}",
        )
        self._twice.setdefault(item.name.text, []).append(found.items[-1])

    def _review(self) -> None:
        """What only shows when a definition is whole, or beside the others."""
        files = {id(e.file): e for e in self._entries.values() if not e.broken}
        for entry in files.values():
            check_lets(entry.file, entry.found)
        audiences = []
        for name in self.names:
            entry = self._entries[name]
            if entry.node.kind != "audience" or entry.broken or has_errors(self.errors_of([name])):
                continue
            bound = self.bound(name)
            item = Reviewed(entry.node, bound, self.plan(name), self.catalog, entry.found)
            check_refresh(item)
            check_size(item)
            audiences.append(item)
        check_overlaps(audiences)


def _lets_of(file: nodes.File) -> tuple[object, ...]:
    return tuple(item for item in file.items if not isinstance(item, nodes.Definition))


def _references_in(node: object, kind: str) -> set[str]:
    """The names behind `in segment` or `in list` anywhere in a tree, or in a tuple of trees."""
    found: set[str] = set()
    pending: list[object] = [node]
    while pending:
        node = pending.pop()
        if isinstance(node, nodes.InReference):
            if node.kind == kind:
                found.add(node.name.text)
        elif isinstance(node, tuple):
            pending.extend(node)
        elif is_dataclass(node):
            pending.extend(getattr(node, item.name) for item in fields(node))
    return found
