"""The shipped definitions: without mistakes, canonical, of every type; SQL beside the evaluator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from relo_dsl.catalog import Catalog
from relo_dsl.consent import scope
from relo_dsl.diagnostics import Severity
from relo_dsl.engine import Engine, device_key, load_list, load_records
from relo_dsl.interpret import History, members
from relo_dsl.records import Record
from relo_dsl.sql.lower import members_query
from relo_dsl.syntax import format_file, nodes, parse, read_source
from relo_dsl.workspace import Workspace
from relo_server.demo.project import RELO_TOML, shipped_definitions
from relo_server.demo.shift import SHOP_ZONE, Shift
from relo_server.demo.store import SURVEY

CLIENT = 990_003
KEY = bytes(range(32))
DAY = 86_400_000
FILES = sorted(shipped_definitions().glob("*.seg"))


def workspace(catalog: Catalog, client: int) -> Workspace:
    found = Workspace(catalog, client, SHOP_ZONE)
    found.add_paths([shipped_definitions()])
    found.lists = frozenset(catalog.lists)
    return found


@pytest.fixture(scope="module")
def definitions(catalog: Catalog) -> Workspace:
    return workspace(catalog, CLIENT)


NAMES = [
    item.name.text
    for path in FILES
    for item in parse(read_source(path)).file.items
    if isinstance(item, nodes.Definition)
]


def test_they_have_no_mistakes(catalog: Catalog) -> None:
    found = workspace(catalog, 3).check()
    assert [item for item in found if item.severity is not Severity.HINT] == []


def test_there_is_an_audience_of_every_type(definitions: Workspace) -> None:
    bound = [definitions.bound(name) for name in definitions.names]
    audiences = [item for item in bound if item.kind == "audience"]
    assert len(audiences) >= 12
    assert {item.header.type for item in audiences} >= {
        "retargeting", "suppression", "winback", "lookalike", "cross_sell",
    }  # fmt: skip
    assert len(bound) - len(audiences) >= 2
    exported = {name for item in audiences for name in item.header.exports}
    assert len(exported) >= 8


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_they_stand_in_the_canonical_layout(path: Path) -> None:
    assert format_file(parse(read_source(path)).file) == path.read_text(encoding="utf-8")


def test_the_readme_names_each(definitions: Workspace) -> None:
    readme = (shipped_definitions() / "README.md").read_text(encoding="utf-8")
    assert [name for name in definitions.names if f"`{name}`" not in readme] == []


def test_the_clone_and_a_made_project_have_the_same_settings() -> None:
    clone = shipped_definitions().parent / "relo.toml"
    assert clone.read_text(encoding="utf-8") == RELO_TOML


@pytest.fixture(scope="module")
def records(small_records: Sequence[Record]) -> list[Record]:
    return [replace(record, client=CLIENT) for record in small_records]


@pytest.fixture(scope="module")
def history(records: list[Record]) -> History:
    return History.of(records, client=CLIENT)


@pytest.fixture(scope="module")
def survey(records: list[Record]) -> list[str]:
    return [record.device for record in records if record.kind == "identify"]


@pytest.fixture(scope="module")
def loaded(engine: Engine, records: list[Record], survey: list[str], catalog: Catalog) -> Engine:
    report = load_records(engine, records, catalog=catalog, key=KEY)
    assert (report.accepted, report.duplicate, report.refused) == (len(records), 0, 0)
    load_list(engine, CLIENT, SURVEY, survey, key=KEY)
    return engine


@pytest.mark.parametrize("name", NAMES)
def test_sql_and_the_evaluator_agree_on_real_data(
    name: str, loaded: Engine, history: History, survey: list[str], definitions: Workspace,
    shift: Shift,
) -> None:  # fmt: skip
    scoped = scope(definitions.plan(name))
    end = shift.clock()(1_514_764_800_000)  # 2018-01-01T00:00Z
    keys = {device: device_key(KEY, CLIENT, device) for device in history.devices}
    found: set[str] = set()
    for days in (0, 3, 17, 60, 130):
        at = end - days * DAY
        by_hand = members(scoped, history, at, {SURVEY: frozenset(survey)})
        chunks = loaded.members(members_query(scoped, at))
        by_sql = {bytes(key) for chunk in chunks for key in chunk}
        assert by_sql == {keys[device] for device in by_hand}
        found |= by_hand
    assert len(found) < len(history.devices)
