"""Makes a failing case small, and writes it down so that anyone can run it.

Every step tries many slightly smaller cases in one load and goes on from the smallest that fails in
the same way, until none does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from relo_dsl.consent import scope
from relo_dsl.diagnostics import Severity
from relo_dsl.records import decode_line
from relo_dsl.source import SourceFile
from relo_dsl.sql.lower import members_query
from relo_dsl.syntax import format_file, nodes, parse
from relo_dsl.times import format_instant
from tests.differential.cases import Case, to_line
from tests.differential.runner import Mismatch
from tests.differential.vocabulary import Number
from tests.differential.world import CATALOG_TEXTS

_BATCH = 40
_CLIENT = 3

Compare = Callable[[Sequence[Case], Sequence[str]], Iterator[Mismatch]]


def minimise(found: Mismatch, compare: Compare, rounds: int = 60) -> Mismatch:
    """The smallest mismatch of the same kind that dropping things leads to."""
    best = replace_instants(found)
    for _ in range(rounds):
        smaller = _smaller(best, compare)
        if smaller is None:
            break
        best = smaller
    return best


def replace_instants(found: Mismatch) -> Mismatch:
    return Mismatch(replace(found.case, instants=(found.at,)), found.at, found.what,
                    found.expected, found.found)  # fmt: skip


def _smaller(best: Mismatch, compare: Compare) -> Mismatch | None:
    seen = {best.case}
    candidates = []
    for case in sorted(_reductions(best.case), key=_size):
        if case not in seen and _is_sound(case):
            seen.add(case)
            candidates.append(case)
    for start in range(0, len(candidates), _BATCH):
        batch = candidates[start : start + _BATCH]
        failing = [m for m in compare(batch, (best.what,)) if _alike(m, best)]
        if failing:
            return min(failing, key=lambda m: _size(m.case))
    return None


def _alike(one: Mismatch, other: Mismatch) -> bool:
    """Both wrong answers, or the same error."""
    errors = [str(m.found)[:40] if isinstance(m.found, str) else "" for m in (one, other)]
    return errors[0] == errors[1]


def _size(case: Case) -> tuple[int, int]:
    listed = sum(len(devices) for _, devices in case.lists)
    extras = (case.rules != "opt-out") + (case.second_load != len(case.lines)) + listed
    return len(case.text) + sum(map(len, case.lines)) + 10 * extras, len(case.text)


def _is_sound(case: Case) -> bool:
    workspace = case.workspace(_CLIENT)
    found = workspace.check()
    return "main" in workspace and not any(d.severity is Severity.ERROR for d in found)


# ---- smaller cases -----------------------------------------------------------------------------


def _reductions(case: Case) -> Iterator[Case]:
    if case.rules != "opt-out":
        yield replace(case, rules="opt-out")
    if case.second_load != len(case.lines):
        yield replace(case, second_load=len(case.lines))
    for lines in _fewer(case.lines):
        yield replace(case, lines=lines, second_load=min(case.second_load, len(lines)))
    for number, line in enumerate(case.lines):
        for smaller in _smaller_records(line):
            lines = (*case.lines[:number], smaller, *case.lines[number + 1 :])
            yield replace(case, lines=lines)
    for number, (name, devices) in enumerate(case.lists):
        for device in devices:
            rest = (name, devices - {device})
            yield replace(case, lists=(*case.lists[:number], rest, *case.lists[number + 1 :]))
    tree = parse(SourceFile("case.seg", case.text)).file
    for smaller_tree in _smaller_trees(tree):
        try:
            yield replace(case, text=format_file(smaller_tree))
        except (AssertionError, AttributeError, TypeError, ValueError, IndexError):
            continue  # no text has this tree


def _fewer(lines: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Without a half, a quarter … or a single line."""
    size = len(lines) // 2
    while size >= 1:
        for start in range(0, len(lines), size):
            yield lines[:start] + lines[start + size :]
        size //= 2


def _smaller_records(line: str) -> Iterator[str]:
    raw = _decoded(line)
    for key in ("props", "traits"):
        for name in raw.get(key, ()):
            yield to_line({**raw, key: {k: v for k, v in raw[key].items() if k != name}})
    if "flags" in raw:
        yield to_line({k: v for k, v in raw.items() if k != "flags"})


def _decoded(line: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(line, parse_int=_integer, parse_float=Number)
    return found


def _integer(text: str) -> int | Number:
    return int(text) if len(text) < 15 else Number(text)


def _smaller_trees(node: Any) -> Iterator[Any]:
    """The tree with one item of a tuple left out, or one part replaced by a part of it."""
    if isinstance(node, tuple):
        for index, item in enumerate(node):
            if len(node) > 1 or isinstance(item, nodes.Header | nodes.Let):
                yield node[:index] + node[index + 1 :]
            for smaller in _smaller_trees(item):
                yield (*node[:index], smaller, *node[index + 1 :])
        return
    if not is_dataclass(node) or isinstance(node, type):
        return
    if not isinstance(node, nodes.File | nodes.Definition | nodes.Header | nodes.Let):
        yield from _parts(node)
    for item in fields(node):
        if item.name == "span":
            continue
        for smaller in _smaller_trees(getattr(node, item.name)):
            yield replace(node, **{item.name: smaller})


def _parts(node: Any) -> Iterator[Any]:
    for item in fields(node):
        value = getattr(node, item.name)
        values = value if isinstance(value, tuple) else (value,)
        yield from (v for v in values if is_dataclass(v) and item.name != "span")


# ---- for people --------------------------------------------------------------------------------


def write(found: Mismatch, folder: Path) -> str:
    """Writes the case as files; the text says what is wrong and how to see it."""
    folder.mkdir(parents=True, exist_ok=True)
    case = found.case
    events = []
    for line in case.lines:
        raw = decode_line(line)
        events.append(line.replace(f'"cid":{raw["cid"]}', f'"cid":{raw["cid"] + _CLIENT}'))
    files = {
        "case.seg": case.text,
        "events.jsonl": "".join(f"{line}\n" for line in events),
        "catalog.yaml": CATALOG_TEXTS[case.rules],
    }
    command = [
        "relo eval case.seg --name main --client 3 --catalog catalog.yaml --events events.jsonl",
        f"--at {format_instant(found.at)}",
    ]
    for name, devices in case.lists:
        files[f"{name}.txt"] = "".join(f"{device}\n" for device in sorted(devices))
        command.append(f"--list '{name}={name}.txt'")
    for name, content in files.items():
        (folder / name).write_text(content, encoding="utf-8")
    second = f"the last {len(case.lines) - case.second_load} in a second load"
    parts = [
        f"{found.what} at {format_instant(found.at)}: expected {found.expected}, SQL {found.found}",
        files["case.seg"],
        files["events.jsonl"] + (second if case.second_load < len(case.lines) else ""),
        f"catalog: {case.rules}; lists: {dict(case.lists)}",
        f"cd {folder}\n" + " ".join(command),
        _sql(found),
    ]
    return "\n\n".join(parts)


def _sql(found: Mismatch) -> str:
    try:
        query = members_query(scope(found.case.plan(_CLIENT)), found.at)
    except Exception as error:
        return repr(error)
    return f"{query.text}\n{dict(query.params)}"
