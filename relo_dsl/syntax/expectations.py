"""Says in words which tokens would have fitted."""

from __future__ import annotations

from collections.abc import Sequence

from relo_dsl.syntax.tables import Tables

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
    *("REQUIRE", "TTL", "MINIMUM", "TAGS", "LET"),
}
_MOST = 5
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
    found: list[str] = []
    for closing, name in ((")", "RPAR"), ("]", "RSQB"), ("}", "RBRACE")):
        if name in left:
            found.append(f"`{closing}`")
            left.discard(name)
    if {"NAME", "LPAR", "NOT"} <= left:
        found.append("a condition")
        left -= _OPERAND | _WINDOW
    elif {"NAME", "LPAR", "NUMBER"} <= left:
        found.append("a value")
        left -= _OPERAND
    elif {"NUMBER", "STRING", "TRUE"} <= left:
        found.append("a value")
        left -= _OPERAND | {"NULL", "LSQB", "LBRACE"}
    if "AND" in left:
        found += ["`and`", "`or`"]
        if left >= _WINDOW:
            found.append("a window")
        if "EQ" in left:
            found.append("a comparison")
        left -= {"AND", "OR", "THEN", "DOT", "LSQB", "LPAR"} | _COMPARING | _WINDOW
    elif left & _COMPARING and "EQ" in left:
        found.append("a comparison")
        left -= _COMPARING
    if left >= _HEADER:
        found.append("a header statement")
        left -= _HEADER
    elif left >= _HEADER - {"LET"}:
        found.append("a header statement")
        left -= _HEADER
    if left >= _WINDOW:
        found.append("a window")
        left -= _WINDOW
    if "NAME" in left:
        left.discard("QUOTED")
    found += [_word(kind, tables) for kind in accepted if kind in left]
    found = list(dict.fromkeys(found))[:_MOST]
    if not found:
        return "something else"
    if len(found) == 1:
        return found[0]
    return ", ".join(found[:-1]) + " or " + found[-1]


def _word(kind: str, tables: Tables) -> str:
    if kind in _WORDS:
        return _WORDS[kind]
    for text, name in (*tables.words.items(), *tables.signs.items()):
        if name == kind:
            return f"`{text}`"
    return kind
