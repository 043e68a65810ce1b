"""A cluster: statements that are read again, and answers from two shards that are really run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import sqlglot
from sqlglot import exp
from syrupy.assertion import SnapshotAssertion

from relo_dsl.catalog import load_catalog
from relo_dsl.columns import property_columns
from relo_dsl.consent import scope
from relo_dsl.engine import Engine
from relo_dsl.engine.cluster import SESSION, Cluster, cut_tables, is_local, made_tables
from relo_dsl.engine.migrate import migrations, statements
from relo_dsl.errors import UserError
from relo_dsl.settings import Settings, SettingsError
from relo_dsl.sql.lower import count_query, holdout_query, members_query, withheld_query
from relo_dsl.sql.query import SqlQuery
from relo_dsl.times import parse_instant
from relo_dsl.workspace import Workspace
from tests.conftest import REPOSITORY

CLUSTER = Cluster("main", "relo")
AT = parse_instant("2026-06-15T12:00:00Z")


def ddl() -> list[str]:
    """All that makes the tables, and one column that a catalog adds."""
    made = [each for _, sql in migrations().values() for each in statements(sql)]
    name, spec = next(iter(load_catalog(REPOSITORY / "segments/catalog.yaml").all_properties()))
    column, kind, default = next(iter(property_columns(name, spec)))
    added = f"ALTER TABLE events ADD COLUMN IF NOT EXISTS {column} {kind} DEFAULT {default}"
    found = [each for statement in (*made, added) for each in CLUSTER.ddl(statement)]
    return [CLUSTER.create_database(), *found]


def test_the_statements_of_the_tables(snapshot: SnapshotAssertion) -> None:
    assert ";\n\n".join(ddl()) == snapshot


def test_clickhouse_and_sqlglot_read_every_statement(engine: Engine) -> None:
    for statement in ddl():
        [(shown,)] = engine.rows("SELECT formatQuery({s:String})", {"s": statement})
        assert "ON CLUSTER main" in str(shown)
        assert sqlglot.parse_one(statement, dialect="clickhouse").sql("clickhouse") != ""


def test_a_table_with_devices_is_cut_and_lists_are_copied() -> None:
    assert cut_tables() >= {"events", "traits", "consent", "scores"}
    assert "lists" in made_tables()
    assert "lists" not in cut_tables()
    for name in cut_tables():
        assert any(f"`{name}_local`, cityHash64(device))" in each for each in ddl()), name


def test_every_change_reaches_the_tables_that_hold_rows() -> None:
    assert CLUSTER.ddl("ALTER TABLE events REMOVE TTL") == [
        "ALTER TABLE `relo`.`events_local` ON CLUSTER `main` REMOVE TTL"
    ]
    assert CLUSTER.ddl("ALTER TABLE events DROP COLUMN x") == [
        "ALTER TABLE `relo`.`events_local` ON CLUSTER `main` DROP COLUMN x",
        "ALTER TABLE `relo`.`events` ON CLUSTER `main` DROP COLUMN x",
    ]
    assert CLUSTER.ddl("ALTER TABLE lists ADD COLUMN x UInt8") == [
        "ALTER TABLE `relo`.`lists` ON CLUSTER `main` ADD COLUMN x UInt8"
    ]
    assert CLUSTER.ddl("DROP TABLE IF EXISTS events") == [
        "DROP TABLE IF EXISTS `relo`.`events` ON CLUSTER `main` SYNC",
        "DROP TABLE IF EXISTS `relo`.`events_local` ON CLUSTER `main` SYNC",
    ]
    replacing = CLUSTER.ddl(
        "CREATE TABLE t (a UInt8, at DateTime) ENGINE = ReplacingMergeTree(at) ORDER BY a"
    )
    assert "ReplicatedReplacingMergeTree('/clickhouse/tables/all/relo/t'" in replacing[0]
    assert "'{shard}-{replica}', at) ORDER BY a" in replacing[0]


def test_what_has_no_form_on_a_cluster_is_refused() -> None:
    for statement in ("CREATE MATERIALIZED VIEW v AS SELECT 1", "RENAME TABLE a TO b",
                      "CREATE TABLE t (a UInt8) ENGINE = Memory"):  # fmt: skip
        with pytest.raises(UserError, match="cannot be done on a cluster"):
            CLUSTER.ddl(statement)


def test_every_setting_is_one_that_clickhouse_has(engine: Engine) -> None:
    known = {row[0] for row in engine.rows("SELECT name FROM system.settings")}
    assert known >= set(SESSION)


# ---- queries -------------------------------------------------------------------------------------

LOCAL = """
  purchase within 30d and no visit within 7d
"""
TOGETHER = """
  purchase within 90d keep top 1000 by sum(purchase.revenue within 90d)
