"""The parsing machine: runs Lark's tables over a text and hands what it reads to a builder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from relo_dsl.source import Span
from relo_dsl.syntax.tables import Lexer, Tables


class Token(NamedTuple):
    """A terminal and where it stands."""

    kind: str
    start: int
    end: int


class ReadError(Exception):
    """No token that the parser could take stands at `offset`, behind white space and comments."""

    def __init__(self, offset: int) -> None:
        super().__init__(offset)
        self.offset = offset


class Values(Protocol):
    """What makes values of rules and terminals: one method for each that has a value.

    A rule's method takes its span and its children, a terminal's (under the terminal's name) the
    text and the span; terminals without a method stand as their text.
    """

    def __getattribute__(self, name: str, /) -> Any: ...


class Machine:
    """An LALR parser's stack, fed token by token."""

    def __init__(self, tables: Tables, values: Values, start: str) -> None:
        self.tables = tables
        self.end_state = tables.ends[start]
        self.states = [tables.starts[start]]
        self.values: list[Any] = []
        self.begins: list[int] = []
        self.ends: list[int] = []
        self._reduce: list[tuple[Any, ...]] = [
            (
                rule.size,
                rule.origin,
                None
                if rule.call is None
                else ""
                if rule.call == ""
                else getattr(values, rule.call),
                rule.keep,
                rule.inline,
                len(rule.keep) == rule.size,
            )
            for rule in tables.rules
        ]
        self._terminals: dict[str, Callable[[str, Span], Any]] = {
            terminal.name: getattr(values, terminal.name)
            for terminal in tables.terminals
            if hasattr(values, terminal.name)
        }

    def feed(self, kind: str, text: str, start: int, end: int) -> bool:
        """Takes a token; False where it does not fit. Reductions done before stay done.

        LALR tables never shift a wrong token, so a refused one leaves the text read so far intact.
        """
        actions, gotos, states = self.tables.actions, self.tables.gotos, self.states
        while True:
            action = actions[states[-1]].get(kind)
            if action is None:
                return False
            if action >= 0:
                make = self._terminals.get(kind)
                states.append(action)
                self.values.append(text if make is None else make(text, Span(start, end)))
                self.begins.append(start)
                self.ends.append(end)
                return True
            size, origin, call, keep, inline, whole = self._reduce[-1 - action]
            if call is None and size == 1:
                states[-1] = gotos[states[-2]][origin]
            else:
                self._reduce_to(size, call, keep, inline, whole)
                states.append(gotos[states[-1]][origin])
            if kind == "$END" and states[-1] == self.end_state:
                return True

    def _reduce_to(
        self, size: int, call: Any, keep: tuple[int, ...], inline: bool, whole: bool
    ) -> None:
        """Replaces the top `size` values by what the rule makes of them."""
        if not size:
            self.values.append(call(Span(0, 0)))
            self.begins.append(0)
            self.ends.append(0)
            return
        values, begins, ends = self.values, self.begins, self.ends
        children = values[-size:]
        if not whole:
            children = [children[i] for i in keep]
        if inline:
            children = _spread(children)
        last = ends[-1]
        del values[-size:], begins[1 - size or len(begins) :], ends[-size:], self.states[-size:]
        if call is None:
            values.append(children[0])
        elif call == "":
            values.append(_Listed(children))
        else:
            values.append(call(Span(begins[-1], last), *children))
        ends.append(last)

    def run(self, text: str, pos: int) -> int:
        """Reads tokens from `pos` to the end of the text, or raises ReadError at the first misfit.

        Returns the length of the text. What was read before an error is kept on the stack.
        """
        lexer_of, states = self.tables.lexer, self.states
        signs, feed = self.tables.signs, self.feed
        while True:
            lexer = lexer_of(states[-1])
            kind, start, end = read_token(lexer, signs, text, pos)
            if not kind or not feed(kind, text[start:end], start, end):
                raise ReadError(start)
            if kind == "$END":
                return end
            pos = end


class _Listed(list[Any]):
    """The values of a rule that is spread into its parent."""


def _spread(children: list[Any]) -> list[Any]:
    if type(children[0]) is _Listed and len(children) > 1:
        # A list that grows by one: `list: list item`.
        grown = children[0]
        for child in children[1:]:
            if type(child) is _Listed:
                grown.extend(child)
            else:
                grown.append(child)
        return grown
    flat: list[Any] = []
    for child in children:
        if type(child) is _Listed:
            flat.extend(child)
        else:
            flat.append(child)
    return flat


def read_token(lexer: Lexer, signs: dict[str, str], text: str, pos: int) -> Token:
    """The next token as a state's lexer reads it; its kind is "" where nothing fits."""
    match = lexer.match(text, pos)
    if match is None:
        return Token("", skip(text, pos), pos)
    group = match.lastindex
    kind = lexer.kinds[group - 1]
    start, end = match.span(group)
    if kind == "NAME":
        kind = lexer.words.get(match.group(group)) or ("NAME" if lexer.names else "")
    elif kind == "":
        kind = signs[match.group(group)]
    return Token(kind, start, end)


def skip(text: str, pos: int) -> int:
    """The offset behind white space and comments."""
    from relo_dsl.syntax.tables import SKIP_PATTERN

    found = SKIP_PATTERN.match(text, pos)
    return found.end() if found else pos
