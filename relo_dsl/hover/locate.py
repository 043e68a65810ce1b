"""What stands under the cursor: the token, and the nodes of the tree around it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass

from relo_dsl.source import Span
from relo_dsl.syntax import nodes
from relo_dsl.syntax.tokens import Token


def token_at(tokens: Sequence[Token], offset: int) -> Token | None:
    """The token that contains an offset, or else the one that ends there."""
    ending = None
    for token in tokens:
        if token.span.start <= offset < token.span.end:
            return token
        if token.span.end == offset:
            ending = token
    return ending


def nodes_at(file: nodes.File, offset: int) -> list[object]:
    """The nodes that contain an offset, from the file to the smallest."""
    found: list[object] = [file]
    node: object | None = file
    while node is not None:
        node = next((child for child in _children(node) if _covers(child, offset)), None)
        if node is not None:
            found.append(node)
    return found


def _covers(node: object, offset: int) -> bool:
    span = getattr(node, "span", None)
    return isinstance(span, Span) and span.start <= offset < span.end


def _children(node: object) -> Iterator[object]:
    for item in fields(node) if is_dataclass(node) else ():
        if item.name != "comments":
            yield from _flat(getattr(node, item.name))


def _flat(value: object) -> Iterator[object]:
    if isinstance(value, tuple):
        for part in value:
            yield from _flat(part)
    elif is_dataclass(value) and not isinstance(value, Span):
        yield value
