"""The tokens of a text, each with the rule that took it: what an editor asks about a word."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from relo_dsl.source import Span
from relo_dsl.syntax.machine import Machine, Program
from relo_dsl.syntax.tables import INSERTED


@dataclass(frozen=True, slots=True)
class Token:
    """A token. `kind` is its terminal in the grammar, `rule` the rule or alias that it belongs to;
    "" or "error" where the text around it could not be read.
    """

    kind: str
    text: str
    span: Span
    rule: str = ""


class Recorder(Machine):
    """A machine that remembers its tokens; a rule takes those that no rule inside it took."""

    def __init__(self, program: Program, builder: object, start: str) -> None:
        super().__init__(program, builder, start)
        self._taken: list[Token] = []
        self._waiting: list[Token] = []

    @property
    def tokens(self) -> tuple[Token, ...]:
        """What was read so far, in the order of the text."""
        return tuple(sorted((*self._taken, *self._waiting), key=lambda token: token.span))

    def feed(self, kind: str, text: str, start: int, end: int) -> bool:
        if not super().feed(kind, text, start, end):
            return False
        if end > start and kind not in INSERTED:
            self._waiting.append(Token(kind, text, Span(start, end)))
        return True

    def _reduce(
        self, size: int, call: Any, keep: tuple[int, ...], inline: bool, whole: bool
    ) -> None:
        if size and call:  # neither a rule that vanishes nor a list that is spread
            begin = self.begins[-size]
            while self._waiting and self._waiting[-1].span.start >= begin:
                self._taken.append(replace(self._waiting.pop(), rule=call.__name__))
        super()._reduce(size, call, keep, inline, whole)
