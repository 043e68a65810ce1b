"""`let`s that nothing uses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass

from relo_dsl.diagnostics import Diagnostics
from relo_dsl.syntax import nodes


def check_lets(file: nodes.File, found: Diagnostics) -> None:
    """Reports each `let` of a file that no definition of it uses, not even through another let.

    Any path that starts with its name counts as a use, so nothing that is used is ever reported.
    """
    definitions = [item for item in file.items if isinstance(item, nodes.Definition)]
    lets = [item for item in file.items if isinstance(item, nodes.Let)]
    lets += [let for definition in definitions for let in definition.lets]
    if not definitions or not lets:
        return
    pending: list[object] = [(item.condition, item.keep, item.tests) for item in definitions]
    used: set[str] = set()
    while pending:
        for name in _names(pending.pop()):
            if name not in used:
                used.add(name)
                pending += [let.value for let in lets if let.name.text == name]
    for let in lets:
        if let.name.text and let.name.text not in used:
            found.report(
                "unused-let", let.name.span, f"nothing uses `{let.name.text}`", help="remove it"
            )


def _names(node: object) -> Iterator[str]:
    """The first name of every path in a tree, or in a tuple of trees."""
    pending: list[object] = [node]
    while pending:
        node = pending.pop()
        if isinstance(node, nodes.Path):
            yield node.names[0].text
        elif isinstance(node, tuple):
            pending.extend(node)
        elif is_dataclass(node):
            pending.extend(getattr(node, item.name) for item in fields(node))
