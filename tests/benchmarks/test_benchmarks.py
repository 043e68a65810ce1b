"""The benchmarks run, at sizes that say nothing about time, and compare what they claim to."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar, cast

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from benchmarks import (
    api,
    click,
    estimate,
    ingest,
    publish,
    publish_reader,
    query,
    refresh,
    storage,
    withdraw,
)
from benchmarks import compile as compiling
from benchmarks.__main__ import draw_growth, draw_sizes, main, together
from benchmarks.data import CATALOG, make_store
from benchmarks.definitions import SHARED_COUNT, definitions
from relo_dsl.catalog import load_catalog
from relo_dsl.records import Record, check_types, decode_line, parse_record
from relo_server.demo.data import data_folder
from relo_server.demo.project import shipped_definitions
from relo_server.demo.shift import Shift
from relo_server.demo.store import all_records
from relo_server.sets import Sets

T = TypeVar("T")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's files with three households."""
    folder = tmp_path_factory.mktemp("data")
    for path in data_folder().glob("*.parquet"):
        if path.stem in ("promotions", "coupons"):
            continue
        table = pq.read_table(path)
        if "household_id" in table.column_names:
            table = table.filter(pc.field("household_id").isin([1, 8, 13]))
        pq.write_table(table, folder / path.name)
    return folder


@pytest.fixture(scope="module")
def few(data: Path) -> list[Record]:
    return [record for record in all_records(data, Shift(500), 3) if record.kind == "event"]


