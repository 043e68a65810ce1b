"""The parsing machine: runs Lark's tables over a text and hands what it reads to a builder."""

from __future__ import annotations

from typing import Any

from relo_dsl.source import Span
from relo_dsl.syntax.tables import SKIP_PATTERN, Lexer, Tables


class ReadError(Exception):
    """No token that the parser could take stands at `offset`, behind white space and comments."""

    def __init__(self, offset: int) -> None:
        super().__init__(offset)
        self.offset = offset


class Program:
    """The tables, bound to what makes values of rules and terminals.

    `values` is a class with one method for each rule and alias that has a value, and for each
    terminal, under its name, that is more than its text. A rule's method takes the rule's span and
    its children; a terminal's the text and the span.
    """

    def __init__(self, tables: Tables, values: type) -> None:
        self.tables = tables
        self.rules: list[tuple[Any, ...]] = []
        for rule in tables.rules:
            call: Any = getattr(values, rule.call) if rule.call else rule.call
            whole = len(rule.keep) == rule.size
            self.rules.append((rule.size, rule.origin, call, rule.keep, rule.inline, whole))
        self.terminals: dict[str, Any] = {
            terminal.name: getattr(values, terminal.name, None) for terminal in tables.terminals
        }


class Machine:
    """An LALR parser's stack, fed token by token."""

    def __init__(self, program: Program, builder: object, start: str) -> None:
        tables = program.tables
        self.program = program
        self.tables = tables
        self.builder = builder
        self.end_state = tables.ends[start]
        self.states = [tables.starts[start]]
        self.values: list[Any] = []
        self.begins: list[int] = []
        self.ends: list[int] = []

    def feed(self, kind: str, text: str, start: int, end: int) -> bool:
        """Takes a token; False where it does not fit. Reductions done before stay done.

        LALR tables never shift a wrong token, so a refused one leaves the text read so far intact.
        """
        actions, gotos, states = self.tables.actions, self.tables.gotos, self.states
        rules = self.program.rules
        while True:
            action = actions[states[-1]].get(kind)
            if action is None:
                return False
            if action >= 0:
                make = self.program.terminals.get(kind)
                states.append(action)
                self.values.append(
                    text if make is None else make(self.builder, text, Span(start, end))
                )
                self.begins.append(start)
                self.ends.append(end)
                return True
            size, origin, call, keep, inline, whole = rules[-1 - action]
            if call is None and size == 1:
                states[-1] = gotos[states[-2]][origin]
            else:
                self._reduce(size, call, keep, inline, whole)
                states.append(gotos[states[-1]][origin])
            if kind == "$END" and states[-1] == self.end_state:
                return True

    def _reduce(
        self, size: int, call: Any, keep: tuple[int, ...], inline: bool, whole: bool
    ) -> None:
        """Replaces the top `size` values by what the rule makes of them."""
        values, begins, ends = self.values, self.begins, self.ends
        if size == 1:
            children = values[-1:] if whole else []
            if inline:
                children = _spread(children)
            if call == "":
                values[-1] = _listed(children)
            else:
                values[-1] = call(self.builder, Span(begins[-1], ends[-1]), *children)
            del self.states[-1]
            return
        if not size:
            values.append(call(self.builder, Span(0, 0)))
            begins.append(0)
            ends.append(0)
            return
        children = values[-size:] if whole else [values[i - size] for i in keep]
        if inline:
            children = _spread(children)
        last = ends[-1]
        del values[-size:], begins[1 - size :], ends[-size:], self.states[-size:]
        if call is None:
            values.append(children[0])
        elif call == "":
            values.append(_listed(children))
        else:
            values.append(call(self.builder, Span(begins[-1], last), *children))
        ends.append(last)

    def run(self, text: str, pos: int) -> int:
        """Reads tokens from `pos` to the end of the text, or raises ReadError at the first misfit.

        Returns the length of the text. What was read before an error is kept on the stack.
        """
        lexer_of, states = self.tables.lexer, self.states
        signs, feed = self.tables.signs, self.feed
        while True:
            lexer = lexer_of(states[-1])
            match = lexer.match(text, pos)
            if match is None:
                raise ReadError(skip(text, pos))
            group = match.lastindex
            kind = lexer.kinds[group - 1]
            start, end = match.span(group)
            word = match.group(group)
            if kind == "NAME":
                kind = lexer.words.get(word, lexer.default)
            elif kind == "":
                kind = signs[word]
            if not kind or not feed(kind, word, start, end):
                raise ReadError(start)
            if kind == "$END":
                return int(end)
            pos = end


class _Listed(list[Any]):
    """The values of a rule that is spread into its parent."""


def _listed(children: list[Any]) -> _Listed:
    """A list to be spread; one that grew by one is not copied, so that reading stays linear."""
    return children if type(children) is _Listed else _Listed(children)


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


def peek(lexer: Lexer, signs: dict[str, str], text: str, pos: int) -> str:
    """The kind of the next token as a state's lexer reads it; "" where nothing fits."""
    match = lexer.match(text, pos)
    if match is None:
        return ""
    kind = lexer.kinds[match.lastindex - 1]
    if kind == "NAME":
        return lexer.words.get(match.group(match.lastindex), lexer.default)
    return kind or signs[match.group(match.lastindex)]


def skip(text: str, pos: int) -> int:
    """The offset behind white space and comments."""
    found = SKIP_PATTERN.match(text, pos)
    return found.end() if found else pos
