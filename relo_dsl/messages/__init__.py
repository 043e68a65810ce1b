"""What relo says, in Spanish: found by the English text, so that nothing else has to know of it.

`es.txt` holds the texts with holes for what is filled in. What has no text there stays English: a
test walks all that can be said to people and finds what is missing.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import NamedTuple

_HOLE = re.compile(r"\{(\d*)\}")
#: Code stays as it is; between lists of names stand words.
_PIECES = re.compile(r"(`[^`]*`|\"[^\"]*\"|, | or | and )")
_JOINTS = {" or ": " o ", " and ": " y "}


def in_spanish(text: str) -> str | None:
    """The Spanish for an English text of relo's; None where there is none."""
    plain, holed = _texts()
    if text in plain:
        return plain[text]
    for template in holed:
        found = template.pattern.fullmatch(text)
        if found is not None:
            pairs = zip(found.groups(), template.quoted, strict=True)
            values = [value if quoted else _filled(value) for value, quoted in pairs]
            return _with(template.spanish, values)
    return None


def _filled(value: str) -> str:
    """What stands in a hole: a text of its own, or names and code with words in between."""
    whole = in_spanish(value) if " " in value and "`" not in value[:1] else _texts()[0].get(value)
    if whole is not None:
        return whole
    plain = _texts()[0]
    parts = _PIECES.split(value)
    return "".join(_JOINTS.get(part) or plain.get(part, part) for part in parts)


def _with(template: str, values: list[str]) -> str:
    waiting = iter(values)
    return _HOLE.sub(lambda hole: values[int(hole[1])] if hole[1] else next(waiting), template)


class _Holed(NamedTuple):
    """A text with holes; what stands in a quoted one is code, or somebody's own."""

    pattern: re.Pattern[str]
    quoted: list[bool]
    spanish: str


@cache
def _texts() -> tuple[dict[str, str], list[_Holed]]:
    """Texts without holes, and those with some: the most exact first."""
    plain: dict[str, str] = {}
    holed: list[tuple[int, _Holed]] = []
    for english, spanish in catalogue():
        literals = _HOLE.split(english)[::2]
        if len(literals) == 1:
            plain[english] = spanish
            continue
        pattern = "(.+?)".join(map(re.escape, literals))
        quoted = [part.endswith(("`", '"', "[", "(")) for part in literals[:-1]]
        found = _Holed(re.compile(pattern, re.DOTALL), quoted, spanish)
        holed.append((sum(map(len, literals)), found))
    holed.sort(key=lambda one: -one[0])
    return plain, [found for _, found in holed]


def catalogue() -> list[tuple[str, str]]:
    """Each English text and its Spanish one, as they stand in the file."""
    text = files("relo_dsl.messages").joinpath("es.txt").read_text(encoding="utf-8")
    blocks = (
        [line for line in block.split("\n") if not line.startswith("# ")]
        for block in text.strip().split("\n\n")
    )
    halves = ((lines[: len(lines) // 2], lines[len(lines) // 2 :]) for lines in blocks if lines)
    return [("\n".join(english), "\n".join(spanish)) for english, spanish in halves]
