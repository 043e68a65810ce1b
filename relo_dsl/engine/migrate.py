"""The tables: numbered migrations, and a column for each property that a catalog names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import resources
from typing import TYPE_CHECKING

from relo_dsl.catalog import Catalog
from relo_dsl.columns import property_columns
from relo_dsl.errors import UserError

if TYPE_CHECKING:
    from relo_dsl.engine.client import Engine

_LEDGER = """
CREATE TABLE IF NOT EXISTS schema_migrations
(version UInt32, name String, at DateTime64(3, 'UTC'))
ENGINE = MergeTree ORDER BY version
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
"""
_FILE = re.compile(r"(\d{4})_(\w+)\.sql")


def migrations() -> dict[int, tuple[str, str]]:
    """Every migration in order: its number, its name and its SQL."""
    folder = resources.files("relo_dsl.engine") / "migrations"
    found = {}
    for file in sorted(folder.iterdir(), key=lambda item: item.name):
        if match := _FILE.fullmatch(file.name):
            found[int(match[1])] = (match[2], file.read_text(encoding="utf-8"))
    return found


def statements(sql: str) -> list[str]:
    """The statements of a migration: each ends with `;` at the end of a line."""
    bare = re.sub(r"^\s*--.*$", "", sql, flags=re.MULTILINE)
    return [part.strip() for part in re.split(r";\s*$", bare, flags=re.MULTILINE) if part.strip()]


def migrate(engine: Engine) -> None:
    """Runs the migrations that were not run yet. Each may be repeated, so a crash does no harm.

    Raises UserError where a newer version of the product has been at these tables.
    """
    _refuse_other_layout(engine)
    for statement in placed(engine, _LEDGER):
        engine.command(statement)
    done = {row[0] for row in engine.rows("SELECT version FROM schema_migrations")}
    known = migrations()
    if newer := done - known.keys():
        raise UserError(
            f"the event store was made by a newer version (its migration {max(newer)} is unknown)",
            "update this installation",
        )
    for version, (name, sql) in known.items():
        if version in done:
            continue
        for statement in statements(sql):
            for each in placed(engine, statement):
                engine.command(each)
        engine.command(
            "INSERT INTO schema_migrations SELECT {v:UInt32}, {n:String}, now64(3, 'UTC')",
            {"v": version, "n": name},
        )


def placed(engine: Engine, statement: str) -> list[str]:
    """A statement that makes or changes tables, as the statements that do it where they are."""
    return [statement] if engine.cluster is None else engine.cluster.ddl(statement)


def _refuse_other_layout(engine: Engine) -> None:
    """Raises UserError where tables are there that were made for one server, or for a cluster."""
    if engine.is_embedded:
        return
    found = engine.rows(
        "SELECT engine FROM system.tables WHERE database = {d:String} AND name = 'events'",
        {"d": engine.database},
    )
    if not found or (found[0][0] == "Distributed") == (engine.cluster is not None):
        return
    if engine.cluster is None:
        raise UserError(
            f"the tables of `{engine.database}` in {engine.where} are those of a cluster",
            "name it in `cluster` of relo.toml, or in RELO_CLUSTER",
        )
    raise UserError(
        f"the tables of `{engine.database}` in {engine.where} are those of one server",
        "leave `cluster` out, or copy them into another database with `relo migrate --to-cluster`",
    )


def catalog_columns(catalog: Catalog) -> dict[str, tuple[str, str]]:
    """Every column that the catalog's event properties need: type and DEFAULT expression."""
    columns: dict[str, tuple[str, str]] = {}
    for name, spec in catalog.all_properties():
        for column, kind, default in property_columns(name, spec):
            columns[column] = (kind, default)
    return columns


def apply_catalog(engine: Engine, catalog: Catalog) -> list[str]:
    """Adds the columns that the catalog needs and returns the new ones.

    Old events answer at once: a column's DEFAULT reads the property from `rest`, which kept it.
    """
    table = engine.rows("SELECT name FROM system.columns WHERE database = {d:String} "
                        "AND table = 'events'", {"d": engine.database})  # fmt: skip
    there = {row[0] for row in table}
    wanted = catalog_columns(catalog)
    added = [name for name in wanted if name not in there]
    if added:
        changes = ", ".join(_additions(added, wanted))
        for statement in placed(engine, f"ALTER TABLE events {changes}"):
            engine.command(statement)
    return added


def _additions(added: list[str], wanted: dict[str, tuple[str, str]]) -> Iterator[str]:
    for name in added:
        kind, default = wanted[name]
        yield f"ADD COLUMN IF NOT EXISTS {name} {kind} DEFAULT {default} CODEC(ZSTD(1))"
