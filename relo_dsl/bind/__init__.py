"""Binding: names and types resolved against a catalog, repeats expanded, defaults filled in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from relo_dsl.bind.conditions import ConditionBinder
from relo_dsl.bind.headers import Header, HeaderBinder, Refresh
from relo_dsl.bind.lets import Lets
from relo_dsl.bind.ranking import RankingBinder
from relo_dsl.catalog import Catalog
from relo_dsl.diagnostics import Diagnostics
from relo_dsl.source import SourceFile, Span
from relo_dsl.syntax import nodes
from relo_dsl.terms import Always, Condition, Ranking, Shares

__all__ = ["BoundDefinition", "Clause", "Header", "Refresh", "Surroundings", "bind_definition"]


@dataclass(frozen=True, slots=True)
class Clause:
    """One operand of the outermost `and` of a definition, as bound and as written."""

    condition: Condition
    text: str
    span: Span


@dataclass(frozen=True, slots=True)
class BoundDefinition:
    """A definition whose every name is resolved.

    `condition` is all of it; `clauses` are the operands of its outermost `and` (one, where there
    is none), in the order of the text.
    """

    name: str
    kind: str
    header: Header
    condition: Condition
    clauses: tuple[Clause, ...]
    source: SourceFile = field(compare=False)
    span: Span = field(compare=False)
    parts: tuple[Clause, ...] = field(default=(), compare=False)
    """The operands of every `and` and `or` that it is made of, its `let`s' too, in the order of the
    text; where there is none, all of it."""
    keep: Ranking | None = None
    shares: Shares | None = None

    @property
    def client(self) -> int:
        return self.header.client

    def to_json(self) -> dict[str, object]:
        """For `relo compile --emit bound`."""
        from relo_dsl.plan import to_json

        return {
            "name": self.name,
            "kind": self.kind,
            "header": to_json(self.header),
            "clauses": [
                {"text": clause.text, "condition": to_json(clause.condition)}
                for clause in self.clauses
            ],
            "keep": to_json(self.keep),
            "shares": to_json(self.shares),
        }


@dataclass(frozen=True)
class Surroundings:
    """What a definition is bound against.

    `reference` gives the condition of another definition (None, reported, where there is none).
    `known_lists` None means that lists are not checked.
    """

    catalog: Catalog
    client: int | None = None
    timezone: str = "UTC"
    known_lists: frozenset[str] | None = None
    allow_unknown: bool = False
    reference: Callable[[nodes.Name, Diagnostics, int], Condition | None] = lambda *_: None


def bind_definition(
    definition: nodes.Definition,
    file: nodes.File,
    around: Surroundings,
    found: Diagnostics,
) -> BoundDefinition:
    """Binds one definition of a file; every mistake is added to `found`.

    The result of a definition with errors is whole but never runs.
    """
    header = HeaderBinder(around.catalog, found, around.client, around.timezone).bind(definition)
    lets = Lets.of(file, definition, found)
    binder = ConditionBinder(
        around.catalog,
        header.timezone,
        lets,
        found,
        lambda name: around.reference(name, found, header.client),
        around.known_lists,
        around.allow_unknown,
    )
    clauses = _clauses(definition.condition, binder, found)
    chains = list(binder.chains)  # without lets that nothing uses
    seen = [part for _, parts in chains for part in parts]
    after = RankingBinder(definition, binder, found)
    keep, shares = after.keep(), after.shares()
    lets.all_reached()
    binder.check_lets()
    condition = binder.joined(tuple(clause.condition for clause in clauses))
    binder.check_chains(chains, definition.condition, condition)
    return BoundDefinition(
        definition.name.text,
        definition.kind,
        header,
        condition,
        clauses,
        found.source,
        definition.name.span,
        _parts(seen, clauses, found.source),
        keep,
        shares,
    )


def _parts(
    seen: list[tuple[Span, Condition]], clauses: tuple[Clause, ...], source: SourceFile
) -> tuple[Clause, ...]:
    by_place = sorted(dict.fromkeys(seen), key=lambda part: part[0])
    return tuple(Clause(part, source.slice(span), span) for span, part in by_place) or clauses


def _clauses(
    expr: nodes.Expr | None, binder: ConditionBinder, found: Diagnostics
) -> tuple[Clause, ...]:
    if expr is None:
        return (Clause(Always(False), "", Span(0, 0)),)
    if isinstance(expr, nodes.Chain) and expr.op == "and":
        bound = binder.operands(expr)
    else:
        bound = [(expr, binder.condition(expr))]
    return tuple(
        Clause(condition, found.source.slice(operand.span), operand.span)
        for operand, condition in bound
    )
