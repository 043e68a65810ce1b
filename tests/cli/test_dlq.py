"""`relo dlq`: refused events listed, exported, corrected and sent again."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from relo_dsl.engine import Engine
from relo_server.ingest.dead_letters import bury, letter_of
from relo_server.ingest.payloads import Envelope, Refusal
from tests.cli.conftest import Project

NOW = int(time.time() * 1000)
KEY = "0123456789abcdef" * 2


@pytest.fixture
def letters(store: Project, engine: Engine) -> Project:
    """Three purchases that were refused, of which one is about its time."""
    envelope = Envelope(store.client, "shop", NOW)
    for index, props in enumerate(({"revenue": "12,50"}, {"revenue": "free"})):
        record = {"t": "purchase", "ts": NOW - 1_000, "did": KEY, "props": props}
        refusal = Refusal(
            index, "expected number, found string", "props.revenue", props["revenue"], record
        )
        bury(engine, [letter_of(envelope, refusal)])
    record = {"t": "purchase", "ts": "?", "did": KEY}
    late = Refusal(2, "expected epoch milliseconds or RFC 3339", "ts", "?", record)
    bury(engine, [letter_of(envelope, late), letter_of(envelope, late)])
    return store


def purchases(engine: Engine, client: int) -> int:
    rows = engine.rows("SELECT count() FROM events WHERE client_id = {c:UInt32}", {"c": client})
    return int(rows[0][0])


def test_they_are_listed(letters: Project) -> None:
    shown = letters.ok("dlq", "list").stdout
    assert shown.count("shop") == 3
    assert "12,50" in shown
    found = letters.json("dlq", "list", "--reason", "REVENUE")["letters"]
    assert [one["value"] for one in found] == ["12,50", "free"]
    assert found[0]["record"]["did"] == KEY
    assert "no dead letters like that" in letters.ok("dlq", "list", "--reason", "nothing").stdout


def test_they_are_corrected_in_a_file(letters: Project, engine: Engine) -> None:
    told = letters.ok("dlq", "export", "refused.jsonl", "--reason", "revenue").stdout
    assert "2 letters" in told
    path = Path("refused.jsonl")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines[0]["record"]["props"]["revenue"] = 12.5
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = letters.run("dlq", "replay", "--from", "refused.jsonl")
    assert done.exit_code == 1
    assert "1 stored, 0 there already, 1 refused" in done.stdout
    assert "props.revenue: expected number, found string" in done.stderr
    assert purchases(engine, letters.client) == 1
    assert len(letters.json("dlq", "list")["letters"]) == 2


def test_all_are_sent_again_when_the_catalog_is_right(letters: Project, engine: Engine) -> None:
    """`price` becomes a text, and its letters fit."""
    first = letters.json("dlq", "list")["letters"][0]
    catalog = Path("segments/catalog.yaml")
    text = catalog.read_text()
    assert letters.run("dlq", "replay", first["id"]).exit_code == 1
    catalog.write_text(text.replace("revenue: {type: number", "revenue: {type: string"))
    found: Any = json.loads(letters.run("dlq", "replay", "--all", "--json").stdout)
    catalog.write_text(text)
    assert found["accepted"] == 2
    assert [one["field"] for one in found["refused"]] == ["ts"]
    assert purchases(engine, letters.client) == 2


@pytest.mark.parametrize("arguments", [(), ("--all", "x"), ("x", "--from", "refused.jsonl")])
def test_what_to_replay_is_said_once(letters: Project, arguments: tuple[str, ...]) -> None:
    Path("refused.jsonl").touch()
    assert letters.run("dlq", "replay", *arguments).exit_code == 2


def test_a_file_that_is_something_else(letters: Project) -> None:
    Path("events.jsonl").write_text('{"t": "purchase"}\n')
    done = letters.run("dlq", "replay", "--from", "events.jsonl")
    assert done.exit_code == 2
    assert "events.jsonl:1 is no letter" in done.stderr
