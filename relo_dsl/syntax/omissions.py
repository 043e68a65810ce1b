"""What is easily left out, or stands outside its parentheses: told with the reason and a way out.

A slip of this kind is known by what alone would fit. Where it can be read as what it means it is,
so that nothing else is said of it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from relo_dsl.source import Span
from relo_dsl.syntax.nodes import Name
from relo_dsl.syntax.pieces import Piece

if TYPE_CHECKING:
    from relo_dsl.syntax.recovery import Recovery

_UNITS = ("days", "weeks", "months")
_NAME = r"(?:`(?:[^`\r\n]|``)+`|[a-z]\w*)"
#: `a | b | c`, to the end of the last name.
_ALTERNATIVES = re.compile(rf"(?:\s*\|\s*{_NAME})+")


def last(piece: Piece, recovery: Recovery) -> int | None:
    """`in K of M periods` without its `last`; None where that is not what is missing."""
    if piece.kind != "number" or recovery.accepted() != ["LAST"]:
        return None
    recovery.diagnostics.report(
        "syntax",
        piece.span,
        f"expected `last`, found {piece.shown}",
        help="periods are counted back from now: `in 2 of last 3 periods of 7d`",
        replacement=f"last {piece.text}",
    )
    recovery.feed("LAST", "last", piece.start, piece.start)
    return piece.start


def periods(piece: Piece, recovery: Recovery) -> int | None:
    """`in K of last M` without its `periods of`; None where that is not what is missing."""
    if recovery.accepted() != ["PERIODS"]:
        return None
    last = recovery.text[recovery.machine.begins[-1] : recovery.machine.ends[-1]]
    way_out = None
    missing = ["PERIODS"] if piece.text == "of" else ["PERIODS", "OF"]
    if piece.text == "of":
        way_out = "periods of"
    elif piece.kind == "number" or piece.text == "calendar":
        way_out = f"periods of {piece.text}"
    elif piece.text in _UNITS:
        way_out = f"periods of calendar {piece.text}"
        missing.append("CALENDAR")
    else:
        missing.append("QUANTITY")  # no length either
    recovery.diagnostics.report(
        "syntax",
        piece.span,
        f"expected `periods of` after `last {last}`, found {piece.shown}",
        help="the measure is taken in each of so many periods: `in 2 of last 3 periods of 7d`",
        replacement=way_out,
    )
    for kind in missing:
        recovery.feed(kind, "1d" if kind == "QUANTITY" else kind.lower(), piece.start, piece.start)
    return piece.start


def record(piece: Piece, recovery: Recovery) -> int | None:
    """A record of a test without its parentheses; None where that is not what is missing."""
    machine = recovery.machine
    if recovery.accepted() != ["LPAR"] or not isinstance(machine.values[-1], Name):
        return None
    start, end = machine.begins[-1], machine.ends[-1]
    name = recovery.text[start:end]
    recovery.diagnostics.report(
        "syntax",
        Span(start, end),
        f"expected `(` after `{name.strip('`')}`, found {piece.shown}",
        help="a record's values stand in parentheses, which stay where it has none: "
        "`purchase() 3d ago`",
        replacement=f"{name}()",
    )
    recovery.feed("LPAR", "(", end, end)
    recovery.feed("RPAR", ")", end, end)
    if not {"QUANTITY", "AT", "NOW"} & {recovery.next_kind(piece)}:
        recovery.silence(piece)  # its time is missing as well
    return piece.start


def way_out_of_bars(piece: Piece, recovery: Recovery) -> str | None:
    """What to write where `|` stands outside parentheses, or a window inside them."""
    accepted = set(recovery.accepted())
    begins, text = recovery.machine.begins, recovery.text
    if piece.text != "|":
        if accepted <= {"RPAR", "VBAR", "DOT"} and "VBAR" in accepted and piece.kind == "word":
            return "only names stand between the bars: a window or a test comes behind the `)`"
        return None
    rest = _ALTERNATIVES.match(text, piece.start)
    first = text[begins[-1] : piece.start].rstrip() if begins else ""
    if rest is None or not re.fullmatch(_NAME, first):
        return (
            "names of events in parentheses, `(purchase | refund)`, share a window and tests; "
            "conditions are joined by `or`"
        )
    return f"alternatives stand in parentheses: `({first} {' '.join(rest.group().split())})`"
