"""Says in words which tokens would have fitted."""

from __future__ import annotations

from collections.abc import Sequence

from relo_dsl.syntax.pieces import Piece
from relo_dsl.syntax.tables import HEADERS, JOINING, Tables

_WINDOW = {"WITHIN", "BETWEEN", "BEFORE", "SINCE", "FROM", "ON", "NAMED_PERIOD"}
_OPERAND = {
    *("NAME", "QUOTED", "NUMBER", "STRING", "TRUE", "FALSE", "LPAR", "ANY", "MINUS", "AFFINE"),
    *("IN", "NOT", "NO"),
}
_COMPARING = {
    *("EQ", "COMPARE", "TEXT_MATCH", "HAS", "EXISTS", "IS", "IN", "NOT", "FOR", "ANNIVERSARY"),
    *("PLUS", "MINUS", "TIMES", "DIVIDE", "OR_MISSING"),
}
_HEADER = {
    *("LABEL", "DESCRIPTION", "OWNER", "TIMEZONE", "CLIENT", "TYPE", "REFRESH", "EXPORT"),
    *("REQUIRE", "TTL", "MINIMUM", "TAGS"),
}
#: Terminals that together mean one thing: those that must be there, what they are called, and
#: what needs no mention beside it.
_GROUPS: tuple[tuple[set[str], list[str], set[str]], ...] = (
    ({"NAME", "LPAR", "NOT"}, ["a condition"], _OPERAND | _WINDOW),
    ({"NAME", "LPAR", "NUMBER"}, ["a value"], _OPERAND),
    ({"NUMBER", "STRING", "TRUE"}, ["a value"], _OPERAND | {"NULL", "LSQB", "LBRACE"}),
    (
        {"NUMBER", "PERIOD", "LPAR"},
        ["values in parentheses", "a range such as `2..5`", "a period such as `2026-Q1`"],
        {"NUMBER", "PERIOD", "LPAR", "MINUS", "ZONE"},
    ),
    ({"AND"}, ["`and`", "`or`"], {"AND", "OR", "THEN"}),
    (_WINDOW, ["a window"], _WINDOW),
    ({"EQ"}, ["a comparison"], _COMPARING),
    (_HEADER, ["a header statement"], _HEADER | {"LET"}),
    ({"COLON"}, [], {"DOT"}),
    ({"NAME"}, [], {"QUOTED"}),
)
_MOST = 5
_QUOTES = ("'", "‘", "’", "“", "”")
_WORDS = {
    "NAME": "a name",
    "QUOTED": "a name in backticks",
    "NUMBER": "a number",
    "STRING": "a string in double quotes",
    "QUANTITY": "a duration such as `30d`",
    "DATE": "a date such as `2026-01-15`",
    "PERIOD": "a period such as `2026-Q1`",
    "TIME": "a time such as `03:00`",
    "PERCENT": "a share such as `5%`",
    "CALENDAR_UNIT": "`days`, `weeks` or `months`",
    "EQ": "`=`",
    "COMPARE": "a comparison",
    "OR_MISSING": "`or missing`",
    "NAMED_PERIOD": "`today`",
    "TEXT_MATCH": "`contains`",
    "IGNORING_CASE": "`ignoring case`",
    "$END": "the end of the text",
}


def expected_words(accepted: Sequence[str], tables: Tables) -> str:
    """A list such as "`)`, `and` or `or`" of the terminals that would have fitted."""
    left = set(accepted)
    found = [_word(name, tables) for name in ("RPAR", "RSQB", "RBRACE") if name in left]
    left -= {"RPAR", "RSQB", "RBRACE"}
    for needed, words, covered in _GROUPS:
        if needed <= left:
            found += words
            left -= covered
    if "AND" in accepted:
        left &= {"COMMA"}
    found += [_word(kind, tables) for kind in accepted if kind in left]
    found = list(dict.fromkeys(found))[:_MOST]
    if len(found) < 2:
        return found[0] if found else "something else"
    return ", ".join(found[:-1]) + " or " + found[-1]


def advice(text: str, piece: Piece, accepted: Sequence[str]) -> str | None:
    """A way out for whoever wrote a piece where other things were expected."""
    if "%" in piece.text and piece.kind in ("number", "strange"):
        return "`%` stands only where a share is expected: `keep`, `sample` and `holdout`"
    if piece.text in _QUOTES:
        return "a string stands in double quotes"
    if piece.kind == "number" and "QUANTITY" in accepted:
        return "a number needs its unit: `ms`, `s`, `min`, `h`, `d` or `w`"
    if piece.kind == "date" and "DATE" not in accepted:
        return "a date stands in a window: `since`, `before`, `from … to …`, `on`"
    if piece.kind == "word" and set(HEADERS) <= {kind.lower() for kind in accepted}:
        return "the header statements are " + ", ".join(f"`{word}`" for word in HEADERS)
    if piece.text in JOINING and text[: piece.start].rstrip().endswith(("(", "[")):
        return "a name that is a word of the language stands in backticks"
    return None


def replacement(piece: Piece, accepted: Sequence[str]) -> str | None:
    """What could stand instead of a piece, where that is plain."""
    if piece.kind == "word" and set(accepted) == {"STRING"}:
        return f'"{piece.text}"'
    if piece.kind == "number" and set(accepted) == {"PERCENT"}:
        return f"{piece.text}%"
    return None


def _word(kind: str, tables: Tables) -> str:
    if kind in _WORDS:
        return _WORDS[kind]
    for text, name in (*tables.words.items(), *tables.signs.items()):
        if name == kind:
            return f"`{text}`"
    return kind
