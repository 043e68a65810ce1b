"""Migrations can be run twice, be interrupted, and never go back."""

from __future__ import annotations

import pytest

from relo_dsl.catalog import parse_catalog
from relo_dsl.columns import element_column, event_column, presence_column
from relo_dsl.engine import Engine, EngineError
from relo_dsl.engine.migrate import apply_catalog, migrate, migrations, statements
from relo_dsl.errors import UserError
from relo_server.versions.staging import PREFIX

TABLES = {"events", "traits", "scores", "consent", "lists", "schema_migrations"}


def ledger(engine: Engine) -> list[int]:
    return [row[0] for row in engine.rows("SELECT version FROM schema_migrations ORDER BY version")]


def test_numbers_have_no_gaps() -> None:
    assert list(migrations()) == list(range(1, len(migrations()) + 1))


def test_running_twice_changes_nothing(engine: Engine) -> None:
    before = engine.rows("SELECT name, create_table_query FROM system.tables ORDER BY name")
    migrate(engine)
    assert engine.rows("SELECT name, create_table_query FROM system.tables ORDER BY name") == before
    assert ledger(engine) == list(migrations())
    names = {row[0] for row in before}
    assert names >= TABLES


def test_every_statement_can_run_again(engine: Engine) -> None:
    """So a migration that died half-way, before the ledger knew of it, starts over."""
    for _, sql in migrations().values():
        for statement in statements(sql):
            engine.command(statement)


def test_every_table_is_on_the_disk_when_an_insert_returns(engine: Engine) -> None:
    rows = engine.rows(
        "SELECT name, create_table_query FROM system.tables "
        "WHERE database = currentDatabase() AND engine LIKE '%MergeTree'"
    )
    assert {name for name, _ in rows} >= TABLES
    for name, query in rows:
        if str(name).startswith(PREFIX):
            continue  # what a refresh that was killed computed, which nobody needs to keep
        assert "fsync_after_insert = 1" in query, name
        assert "fsync_part_directory = 1" in query, name


def test_a_store_that_dropped_old_traits_keeps_them_from_then_on(engine: Engine) -> None:
    made = next(part for part in statements(migrations()[1][1]) if "EXISTS traits" in part)
    engine.command(made.replace("EXISTS traits", "EXISTS older"))
    engine.command("INSERT INTO older (name, time, retain_months) VALUES ('', now() - 9e6, 600)")
    for _ in range(2):
        for statement in statements(migrations()[2][1]):
            engine.command(statement.replace("TABLE traits", "TABLE older"))
    engine.command("INSERT INTO older (name, time) VALUES ('', '1920-01-01')")
    engine.command("OPTIMIZE TABLE older FINAL")
    assert engine.rows("SELECT count() FROM older") == [(2,)]
    shapes = [str(engine.rows(f"SHOW CREATE TABLE {name}")[0][0]) for name in ("traits", "older")]
    assert "TTL" not in shapes[0]
    assert shapes[0].replace(".traits", ".older") == shapes[1]
    engine.command("DROP TABLE older")


def test_a_newer_store_is_left_alone(engine: Engine) -> None:
    engine.command("INSERT INTO schema_migrations VALUES (9999, 'future', now64(3))")
    try:
        with pytest.raises(UserError, match="newer"):
            migrate(engine)
    finally:
        engine.command(
            "ALTER TABLE schema_migrations DELETE WHERE version = 9999",
            settings={"mutations_sync": 2},
        )
    migrate(engine)


def test_statements_end_at_a_line_s_end() -> None:
    assert statements("-- a; b;\nSELECT ';' ;\n\nSELECT\n 2;\n") == ["SELECT ';'", "SELECT\n 2"]


def test_a_catalog_s_columns_are_added_once(engine: Engine) -> None:
    catalog = parse_catalog(
        """
        events:
          a: {properties: {"odd Name'\\"`\\\\": string, unusual.path: "number[]"}}
        """
    )
    added = apply_catalog(engine, catalog)
    assert added == [
        event_column("odd Name'\"`\\", "string"),
        presence_column("unusual.path", "number[]"),
        event_column("unusual.path", "number[]"),
    ]
    assert apply_catalog(engine, catalog) == []
    engine.rows(f"SELECT {', '.join(added)} FROM events LIMIT 0")


def test_column_names_never_clash() -> None:
    names = ["a", "a.b", "a__b", "a_b", "a.b.c", "a_.b", "A", "_a", "a_", "é", "", "x" * 49, "a b",
             "a___b", "0"]  # fmt: skip
    kinds = ["string", "number", "boolean", "time", "string[]", "number[]"]
    columns = [event_column(name, kind) for name in names for kind in kinds]
    columns += [presence_column(name, kind) for name in names for kind in (*kinds[4:], "object[]")]
    columns += [
        element_column(prop, field, kind) for prop in names for field in names for kind in kinds[:4]
    ]
    assert len(set(columns)) == len(columns)
    assert all(column.isascii() and column.isidentifier() for column in columns)


def test_a_failing_statement_is_an_engine_error(engine: Engine) -> None:
    with pytest.raises(EngineError):
        engine.command("ALTER TABLE events ADD COLUMN x Nonsense")
