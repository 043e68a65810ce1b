"""Finds nesting that later stages, which walk the tree by recursion, could not bear."""

from __future__ import annotations

import re

#: Strings, quoted names and comments are skipped; the groups are what deepens a tree, what starts
#: afresh beside it, an opening and a closing bracket.
_TOKENS = re.compile(
    r'"[^"\\\r\n]*(?:\\.[^"\\\r\n]*)*"|`(?:[^`\r\n]|``)+`|#[^\n]*|(?:\.\s*)\w+'
    r"|(\b(?:not|no|within|between(?:(?:\s|#[^\n]*\n)+\w+(?:\s|#[^\n]*\n)+and)?|before|since|from|on|in|for|anniversary|or(?:\s|#[^\n]*\n)+missing|today"
    r"|yesterday|this|last|has|exists|is|contains|matches|starts|ends)\b|[-+*/])"
    r"|(\b(?:and|or|then|let|match|audience|segment|test|given|expect)\b|,)"
    r"|([(\[{])|([)\]}])"
)


def deepest(text: str, limit: int) -> int | None:
    """Where the nesting first passes `limit`, or None.

    Brackets count while they are open; `not`, windows, other suffixes and arithmetic count until
    the next `and`, `or`, `then` or comma beside them. Never less than the tree's real depth.
    """
    if len(text.split()) + sum(map(text.count, '()[]{}+-*/"`,.:|=<>#')) <= limit:
        return None  # fewer words and signs than levels
    levels: list[int] = []
    depth = here = 0
    for match in _TOKENS.finditer(text):
        group = match.lastindex
        if group == 1:
            here += 1
            depth += 1
        elif group == 2:
            depth -= here
            here = 0
        elif group == 3:
            levels.append(here)
            here = 0
            depth += 1
        elif group == 4 and levels:
            depth -= here + 1
            here = levels.pop()
        if depth > limit:
            return match.start()
    return None
