"""UCI Online Retail: invoices as purchases and refunds; sizes against pandas over the same file.

Every fifth invoice, whole: the mapping needs half a minute for all 541,909 lines, which pass too
(`SHARE = 1`: 22,190 invoices accepted, 135,080 lines refused, 5,268 repeated).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from relo_dsl.engine import Engine
from relo_dsl.times import parse_instant
from tests.real_data.shop import Shop, load_shop

CLIENT = 990_001
SHARE = 5
HERE = Path(__file__).parent / "online_retail"
INSTANTS = ["2011-12-10", "2011-10-01T09:30", "2011-03-27T14:00"]


@pytest.fixture(scope="module")
def file(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file with every fifth invoice."""
    whole = pd.read_parquet(shared_data / "online_retail.parquet")
    chosen = whole[whole.InvoiceNo.str[-4:].astype(int) % SHARE == 0]
    path = tmp_path_factory.mktemp("online_retail") / "invoices.parquet"
    chosen.to_parquet(path, index=False)
    return path


@pytest.fixture(scope="module")
def lines(file: Path) -> Any:
    """The lines of the customers, each once: the file as a person would clean it by hand."""
    lines = pd.read_parquet(file).drop_duplicates()
    lines = lines[lines.CustomerID.notna()].copy()
    lines["did"] = lines.CustomerID.astype(int).astype(str)
    # Prices have three places: whole tenths of a penny, so that no sum is off by a binary float.
    lines["mills"] = (lines.Quantity * (lines.UnitPrice * 1000).round()).astype("int64")
    return lines


@pytest.fixture(scope="module")
def invoices(lines: Any) -> Any:
    found = lines.groupby("InvoiceNo", sort=False).agg(
        did=("did", "first"), time=("InvoiceDate", "first"), mills=("mills", "sum")
    )
    found["time"] = found.time.dt.tz_localize("Europe/London").dt.tz_convert("UTC")
    return found.assign(refund=found.index.str.startswith("C"))


@pytest.fixture(scope="module")
def shop(engine: Engine, file: Path) -> Shop:
    return load_shop(engine, HERE, file, CLIENT)


def test_every_line_is_accounted_for(shop: Shop, invoices: Any, file: Path) -> None:
    whole = pd.read_parquet(file)
    assert shop.loaded.accepted == len(invoices) > 20_000 / SHARE
    assert shop.loaded.duplicate == 0
    assert shop.loaded.repeated_rows == whole.duplicated().sum() > 4_000 / SHARE
    [(reason, rows)] = shop.loaded.reason_rows.items()
    assert "CustomerID" in reason
    assert rows == whole.CustomerID.isna().sum() > 100_000 / SHARE
    counts = dict(
        shop.engine.rows(
            "SELECT event_type, count() FROM events WHERE client_id = {c:UInt32} GROUP BY 1",
            {"c": CLIENT},
        )
    )
    assert counts == {
        "purchase": (~invoices.refund).sum(),
        "refund": invoices.refund.sum(),
    }


@pytest.mark.parametrize("at", INSTANTS)
def test_keen(shop: Shop, invoices: Any, at: str) -> None:
    now = pd.Timestamp(at, tz="UTC")
    recent = invoices[
        ~invoices.refund & (invoices.time > now - pd.Timedelta("90D")) & (invoices.time <= now)
    ]
    counts = recent.groupby("did").size()
    agree(shop, "keen", at, counts[counts >= 3])


@pytest.mark.parametrize("at", INSTANTS)
def test_generous_and_content(shop: Shop, invoices: Any, at: str) -> None:
    now = pd.Timestamp(at, tz="UTC")
    recent = invoices[(invoices.time > now - pd.Timedelta("180D")) & (invoices.time <= now)]
    spent = recent[~recent.refund].groupby("did").mills.sum()
    sent_back = recent[recent.refund].did
    agree(
        shop, "generous_and_content", at, spent[(spent > 1_000_000) & ~spent.index.isin(sent_back)]
    )


@pytest.mark.parametrize("at", INSTANTS)
def test_hearts_by_the_box(shop: Shop, lines: Any, invoices: Any, at: str) -> None:
    now = pd.Timestamp(at, tz="UTC")
    hearts = lines[(lines.StockCode == "85123A") & (lines.Quantity >= 12)].InvoiceNo
    boxes = invoices[invoices.index.isin(hearts) & ~invoices.refund & (invoices.time <= now)]
    year = boxes[boxes.time > now - pd.Timedelta("365D")].groupby("did").size()
    lately = boxes[boxes.time > now - pd.Timedelta("60D")].did
    agree(shop, "hearts_by_the_box", at, year[~year.index.isin(lately)])


def agree(shop: Shop, name: str, at: str, by_hand: Any) -> None:
    """The same members, and not none."""
    expected = shop.keys(list(by_hand.index))
    assert shop.members(name, parse_instant(at)) == expected
    assert len(expected) > 1
