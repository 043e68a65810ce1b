"""Strings of every kind go through text, plan, SQL and data as values, never as anything else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import re2

from relo_dsl.catalog import Catalog, EventSpec, ListSpec, PropertySpec, PropertyType
from relo_dsl.consent import scope
from relo_dsl.engine import ClientRules, Engine, device_key, load_list, load_records
from relo_dsl.interpret import History, members
from relo_dsl.records import parse_record
from relo_dsl.source import SourceFile
from relo_dsl.sql.lower import members_query
from relo_dsl.workspace import Workspace
from tests.differential.cases import Case
from tests.differential.definitions import quote
from tests.differential.runner import KEY, Tally, compare
from tests.engine.http_server import serve
from tests.guards.cases import NOW

LONG = 1_000_000
STRANGE = [
    "'",
    '"',
    "''' OR 1 = 1 --",
    "\\",
    "\\'",
    "\\\\'; DROP TABLE events; --",
    "\0",
    "a\0b",
    "\n",
    "\r\n\t\b\x7f\x1b[31m",
    "{x:String}",
    "{p1:String}",
    "{client:UInt32}",
    "%s %(p1)s $1 ?",
    "`",
    "NULL",
    "\\N",
    "😀",
    "e\u0301",
    "مرحبا\u200f",
    "\u202eright to left",
    "\ufeff",
    "\ufffd",
    "𝄞" * 300,
    "# comment",
    "'" * 1000,
    "%_",
    ".*",
    "İıſK",
]
LONGEST = ["x" * LONG, "\\'\n😀" * (LONG // 10)]


def _tests(text: str) -> Iterator[str]:
    value = quote(text)
    yield f"purchase.city = {value}"
    yield f"purchase.city != {value} or missing"
    yield f"purchase.tags has {value}"
    if len(text) < LONG // 4:
        yield f'purchase.city in ("one", {value})'
        yield f"purchase.city contains {value}"
        yield f"purchase.city starts with {value} ignoring case"
        yield f"purchase.city ends with {value}"
        yield f"purchase.city < {value}"
        yield f'purchase.tags has all ("one", {value})'
        yield f"purchase[any products[id = {value} and price > 1]]"
        yield f"user.city = {value}"
        yield f"not user.tags has any ({value}, {quote(text + 'a')})"
        yield f"distinct(purchase[city = {value}].city) = 1"
        pattern = re2.escape(text)
        if len(pattern) <= 1000:
            yield f"purchase.city matches {quote('^' + pattern + '$')}"


def _lines(text: str) -> tuple[str, ...]:
    near = (text, text + "a", "a" + text, text[:-1], text.swapcase(), "one")
    lines = []
    for device, value in zip("abcdef", near, strict=True):
        common = {"ts": NOW - 1, "did": device, "cid": 0}
        props = {"city": value, "tags": ["one", value], "products": [{"id": value, "price": 2}]}
        lines.append({**common, "t": "purchase", "props": props, "eid": f"p{device}"})
        traits = {"city": value, "tags": [value]}
        lines.append({**common, "t": "identify", "traits": traits, "eid": f"i{device}"})
    return tuple(json.dumps(line, ensure_ascii=False) for line in lines)


def _cases(texts: list[str]) -> list[Case]:
    return [
        Case(f"audience main\n  match {test}\n", "opt-out", lines, len(lines), (), (NOW,))
        for text in texts
        for lines in [_lines(text)]
        for test in _tests(text)
    ]


@pytest.fixture(scope="module")
def remote(engine: Engine) -> Iterator[Engine]:
    """The same store, over HTTP."""
    path = Path(str(engine.client.path)).parent  # type: ignore[attr-defined]
    with serve(path) as server, Engine.server(server.url, database="default") as opened:
        yield opened


def _agree(engine: Engine, texts: list[str]) -> None:
    tally = Tally()
    found = [
        (m.case.text[:200], m.expected, m.found) for m in compare(engine, _cases(texts), tally)
    ]
    assert found == []
    # Each string is found at least where it is asked for by `=`.
    assert tally.members >= 3 * len(texts)


def test_embedded(engine: Engine) -> None:
    _agree(engine, STRANGE)


def test_embedded_a_megabyte(engine: Engine) -> None:
    _agree(engine, LONGEST)


def test_over_http(remote: Engine) -> None:
    _agree(remote, STRANGE[::7])


def test_over_http_a_megabyte(remote: Engine) -> None:
    _agree(remote, LONGEST[1:])


#: Of what a name in backticks may hold: everything but a line break.
NAMES = [text for text in STRANGE if not set(text) & set("\r\n") and len(text) < 300]


def test_as_names_of_events_properties_traits_lists_and_devices(
    engine: Engine, new_client: int
) -> None:
    workspace = Workspace(_catalog(), client=new_client, retention=None)
    text = "\n".join(_about(name, f"n{i}") for i, name in enumerate(NAMES))
    workspace.add(SourceFile("names.seg", text))
    assert [str(d) for d in workspace.check()] == []
    records = [parse_record(raw) for name in NAMES for raw in _records(name, new_client)]
    rules = {new_client: ClientRules(255, 1200, 1200)}
    load_records(engine, records, catalog=workspace.catalog, key=KEY, rules=rules)
    history = History.of(records, client=new_client)
    for number, name in enumerate(NAMES):
        load_list(engine, new_client, name, [name], key=KEY)
        plan = scope(workspace.plan(f"n{number}"))
        assert members(plan, history, NOW, {name: frozenset({name})}) == {name}
        found = engine.query(members_query(plan, NOW)).rows
        assert found == [(device_key(KEY, new_client, name),)]


def _catalog() -> Catalog:
    number = PropertySpec(type=PropertyType.NUMBER)
    events = {}
    for name in NAMES:
        rows = PropertySpec(type=PropertyType.OBJECTS, fields={name: number})
        events[name] = EventSpec(properties={name: number, f"{name}s": rows})
    return Catalog(
        events=events,
        traits=dict.fromkeys(NAMES, number),
        lists={name: ListSpec() for name in NAMES},
    )


def _about(name: str, definition: str) -> str:
    quoted, several = ("`" + text.replace("`", "``") + "`" for text in (name, f"{name}s"))
    return (
        f"audience {definition}\n  match {quoted}.{quoted} > 1 and user.{quoted} = 2"
        f" and in list {quoted} and {quoted}[any {several}[{quoted} = 3]]"
        f" and sum({quoted}.{quoted}) = 5\n"
    )


def _records(name: str, client: int) -> Iterator[dict[str, object]]:
    """Two devices for whom all of it holds, one of them not on the list."""
    common = {"ts": NOW, "cid": client}
    for device in (name, f"{name}2"):
        props = {name: 5, f"{name}s": [{name: 3}]}
        yield {**common, "t": name, "did": device, "eid": f"{device}e", "props": props}
        traits = {name: 2}
        yield {**common, "t": "identify", "did": device, "eid": f"{device}i", "traits": traits}
