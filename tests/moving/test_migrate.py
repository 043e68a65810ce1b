"""`relo migrate`: from the embedded store to a server in another process, and back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from relo_dsl.engine import Engine
from tests.conftest import REPOSITORY
from tests.docs.examples import DOCS, blocks
from tests.engine.http_server import Elsewhere, Fault

DAY = 86_400_000
NOW = 1_795_000_000_000
KEY = "00112233445566778899aabbccddeeff" * 2
EVENTS = 300

CATALOG = """
events:
  purchase: {properties: {revenue: number, city: string, tags: "string[]"}}
traits:
  plan: string
retention: {months: 1200, extended_months: 1200}
"""


def records() -> Iterator[dict[str, Any]]:
    for i in range(EVENTS):
        props = {
            "revenue": i / 4,
            "city": f"ciudad ñ{i % 7}\n",
            "tags": ["a", "b"][: i % 3],
            "x": i,
        }
        yield {"t": "purchase", "ts": NOW - i * DAY, "did": f"d{i % 40}", "eid": f"e{i}",
               "cid": 1 + i % 2, "props": props}  # fmt: skip
    for i in range(40):
        head = {"ts": NOW - i, "did": f"d{i}", "cid": 1}
        yield {**head, "t": "identify", "eid": f"i{i}", "traits": {"plan": "a" * i, "age": i}}
        yield {**head, "t": "consent", "eid": f"c{i}", "consent": 254 + i % 2}
        yield {**head, "t": "score", "eid": f"s{i}", "scores": {"churn": i / 40}}


def run(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "server")])
    return subprocess.run(
        [sys.executable, "-m", "relo_dsl", *words],
        cwd=folder, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": path, **environment},
    )  # fmt: skip


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    (folder / "relo.toml").write_text("client = 1\n")
    (folder / ".relo").mkdir()
    (folder / ".relo" / "key").write_text(KEY + "\n")
    (folder / "segments").mkdir()
    (folder / "segments" / "catalog.yaml").write_text(CATALOG)
    (folder / "events.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records()))
    (folder / "vip.txt").write_text("d1\nd2\n")
    assert run(folder, "load", "events.jsonl").returncode == 0
    assert run(folder, "list", "add", "vip", "vip.txt").returncode == 0
    return folder


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Elsewhere]:
    server = Elsewhere(tmp_path_factory.mktemp("elsewhere"))
    yield server
    server.close()


def moved(project: Path, *words: str) -> tuple[int, dict[str, Any]]:
    result = run(project, "migrate", *words, "--json")
    assert result.stderr == ""
    return result.returncode, json.loads(result.stdout)


def rows_of(found: dict[str, Any], what: str = "rows") -> dict[tuple[str, int], int]:
    return {(item["table"], item["client"]): item[what] for item in found["tables"]}


ALL = {
    ("events", 1): 150, ("events", 2): 150, ("traits", 1): 120, ("consent", 1): 40,
    ("scores", 1): 40, ("lists", 1): 3,
}  # fmt: skip


def test_everything_arrives_once_however_often_it_is_copied(
    project: Path, elsewhere: Elsewhere
) -> None:
    to = ("--to", elsewhere.url, "--to-database", "moved")
    # Nothing is there yet, and comparing copies nothing.
    status, found = moved(project, *to, "--compare")
    assert (status, found["same"]) == (1, False)
    assert rows_of(found, "missing") == rows_of(found, "rows") == ALL
    status, found = moved(project, *to)
    assert (status, found["same"]) == (0, True)
    assert rows_of(found, "there") == rows_of(found, "copied") == ALL
    # Whatever the chunks, the same rows are the same.
    status, found = moved(project, *to, "--chunk-rows", "20")
    assert (status, set(rows_of(found, "copied").values())) == (0, {0})


@pytest.mark.parametrize("kind", ["lost", "read-only"])
def test_a_copy_that_was_interrupted_goes_on(
    project: Path, elsewhere: Elsewhere, kind: Any
) -> None:
    to = ("--to", elsewhere.url, "--to-database", f"moved_{kind[0]}", "--chunk-rows", "40")
    elsewhere.fail(Fault(kind, "INSERT INTO .?events", skip=3, times=1))
    result = run(project, "migrate", *to)
    elsewhere.fail()
    assert result.returncode == 2
    assert result.stdout == ""
    assert f"error: the event store {elsewhere.url} " in result.stderr
    assert "try again" in result.stderr
    status, found = moved(project, *to)
    assert status == 0
    assert rows_of(found, "there") == ALL
    copied = rows_of(found, "copied")
    # The first chunks are not copied again.
    assert 0 < copied["events", 1] + copied["events", 2] < 300


def test_a_planted_difference_is_found(project: Path, elsewhere: Elsewhere) -> None:
    to = ("--to", elsewhere.url, "--to-database", "planted")
    assert moved(project, *to)[0] == 0
    with Engine.server(elsewhere.url, database="planted") as engine:
        changed = {"mutations_sync": 2}
        # As many rows as before, and one of them another; one list device fewer.
        engine.command(
            "ALTER TABLE events UPDATE flags = 7 WHERE tie = (SELECT min(tie) FROM events)",
            settings=changed,
        )
        engine.command(
            "ALTER TABLE lists DELETE WHERE device = (SELECT max(device) FROM lists)",
            settings=changed,
        )
    status, found = moved(project, *to, "--compare")
    different = [item for item in found["tables"] if not item["same"]]
    assert status == 1
    assert [(i["table"], i["missing"], i["surplus"]) for i in different] == [
        ("events", 1, 1),
        ("lists", 1, 0),
    ]
    # What is missing is copied; what is only there is not removed, and is told.
    result = run(project, "migrate", *to)
    assert result.returncode == 1
    assert "`events` of client" in result.stderr
    assert "0 rows are only here, 1 only there" in result.stderr
    assert "`lists`" not in result.stderr


def test_back_into_an_embedded_store_with_its_key(
    project: Path, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    assert moved(project, "--to", elsewhere.url, "--to-database", "round")[0] == 0
    there = {"RELO_EVENTS": elsewhere.url, "RELO_DATABASE": "round"}
    back = tmp_path / "back"
    result = run(project, "migrate", "--to", str(back), "--json", **there)
    assert result.returncode == 0, result.stderr
    assert rows_of(json.loads(result.stdout), "there") == ALL
    assert (back / "key").read_text().strip() == KEY
    assert (back / "key").stat().st_mode & 0o777 == 0o600
    # And it is a store like any other: the records are duplicates there.
    again = run(project, "load", "events.jsonl", "--data", str(back), "--json")
    assert json.loads(again.stdout)["duplicate"] == EVENTS + 120
    (back / "key").write_text("ff" * 32 + "\n")
    result = run(project, "migrate", "--to", str(back), **there)
    assert result.returncode == 2
    assert "another installation's key" in result.stderr


@pytest.mark.parametrize(
    ("to", "said"),
    [
        (("--to", "other"), "both stores are embedded"),
        (("--to", "ftp://x"), "expected `embedded` or the URL of a ClickHouse server"),
        (("--to", "other", "--to-cluster", "c"), "an embedded store has one database"),
        (("--to", "http://127.0.0.1:1"), "cannot open the event store http://127.0.0.1:1"),
    ],
)
def test_what_cannot_be_a_target(project: Path, to: tuple[str, ...], said: str) -> None:
    result = run(project, "migrate", *to)
    assert result.returncode == 2
    assert f"error: {said}" in result.stderr or said in result.stderr
    assert "internal error" not in result.stderr


def test_a_store_without_its_key_is_not_copied(project: Path, tmp_path: Path) -> None:
    result = run(project, "migrate", "--to", "http://127.0.0.1:1", "--data", str(tmp_path))
    assert result.returncode == 2
    assert "the installation's key is neither in RELO_KEY nor in" in result.stderr
    assert not (tmp_path / "key").exists()


def test_the_guide_shows_what_is_printed(project: Path, elsewhere: Elsewhere) -> None:
    guide = blocks((DOCS / "guides" / "migrate.md").read_text(encoding="utf-8"))
    (shown,) = [block.text for block in guide if block.language == "console"]
    command, _, output = shown.partition("\n")
    words = command.replace("http://clickhouse.example:8123", elsewhere.url).split()[2:]
    result = run(project, *words)
    assert (result.stdout, result.stderr, result.returncode) == (output, "", 0)
