"""The demo's records say what the files say: nothing lost, nothing made up but consent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from relo_dsl.catalog import Catalog
from relo_dsl.records import Record
from relo_server.demo import consent, data
from relo_server.demo.shift import SHOP_ZONE, Shift
from relo_server.demo.store import all_records


def value_of(record: Record, name: str) -> Any:
    return record.values[name]


def rows(folder: Path, name: str) -> int:
    return int(pq.read_metadata(folder / f"{name}.parquet").num_rows)


def test_the_whole_data_have_what_is_expected() -> None:
    folder = data.data_folder()
    baskets = pq.read_table(folder / "transactions.parquet", columns=["basket_id", "household_id"])
    assert baskets.num_rows == 1_469_307
    assert pc.count_distinct(baskets["household_id"]).as_py() == 2_469
    counts = {"purchase": pc.count_distinct(baskets["basket_id"]).as_py()}
    counts |= {
        kind: rows(folder, name)
        for kind, name in (
            ("campaign", "campaigns"),
            ("coupon", "coupon_redemptions"),
            ("identify", "demographics"),
        )
    }
    assert counts == data.EXPECTED


def test_every_row_of_the_slice_becomes_a_record(
    small_data: Path, small_records: Sequence[Record]
) -> None:
    counts = Counter(record.type for record in small_records)
    assert counts["campaign"] == rows(small_data, "campaigns") > 0
    assert counts["coupon"] == rows(small_data, "coupon_redemptions") > 0
    assert counts["identify"] == rows(small_data, "demographics") > 0
    lines = pq.read_table(small_data / "transactions.parquet")
    assert counts["purchase"] == pc.count_distinct(lines["basket_id"]).as_py() > 1_000
    assert len({record.id for record in small_records}) == len(small_records)


def test_purchases_add_up_to_the_cent(small_data: Path, small_records: Sequence[Record]) -> None:
    lines = pq.read_table(small_data / "transactions.parquet").to_pylist()
    purchases = [record for record in small_records if record.type == "purchase"]

    def dollars(*columns: str) -> Decimal:
        return sum((Decimal(str(round(line[c], 2))) for line in lines for c in columns), Decimal(0))

    def total(name: str) -> Decimal:
        return sum((value_of(record, name) for record in purchases), Decimal(0))

    assert total("revenue") == dollars("sales_value")
    assert total("discount") == dollars("retail_disc")
    assert total("coupon_value") == dollars("coupon_disc", "coupon_match_disc")
    assert total("lines") == len(lines)
    assert sum(len(value_of(record, "products")) for record in purchases) == len(lines)


def test_one_basket_line_for_line(small_data: Path, shift: Shift) -> None:
    lines = pq.read_table(small_data / "transactions.parquet").to_pylist()
    about = {p["product_id"]: p for p in pq.read_table(small_data / "products.parquet").to_pylist()}
    of_basket = Counter(line["basket_id"] for line in lines)
    basket = next(number for number, count in of_basket.items() if count == 5)
    mine = sorted((x for x in lines if x["basket_id"] == basket), key=lambda x: x["product_id"])
    [record] = [
        r for r in data.purchases(small_data, Shift(0).clock(), 3) if r.id == f"basket-{basket}"
    ]
    assert record.device == str(mine[0]["household_id"])
    assert record.time == int(mine[0]["transaction_timestamp"].timestamp() * 1000)
    assert record.values["products"] == tuple(
        {
            "id": str(line["product_id"]),
            "department": about[line["product_id"]]["department"],
            "category": about[line["product_id"]]["product_category"],
            "brand": about[line["product_id"]]["brand"],
            "quantity": Decimal(line["quantity"]),
            "paid": Decimal(str(round(line["sales_value"], 2))),
            "discount": Decimal(str(round(line["retail_disc"], 2))),
        }
        for line in mine
    )


def test_days_are_midnights_in_the_shop(small_records: Sequence[Record]) -> None:
    for record in small_records:
        if record.type in ("campaign", "coupon", "identify"):
            local = datetime.fromtimestamp(record.time / 1000, ZoneInfo(SHOP_ZONE))
            assert (local.hour, local.minute) == (0, 0)


def test_ids_do_not_change_with_the_shift(small_data: Path) -> None:
    near, far = (
        [record.id for record in all_records(small_data, Shift(weeks), 3)] for weeks in (0, 464)
    )
    assert near == far


def test_the_catalog_names_everything_that_the_records_hold(
    small_records: Sequence[Record], catalog: Catalog
) -> None:
    held: dict[str, set[str]] = {}
    for record in small_records:
        if record.kind != "consent":
            held.setdefault(record.type, set()).update(record.values)
    assert held.pop("identify") == set(catalog.traits)
    assert held == {name: set(event.properties) for name, event in catalog.events.items()}
    for record in small_records:
        specs = catalog.traits if record.kind == "identify" else None
        for name, value in record.values.items():
            allowed = specs[name].enum if specs else None
            assert allowed is None or value in allowed
    products = catalog.events["purchase"].properties["products"].fields
    fields = {
        name
        for record in small_records
        if record.type == "purchase"
        for item in value_of(record, "products")
        for name in item
    }
    assert fields == set(products)


def test_made_up_consent_has_the_shares_it_says() -> None:
    households = [str(number) for number in range(20_000)]
    made = list(consent.made_up_consent(households, Shift(0), 3))
    shares = Counter(record.consent for record in made)
    for share, flags, _ in consent.CHOICES:
        assert shares[flags] / len(households) == pytest.approx(share, abs=0.005)
    again = consent.made_up_consent(reversed(households), Shift(0), 3)
    assert list(again) == made
