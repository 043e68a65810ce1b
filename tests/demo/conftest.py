"""A slice of the demo's real data: the same files, with forty households."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from relo_dsl.catalog import Catalog, load_catalog
from relo_dsl.records import Record, check_types
from relo_server.demo.data import data_folder
from relo_server.demo.project import shipped_definitions
from relo_server.demo.shift import Shift
from relo_server.demo.store import all_records

CLIENT = 3
#: Every sixtieth household; among them some of the survey, of the campaigns and of the coupons.
SLICE = [number for number in range(1, 2_501) if number % 60 == 1]


@pytest.fixture(scope="session")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("slice")
    for path in data_folder().glob("*.parquet"):
        if path.stem in ("promotions", "coupons"):  # of no use to the demo, and large
            continue
        table = pq.read_table(path)
        if "household_id" in table.column_names:
            table = table.filter(pc.field("household_id").isin(SLICE))
        pq.write_table(table, folder / path.name)
    return folder


@pytest.fixture(scope="session")
def shift() -> Shift:
    """To this week: what the engine keeps, it keeps for 24 months from now."""
    return Shift.ending_in_week_of(int(time.time() * 1000))


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    return load_catalog(shipped_definitions() / "catalog.yaml")


@pytest.fixture(scope="session")
def small_records(small_data: Path, shift: Shift, catalog: Catalog) -> Sequence[Record]:
    found = all_records(small_data, shift, CLIENT)
    return [check_types(record, catalog) for record in found]
