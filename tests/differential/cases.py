"""One test case: a file of definitions, records, lists and instants, all drawn by hypothesis."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from hypothesis import strategies as st

from relo_dsl.diagnostics import Diagnostic, Severity
from relo_dsl.plan import Plan
from relo_dsl.records import Record, RecordError, check_types, decode_line, parse_record
from relo_dsl.source import SourceFile
from relo_dsl.workspace import Workspace
from tests.differential.definitions import Writer
from tests.differential.histories import INSTANTS, Historian
from tests.differential.pen import Pen, Tape
from tests.differential.vocabulary import Number, Vocabulary
from tests.differential.world import CATALOGS, DEVICES, LISTS, dotted

#: What one device's records are made of.
_DATA = st.binary(min_size=256, max_size=256)


@dataclass(frozen=True)
class Case:
    """`lines` are JSON records in order of arrival (`cid` 0: the case's client, 1: another one);
    those from `second_load` on come in a load of their own. `rules` names a catalog of `world`.
    """

    text: str
    rules: str
    lines: tuple[str, ...]
    second_load: int
    lists: tuple[tuple[str, frozenset[str]], ...]
    instants: tuple[int, ...]

    def workspace(self, client: int) -> Workspace:
        workspace = Workspace(
            catalog=CATALOGS[self.rules], client=client, lists=frozenset(LISTS), retention=None
        )
        workspace.add(SourceFile("case.seg", self.text))
        return workspace

    def plan(self, client: int) -> Plan:
        return self.workspace(client).plan("main")

    def records(self, client: int) -> list[Record]:
        """The records that pass the catalog's types; `client` and the next one are theirs."""
        found = []
        for line in self.lines:
            raw = decode_line(line)
            raw["cid"] += client
            try:
                found.append(check_types(parse_record(raw), CATALOGS[self.rules]))
            except RecordError:
                continue
        return found

    @cached_property
    def listed(self) -> Mapping[str, frozenset[str]]:
        return dict(self.lists)


class Rejected(Exception):
    """A definition that was drawn has errors; they are in `found`."""

    def __init__(self, text: str, found: list[Diagnostic]) -> None:
        super().__init__("\n".join([text, *(f"{d.code}: {d.message}" for d in found)]))
        self.found = found


def draw_case(draw: Callable[[st.SearchStrategy[Any]], Any]) -> Case:
    """Raises Rejected where the definition drawn has errors (a contradiction, say)."""
    pen = Pen(draw)
    rules = pen.pick(("opt-out", "opt-out", "kept 2 to 5 months", *CATALOGS))
    text = Writer(pen).file()
    bare = Case(text, rules, (), 0, (), ())
    workspace = bare.workspace(0)
    errors = [d for d in workspace.check() if d.severity is Severity.ERROR]
    if errors:
        raise Rejected(text, errors)
    plan = workspace.plan("main")
    words = Vocabulary.of(plan)
    instants = [pen.pick(INSTANTS)]
    raw: list[dict[str, Any]] = []
    for device in DEVICES[: pen.pick((4, 20, 20, 20))]:
        tape = Tape(draw(_DATA))
        historian = Historian(tape, plan, words)
        raw += historian.device(device, historian.edges(instants[0]))
    times = [record["ts"] for record in raw]
    for _ in range(pen.pick((0, 0, 1, 2))):
        instants.append(pen.pick([instants[0], *times]) + pen.pick((0, 1, -1)))
    lists = tuple(
        (name, frozenset(pen.some((*DEVICES, "nobody"), 0, 5)))
        for name in LISTS
        if f"list {dotted(name)}" in text
    )
    second = pen.between(0, len(raw)) if pen.chance(30) else len(raw)
    return Case(
        text, rules, tuple(map(to_line, raw)), second, lists, tuple(dict.fromkeys(instants))
    )


cases = st.composite(draw_case)


def to_line(record: Mapping[str, Any]) -> str:
    """A record as a JSON line, its numbers as they were drawn."""
    return _json(record)


def _json(value: Any) -> str:
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{json.dumps(k)}:{_json(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_json, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
