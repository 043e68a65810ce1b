"""Text as people see it: what stands at a place, whatever the parser expects there."""

from __future__ import annotations

import re
from dataclasses import dataclass

from relo_dsl.source import Span
from relo_dsl.syntax.machine import skip

_PIECE = re.compile(
    r'(?P<string>"[^"\\\r\n]*(?:\\.[^"\\\r\n]*)*")'
    r"|(?P<open_string>\"[^\r\n]*)"
    r"|(?P<quoted>`(?:[^`\r\n]|``)+`)"
    r"|(?P<open_quoted>`[^\r\n]*)"
    r"|(?P<date>\d{4}-\d{1,2}-\d{1,2}(?:T[\d:.]*(?:Z|[+-]\d{2}:?\d{2})?)?)"
    r"|(?P<period>\d{4}-(?:[Qq]\d|\d{2})(?!\w))"
    r"|(?P<number>\d[\d_]*(?:\.\d[\d_]*)?(?:%|:\d+|\w*))"
    r"|(?P<word>[^\W\d]\w*)"
    r"|(?P<single>['‘’“”][^\r\n'‘’“”]*['‘’“”])"
    r"|(?P<slip>==|&&|\|\||<>|=>|=<|!(?!=)|≠|≤|≥)"
    r"|(?P<sign>\.\.|!=|<=|>=|[=<>()\[\]{},:.|+*/-])"
    r"|(?P<strange>(?:[^\w\s\"`'‘’“”=<>()\[\]{},:.|+*/&!#-]|&(?!&))+|.)",
    re.DOTALL,
)
#: Slips of the pen: what is written -> the terminal that is meant, and how it is written.
SLIPS = {
    "==": ("EQ", "="),
    "&&": ("AND", "and"),
    "||": ("OR", "or"),
    "!": ("NOT", "not"),
    "<>": ("COMPARE", "!="),
    "≠": ("COMPARE", "!="),
    "≤": ("COMPARE", "<="),
    "=<": ("COMPARE", "<="),
    "≥": ("COMPARE", ">="),
    "=>": ("COMPARE", ">="),
}


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of text as people see it: a word, a number, a sign."""

    kind: str
    text: str
    start: int
    end: int

    @property
    def span(self) -> Span:
        return Span(self.start, self.end)

    @property
    def shown(self) -> str:
        if self.kind == "end":
            return "the end of the text"
        return shown(self.text)


def piece_at(text: str, offset: int) -> Piece:
    """The piece behind white space and comments at an offset."""
    found = _PIECE.match(text, skip(text, offset))
    if found is None:
        return Piece("end", "", len(text), len(text))
    return Piece(found.lastgroup or "strange", found.group(), found.start(), found.end())


def shown(text: str) -> str:
    """Text of the user as a message quotes it."""
    short = text if len(text) <= 40 else text[:37] + "…"
    return short if "`" in short else f"`{short}`"