"""
QUERIES = (members_query, count_query, withheld_query, holdout_query)


def workspace(text: str) -> Workspace:
    from relo_dsl.source import SourceFile

    found = Workspace(load_catalog(REPOSITORY / "segments/catalog.yaml"), client=3)
    found.add(SourceFile("a.seg", f"audience a\n  match {text.strip()}\n"))
    return found


@pytest.mark.parametrize("text", [LOCAL, TOGETHER], ids=["local", "together"])
def test_the_queries_of_a_cluster(engine: Engine, snapshot: SnapshotAssertion, text: str) -> None:
    plan = scope(workspace(text).plan("a"))
    shown = []
    for make in QUERIES:
        placed = CLUSTER.query(make(plan, AT))
        [(formatted,)] = engine.rows("SELECT formatQuery({s:String})", {"s": placed.text})
        sqlglot.parse_one(placed.text, dialect="clickhouse")
        shown.append(str(formatted))
    assert "\n\n".join(shown) == snapshot


def test_every_definition_of_the_demo_has_a_way() -> None:
    found = Workspace(load_catalog(REPOSITORY / "segments/catalog.yaml"), client=3)
    found.add_paths([REPOSITORY / "segments"])
    ways = {}
    for name in found.names:
        query = members_query(scope(found.plan(name)), AT)
        tree = sqlglot.parse_one(query.text, dialect="clickhouse")
        assert isinstance(tree, exp.Select)
        ways[name] = is_local(tree)
        placed = CLUSTER.query(query)
        assert placed.params == query.params
        assert (" GLOBAL " in placed.text) != ways[name] or "IN (" not in query.text
        assert ("_local" in placed.text) == ways[name]
    # Most audiences travel as keys of members and nothing else.
    assert sum(ways.values()) > 0.8 * len(ways)
    assert not all(ways.values())


@pytest.mark.parametrize(
    "text",
    [
        "SELECT device FROM (SELECT device FROM events ORDER BY time LIMIT 3)",
        "SELECT device FROM events WHERE event_type IN (SELECT event_type FROM events)",
        "SELECT device FROM (SELECT device, ROW_NUMBER() OVER (ORDER BY time) AS n FROM events)",
        "SELECT event_type FROM events GROUP BY event_type",
        "SELECT DISTINCT event_type FROM events",
        "SELECT count(DISTINCT device) FROM events",
        "SELECT uniqExact(device) FROM events",
        "SELECT max(time) FROM events",
        "SELECT device FROM events WHERE time = (SELECT max(time) FROM events)",
        "SELECT device FROM events AS a JOIN events AS b ON a.time = b.time",
        "SELECT device FROM events WHERE device IN (SELECT tie FROM events)",
        "SELECT count() FROM events HAVING count() > 3",
        "SELECT quantileExactLow(tie) FROM events",
        # Every shard has the whole list.
        "SELECT device FROM events UNION ALL SELECT device FROM lists",
        "SELECT event_type FROM events UNION DISTINCT SELECT name FROM traits",
        "SELECT device FROM events EXCEPT SELECT device FROM traits",
    ],
)
def test_what_compares_devices_is_not_local(text: str) -> None:
    tree = sqlglot.parse_one(text, dialect="clickhouse")
    assert isinstance(tree, exp.Query)
    assert not is_local(tree)


def test_a_pass_for_many_goes_to_the_shards() -> None:
    text = (
        "SELECT 0 AS plan, 0 AS part, device FROM events GROUP BY device HAVING count() > 1 "
        "UNION ALL SELECT 1 AS plan, 0 AS part, device FROM traits "
        "WHERE device IN (SELECT device FROM lists)"
    )
    assert CLUSTER.query(SqlQuery(text)).text == (
        "SELECT plan, part, device FROM cluster(`main`, view(SELECT 0 AS plan, 0 AS part, device "
        'FROM "relo".events_local GROUP BY device HAVING count() > 1 UNION ALL SELECT 1 AS plan, '
        '0 AS part, device FROM "relo".traits_local WHERE device IN (SELECT device FROM '
        '"relo".lists)))'
    )


def test_two_shards_answer_as_the_evaluator_does() -> None:
    path = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "server")])
    run = subprocess.run(
        [sys.executable, "-m", "tests.cluster.two_shards", "8", "members", "withheld", "count"],
        capture_output=True, text=True, check=False, cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    said = json.loads(run.stdout)
    assert said["found"] == []
    # Which definitions are drawn changes with the sources, whose constants Hypothesis draws from.
    assert said["local"] > 30
    assert said["global"] > 3
    assert said["members"] > said["checks"]


# ---- settings ------------------------------------------------------------------------------------


def test_a_cluster_needs_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELO_CLUSTER", "main")
    with pytest.raises(SettingsError, match="a cluster needs `events`"):
        Settings.load(tmp_path)
    monkeypatch.setenv("RELO_EVENTS", "http://clickhouse.example:8123")
    assert Settings.load(tmp_path).cluster == "main"
    monkeypatch.setenv("RELO_CLUSTER", "a`b")
    with pytest.raises(SettingsError, match="expected a name"):
        Settings.load(tmp_path)


def test_a_deletion_looks_at_its_own_shard(engine: Engine) -> None:
    condition = "a = 1 AND device NOT IN (SELECT device FROM membership WHERE device IN (SELECT 1))"
    text = CLUSTER.delete("membership", f"{condition} AND v IN (SELECT v FROM versions)")
    assert text == (
        "DELETE FROM `relo`.`membership_local` ON CLUSTER `main` WHERE a = 1 AND device NOT IN "
        "(SELECT device FROM `relo`.`membership_local` WHERE device IN (SELECT 1)) "
        "AND v IN (SELECT v FROM `relo`.`versions`)"
    )
    [(shown,)] = engine.rows("SELECT formatQuery({s:String})", {"s": text})
    assert "ON CLUSTER main" in str(shown)
    assert CLUSTER.delete("lists", "a = 1") == (
        "DELETE FROM `relo`.`lists` ON CLUSTER `main` WHERE a = 1"
    )


def test_the_node_that_was_asked_works_out_the_sets() -> None:
    text = "SELECT 1 FROM t WHERE a IN (SELECT 1) AND b NOT IN (SELECT 2) AND c IN (1, 2)"
    there = "SELECT 1 FROM t WHERE a GLOBAL IN (SELECT 1) AND b GLOBAL NOT IN (SELECT 2)"
    assert CLUSTER.internal(text) == f"{there} AND c IN (1, 2)"
    assert CLUSTER.internal(CLUSTER.internal(text)) == CLUSTER.internal(text)