def apart(function: Callable[..., T], *args: Any, **named: Any) -> T:
    """What a function returns in a process of its own: chDB opens one folder a process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(function, *args, **named).result()


def test_compile_reports_its_ratio() -> None:
    figures = compiling.run(number=12, rounds=1)
    assert figures["definitions"] == 12
    ratios = cast(dict[str, float], figures["ratios"])
    assert set(ratios) == {"sqlglot"}
    assert ratios["sqlglot"] > 0


def test_the_definitions_differ_and_have_no_mistakes() -> None:
    files = definitions(250)
    catalog = load_catalog(shipped_definitions() / "catalog.yaml")
    workspace = compiling.check_all(files, catalog)
    assert len(workspace.names) == 250
    assert len(files) == 250 - SHARED_COUNT + 1
    assert len({file.text.partition("match")[2] for file in files}) == len(files)
    assert [file.text for file in definitions(50)] == [file.text for file in files[:47]]
    lines = sum(len(file.text.splitlines()) for file in files) / 250
    assert 8 <= lines <= 14


def test_query_compares_every_pair(tmp_path: Path) -> None:
    figures = apart(query.run, tmp_path, events=2_000, devices=100, rounds=1)
    assert set(cast(dict[str, float], figures["ratios"])) == {pair.name for pair in query.PAIRS}


def test_storage_reports_every_part(tmp_path: Path, data: Path) -> None:
    figures: dict[str, Any] = apart(storage.run, tmp_path, events=2_000, devices=100, data=data)
    assert set(figures["ratios"]) == {"demo", "generated"}
    # Every thousandth event came twice and is stored once.
    assert figures["generated"]["events"] == 1_998
    for part in ("demo", "generated"):
        sizes = figures[part]["bytes_per_event"]
        assert set(sizes) == {"core", "event_ids", "keeping", "properties", "all", "json_lines"}
        assert sizes["all"] > 0


def test_a_second_run_stores_nothing_again(tmp_path: Path, data: Path, few: list[Record]) -> None:
    first = apart(storage.demo_figures, tmp_path, data)
    second = apart(storage.demo_figures, tmp_path, data)
    assert first == second
    assert first["events"] == len(few)


def test_lines_are_what_a_load_would_read(few: list[Record]) -> None:
    catalog = load_catalog(shipped_definitions() / "catalog.yaml")
    for record in few:
        read = check_types(parse_record(decode_line(storage.line_of(record))), catalog)
        assert read == check_types(record, catalog)


def generated_lines(folder: Path) -> list[tuple[Any, ...]]:
    engine = make_store(folder, 2_000, 100)
    try:
        return engine.rows(f"SELECT {storage.GENERATED_LINE}, event_type FROM events")
    finally:
        engine.close()


def test_generated_lines_are_what_a_load_would_read(tmp_path: Path) -> None:
    rows = apart(generated_lines, tmp_path)
    kinds: Counter[str] = Counter()
    for line, kind in rows:
        record = check_types(parse_record(decode_line(line)), CATALOG)
        assert record.type == kind
        assert record.values.keys() <= CATALOG.events[kind].properties.keys()
        kinds[record.type] += 1
    assert set(kinds) == set(CATALOG.events)
    assert len({json.loads(line)["eid"] for line, _ in rows}) == len(rows)


def test_the_command_prints_one_object() -> None:
    done = CliRunner().invoke(main, ["compile", "--json", "--definitions", "10"])
    assert done.exit_code == 0, done.output
    figures = json.loads(done.stdout)
    assert figures["benchmark"] == "compile"
    assert set(figures["ratios"]) == {"sqlglot"}


def test_the_command_prints_tables() -> None:
    done = CliRunner().invoke(main, ["compile", "--definitions", "10"])
    assert done.exit_code == 0, done.output
    assert "at most" in done.stdout
    assert "2.5" in done.stdout
    assert "compile …" in done.stderr


def test_all_of_them_together_keep_their_ratios_apart() -> None:
    found: dict[str, dict[str, object]] = {
        "compile": {"ratios": {"sqlglot": 1.5}},
        "storage": {"ratios": {"demo": 9.0}},
    }
    assert together(found)["ratios"] == {"compile.sqlglot": 1.5, "storage.demo": 9.0}


def test_refresh_compares_three_ways(tmp_path: Path) -> None:
    figures: dict[str, Any] = apart(
        refresh.run, tmp_path, events=2_000, devices=100, number=60, rounds=1, growth=(1, 30)
    )
    assert set(figures["ratios"]) == {"one_by_one", "great_scan", "full_scan", "memory"}
    assert figures["members"] > 0
    assert 30 < figures["in_great_scan"] <= figures["definitions"] == 60
    assert [one["definitions"] for one in figures["growth"]] == [1, 30]
    draw_growth(figures, tmp_path / "growth.svg")
    text = (tmp_path / "growth.svg").read_text(encoding="utf-8")
    assert "one by one" in text
    assert "together" in text


def test_an_estimate_is_held_against_the_exact_count(tmp_path: Path) -> None:
    figures: dict[str, Any] = apart(
        estimate.run, tmp_path, events=2_000, devices=100, number=40, rounds=1
    )
    assert 30 < figures["definitions"] <= 40
    assert figures["interval_holds_the_exact_count"] > 0.9
    assert set(figures["ratios"]) == {"exact", "p95_50ms"}


def test_look_ups_are_held_against_a_bare_client(tmp_path: Path) -> None:
    figures: dict[str, Any] = api.run(
        tmp_path, members=100, requests=64, rounds=1, connections=2, streams=2
    )
    assert set(figures["ratios"]) == {"p99", "requests"}
    assert figures["live_streams_that_broke_off"] == 0
    assert all(rate > 0 for rate in figures["requests_a_second"].values())


def test_ingest_stores_what_it_counts(tmp_path: Path) -> None:
    figures: dict[str, Any] = ingest.run(
        tmp_path, seconds=0.5, rounds=1, size=20, connections=2, warm=0.2
    )
    assert set(figures["ratios"]) == {"bare", "loop"}
    assert all(rate > 0 for rate in figures["events_a_second"].values())


def test_withdrawals_are_timed(tmp_path: Path) -> None:
    figures: dict[str, Any] = withdraw.run(
        tmp_path, seconds=1.5, batches=2, size=100, connections=1, every=0.1, steadily=500
    )
    assert all(count > 0 for count in figures["withdrawals"].values())
    assert all(size > 100 for size in figures["members"])
    assert figures["events_a_second"]["steady"] > 0
    assert figures["ratios"]["second"] > 0


def test_clicks_are_timed_under_load(tmp_path: Path) -> None:
    figures: dict[str, Any] = click.run(
        tmp_path, seconds=2, size=20, connections=1, clicks_a_second=20, warm=0.3
    )
    assert set(figures["ratios"]) == {"p99"}
    assert all(count > 2 for count in figures["clicks"].values())
    assert figures["meanwhile"]["events_a_second"] > 0
    for side in figures["milliseconds"].values():
        assert 0 < side["p50"] <= side["p99"] <= side["p99.9"]


def test_publish_compares_and_watches(tmp_path: Path) -> None:
    figures: dict[str, Any] = publish.run(tmp_path, members=[2_000, 70_000], rounds=2)
    assert set(figures["ratios"]) == {"2_000", "70_000"}
    draw_sizes(figures, tmp_path / "sizes.svg")
    assert "raw SADD" in (tmp_path / "sizes.svg").read_text(encoding="utf-8")
    for size in ("2_000", "70_000"):
        found = figures[size]
        # Every round has a version of its own, of which a busy machine's reader may miss some.
        assert found["reader"]["versions"] > 1
        assert (found["reader"]["false_no"], found["reader"]["mixed"]) == (0, 0)
        assert found["changed"]["members"] == found["members"] // 100
        assert 16 < found["bytes_per_member"] <= 60
    assert all(value > 0 for value in figures["70_000"]["slowest_ms"].values())


def test_the_polling_reader_would_see_a_mixture_and_a_false_no(tmp_path: Path) -> None:
    """It is told of markers that the published set does not keep apart, and lacks."""
    keys = [i.to_bytes(16, "big") for i in range(4)]
    with Sets.embedded(tmp_path) as sets:
        sets.publish("vip", 3, [keys[1:3]], at=0)
        markers = (keys[:1], keys[1:2], keys[2:3])
        with publish_reader.polled(f"unix://{tmp_path}/sets.sock", 3, "vip", markers) as reader:
            sets.publish("vip", 3, [keys[1:3]], at=0)
    assert reader.seen["reads"] == reader.seen["false_no"] == reader.seen["mixed"] > 0
