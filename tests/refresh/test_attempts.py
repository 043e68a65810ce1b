"""Attempts and marks in the real engine, and the schedule of real definitions."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relo_dsl.bind import Refresh
from relo_dsl.catalog import parse_catalog
from relo_dsl.engine import Engine, load_list, load_records
from relo_dsl.errors import UserError
from relo_dsl.records import parse_record
from relo_dsl.source import SourceFile
from relo_dsl.times import UNITS, parse_instant
from relo_dsl.workspace import Workspace
from relo_server.refresh import changes
from relo_server.refresh.attempts import NEVER, Attempt, State, record, states
from relo_server.refresh.schedule import Definitions, scheduled
from tests.conftest import _clients

#: In the future, so that no TTL takes the rows of these tests away.
START = parse_instant("2090-01-01")
CATALOG = parse_catalog("events: {a: {properties: {n: number}}}")
KEY = b"k" * 32

outcomes = st.sampled_from(["published", "held", "failed"])


@settings(max_examples=15)
@given(st.lists(st.tuples(st.sampled_from("xyz"), outcomes, st.integers(0, 5)), max_size=12))
def test_stored_states_are_those_of_the_attempts(
    engine: Engine, tries: list[tuple[str, str, int]]
) -> None:
    client = next(_clients)
    expected: dict[str, State] = {}
    for turn, (name, outcome, late) in enumerate(tries):
        before = expected.get(name, NEVER)
        at = START + turn * 1_000
        attempt = Attempt(
            client, name, at - late, at, at + 7, outcome,  # type: ignore[arg-type]
            before.failures + 1, "é `x`" if outcome == "failed" else "", "me", f"m{turn}",
        )  # fmt: skip
        record(engine, [attempt])
        expected[name] = before.with_attempt(attempt)
    assert states(engine, client) == expected


def test_attempts_of_one_refresh_are_stored_together(engine: Engine, new_client: int) -> None:
    record(engine, [])
    made = [Attempt(new_client, f"a{i}", START, START, START, "published") for i in range(300)]
    record(engine, made)
    assert len(states(engine, new_client)) == 300
    assert states(engine, new_client + 500_000) == {}


def test_every_change_makes_another_mark(engine: Engine, new_client: int) -> None:
    seen = [changes.mark(engine)]

    def changed() -> None:
        seen.append(changes.mark(engine))
        assert seen[-1] not in seen[:-1]

    kinds: tuple[dict[str, Any], ...] = (
        {"t": "a"},
        {"t": "identify", "traits": {"x": 1}},
        {"t": "consent", "consent": 1},
        {"t": "score", "scores": {"s": 0.5}},
    )
    for turn, more in enumerate(kinds):
        base = {"cid": new_client, "did": f"d{turn}", "ts": START}
        load_records(engine, [parse_record({**base, **more})], catalog=CATALOG, key=KEY)
        changed()
    load_list(engine, new_client, "vip", ["d1"], key=KEY)
    changed()
    load_list(engine, new_client, "vip", ["d2"], key=KEY)
    changed()
    engine.command("DELETE FROM events WHERE client_id = {c:UInt32}", {"c": new_client})
    changed()


def test_what_the_scheduler_writes_is_no_change(engine: Engine, new_client: int) -> None:
    def unchanged() -> bool:
        before = changes.mark(engine)
        record(engine, [Attempt(new_client, "x", START, START, START, "published")])
        return changes.mark(engine) == before

    # Parts may be merged at any moment, which counts as a change; but not every time.
    assert any(unchanged() for _ in range(10))


def workspace(text: str, client: int = 3) -> Workspace:
    found = Workspace(CATALOG, client, "America/New_York")
    found.add(SourceFile("x.seg", text))
    return found


def test_the_schedule_of_definitions() -> None:
    found = scheduled(
        workspace(
            """
            segment base match a
            audience sold type suppression match a
            audience gone type suppression match a within 30d
            audience weekly timezone "Asia/Kolkata" refresh weekly on friday at 06:30 match a
            audience wrong client 5 match nothing_such
            """
        )
    )
    assert [(item.name, item.client, item.clock.refresh, item.timed) for item in found] == [
        ("sold", 3, Refresh("realtime"), False),
        ("gone", 3, Refresh("realtime"), True),
        ("weekly", 3, Refresh("weekly", 390, "friday"), False),
        ("wrong", 5, Refresh("daily"), True),
    ]
    assert found[2].clock.timezone == "Asia/Kolkata"
    assert [bool(item.fingerprint) for item in found] == [True, True, True, False]
    assert [item.name for item in scheduled(workspace("audience x match a"), ["x", "y"])] == ["x"]


@pytest.mark.parametrize("cron", ["0 0 31 2 *", "0 0 31 4,6 *", "R R * * *", "0 3 * *", "@daily"])
def test_cron_expressions_that_are_no_schedule(cron: str) -> None:
    found = workspace(f'audience x refresh cron "{cron}" match a').check()
    assert [item.code for item in found if item.code == "header-value"] == ["header-value"]


def test_definitions_are_read_again_when_a_file_changes(tmp_path: Path) -> None:
    folder = tmp_path / "segments"
    folder.mkdir()
    file = folder / "x.seg"
    file.write_text("audience x match a")
    troubles: list[str] = []
    readable = [True]

    def read() -> Workspace:
        if not readable[0]:
            raise UserError("no catalog")
        found = Workspace(CATALOG, 3, "UTC")
        found.add_paths([folder])
        return found

    definitions = Definitions(read, [folder], trouble=troubles.append)
    first = definitions.audiences()
    assert [item.name for item in first] == ["x"]
    assert definitions.audiences() is first
    (folder / "y.seg").write_text("audience y match a")
    second = definitions.audiences()
    assert [item.name for item in second] == ["x", "y"]
    readable[0] = False
    stamp = file.stat().st_mtime_ns + UNITS["s"] * 1_000_000
    os.utime(file, ns=(stamp, stamp))
    assert definitions.audiences() is second
    assert definitions.audiences() is second
    assert troubles == ["the definitions stay as they were: no catalog"]
    readable[0] = True
    file.unlink()
    assert [item.name for item in definitions.audiences()] == ["y"]
