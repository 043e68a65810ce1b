"""The texts that a source file says to people, found in its syntax tree."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import product
from pathlib import Path

#: Which arguments of a call are said: positions, and names.
_SAYING: dict[str, tuple[slice, tuple[str, ...]]] = {
    "": (slice(0), ()),
    "report": (slice(2, 3), ("help",)),
    "Diagnostic": (slice(3, 4), ("message", "help")),
    "RecordError": (slice(0, 1), ()),
    "Problem": (slice(2, 4), ("detail", "hint")),
    **dict.fromkeys(
        ("UserError", "SetsError", "StoreError", "EngineError"), (slice(0, 2), ("message", "hint"))
    ),
}


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Line and text of what the file says, `{}` for what is filled in.

    A text that is put together elsewhere is not found here: those the running tests show.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        place, names = _SAYING.get(_name(call.func), _SAYING[""])
        said = call.args[place] + [word.value for word in call.keywords if word.arg in names]
        for value in said:
            yield from ((value.lineno, text) for text in _forms(value))


def _name(called: ast.expr) -> str:
    return getattr(called, "attr", getattr(called, "id", ""))


def _forms(value: ast.expr) -> list[str]:
    """The texts that a value may be; none where the tree does not tell."""
    if isinstance(value, ast.Constant):
        return [value.value] if isinstance(value.value, str) and value.value else []
    if isinstance(value, ast.IfExp):
        return _forms(value.body) + _forms(value.orelse)
    if isinstance(value, ast.JoinedStr):
        parts = [
            _forms(part) if isinstance(part, ast.Constant) else ["{}"] for part in value.values
        ]
        return ["".join(one) for one in product(*parts)]
    return []
