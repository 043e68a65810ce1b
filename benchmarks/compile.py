"""`compile`: a thousand definitions from text to proved SQL, beside sqlglot's share of that alone.

What is compiled is checked first, as `relo check` does it, over all files together. sqlglot's share
is to print the very trees of our queries and to parse the texts again: the pipeline prints every
query and reads it again for the proof, so a ratio of 1 would mean that nothing else costs anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median

import sqlglot
from sqlglot import exp

from benchmarks.definitions import definitions
from benchmarks.timing import alternating
from relo_dsl.catalog import Catalog, load_catalog
from relo_dsl.consent import scope
from relo_dsl.diagnostics import Severity
from relo_dsl.source import SourceFile
from relo_dsl.sql.build import DIALECT
from relo_dsl.sql.lower import members_query
from relo_dsl.times import format_instant, parse_instant
from relo_dsl.workspace import Workspace
from relo_server.demo.project import shipped_definitions

NOW = parse_instant("2026-06-15T12:00:00Z")
CLIENT = 3
ROUNDS = 5


def run(
    _folder: Path | None = None, *, number: int = 1_000, rounds: int = ROUNDS
) -> dict[str, object]:
    """Seconds for `number` definitions, ours and sqlglot's alone, and their ratio."""
    catalog = load_catalog(shipped_definitions() / "catalog.yaml")
    files = definitions(number)
    texts = compile_all(files, catalog)
    trees = [sqlglot.parse_one(text, dialect=DIALECT) for text in texts]
    times = alternating(
        rounds,
        ours=lambda: compile_all(files, catalog),
        check=lambda: check_all(files, catalog),
        sqlglot=lambda: print_and_parse(trees),
    )
    lines = sum(len(file.text.splitlines()) for file in files)
    return {
        "benchmark": "compile",
        "definitions": len(texts),
        "lines": lines,
        "sql_bytes": sum(len(text) for text in texts),
        "at": format_instant(NOW),
        "seconds": {name: round(median(values), 4) for name, values in times.seconds.items()},
        "ratios": {"sqlglot": times.ratio("ours", "sqlglot")},
    }


def check_all(files: Sequence[SourceFile], catalog: Catalog) -> Workspace:
    """What `relo check` does: everything parsed, bound and compared; raises on any mistake."""
    workspace = Workspace(catalog, client=CLIENT)
    for file in files:
        workspace.add(file)
    for found in workspace.check():
        if found.severity is Severity.ERROR:
            raise AssertionError(f"{found.source.name}: {found.message}")
    return workspace


def compile_all(files: Sequence[SourceFile], catalog: Catalog) -> list[str]:
    """Checks everything, and then compiles and proves every definition by itself."""
    workspace = check_all(files, catalog)
    return [members_query(scope(workspace.plan(name)), NOW).text for name in workspace.names]


def print_and_parse(trees: Sequence[exp.Expr]) -> None:
    """sqlglot alone, as anyone would call it."""
    for tree in trees:
        sqlglot.parse_one(tree.sql(dialect=DIALECT), dialect=DIALECT)
