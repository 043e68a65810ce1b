"""`let` names: bound once where they are first used, never captured, never in a circle."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

from relo_dsl.diagnostics import Diagnostics
from relo_dsl.syntax import nodes
from relo_dsl.terms import Condition, Quantity, Selection

#: What a let turned out to be: events, a number or measure, or a condition with its own windows.
Bound: TypeAlias = "Selection | Quantity | Condition"


@dataclass
class Lets:
    """The lets that a definition sees; its own go before the ones of its file."""

    found: Diagnostics
    _nodes: dict[str, nodes.Let] = field(default_factory=dict)
    _bound: dict[str, Bound | None] = field(default_factory=dict)
    _open: list[str] = field(default_factory=list)
    _reached: tuple[str, ...] | None = None

    @classmethod
    def of(cls, file: nodes.File, definition: nodes.Definition, found: Diagnostics) -> Lets:
        """Its own lets, then those of the file, then those that other definitions of it made."""
        own = list(definition.lets)
        shared = [item for item in file.items if isinstance(item, nodes.Let)]
        others = [
            let
            for item in file.items
            if isinstance(item, nodes.Definition) and item is not definition
            for let in item.lets
        ]
        lets = cls(found)
        for group in (own, shared):
            _report_twice(group, found)
        for let in (*own, *shared, *others):
            lets._nodes.setdefault(let.name.text, let)
        return lets

    def __contains__(self, name: str) -> bool:
        return name in self._nodes

    def names(self) -> list[str]:
        return list(self._nodes)

    @property
    def reached(self) -> tuple[str, ...]:
        """The ones that the definition uses, by others or itself, as far as it is bound."""
        return tuple(self._bound) if self._reached is None else self._reached

    def all_reached(self) -> None:
        """Says that the definition is bound: what is bound from now on it does not use."""
        self._reached = tuple(self._bound)

    def node(self, name: str) -> nodes.Let:
        return self._nodes[name]

    def enter(self, name: str, use: nodes.Path) -> bool:
        """Starts binding a let; False, reported, where it refers to itself."""
        if name in self._open:
            circle = " -> ".join([*self._open[self._open.index(name) :], name])
            self.found.report("reference-cycle", use.span, f"`let`s in a circle: {circle}")
            return False
        self._open.append(name)
        return True

    def leave(self, name: str, value: Bound | None) -> None:
        """Ends binding a let and remembers what it is."""
        self._open.pop()
        self._bound[name] = value

    def known(self, name: str) -> bool:
        """Whether it was bound already."""
        return name in self._bound

    def value(self, name: str) -> Bound | None:
        return self._bound[name]


def _report_twice(lets: Iterable[nodes.Let], found: Diagnostics) -> None:
    seen: set[str] = set()
    for let in lets:
        if let.name.text in seen:
            found.report(
                "duplicate-definition", let.name.span, f"the name `{let.name.text}` stands twice"
            )
        seen.add(let.name.text)
