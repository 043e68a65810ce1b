"""RetailRocket: views, carts and purchases; sizes against pandas over the same file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from relo_dsl.engine import Engine
from relo_dsl.times import parse_instant
from tests.real_data.shop import Shop, load_shop

CLIENT = 990_002
HERE = Path(__file__).parent / "retailrocket"
INSTANTS = ["2015-08-15", "2015-07-01T08:00", "2015-09-18"]
DAY = 86_400_000


@pytest.fixture(scope="module")
def events(shared_data: Path) -> Any:
    events = pd.read_csv(shared_data / "retailrocket_events.csv")
    return events.assign(did=events.visitorid.astype(str))


@pytest.fixture(scope="module")
def shop(engine: Engine, shared_data: Path) -> Shop:
    return load_shop(engine, HERE, shared_data / "retailrocket_events.csv", CLIENT)


def test_every_row_is_accounted_for(shop: Shop, events: Any) -> None:
    assert shop.loaded.refused == 0
    assert shop.loaded.duplicate == events.duplicated().sum() == 3
    assert shop.loaded.accepted == len(events) - 3
    counts = dict(
        shop.engine.rows(
            "SELECT event_type, count() FROM events WHERE client_id = {c:UInt32} GROUP BY 1",
            {"c": CLIENT},
        )
    )
    by_hand = events.drop_duplicates().event.value_counts()
    assert counts == {
        "view": by_hand["view"],
        "add_to_cart": by_hand["addtocart"],
        "purchase": by_hand["transaction"],
    }


@pytest.mark.parametrize("at", INSTANTS)
def test_browsers(shop: Shop, events: Any, at: str) -> None:
    views = within(events[events.event == "view"], at, 30)
    items = views.groupby("did").itemid.nunique()
    agree(shop, "browsers", at, items[items >= 5].index)


@pytest.mark.parametrize("at", INSTANTS)
def test_carts_left(shop: Shop, events: Any, at: str) -> None:
    recent = within(events, at, 14)
    carts = set(recent[recent.event == "addtocart"].did)
    agree(shop, "carts_left", at, carts - set(recent[recent.event == "transaction"].did))


@pytest.mark.parametrize("at", INSTANTS)
def test_looked_once_long_ago(shop: Shop, events: Any, at: str) -> None:
    distinct = events.drop_duplicates()
    old = distinct[distinct.timestamp <= parse_instant(at) - 28 * DAY]
    views = old[old.event == "view"].groupby("did").size()
    agree(
        shop,
        "looked_once_long_ago",
        at,
        set(views[views <= 2].index) - set(within(events, at, 28).did),
    )


def within(events: Any, at: str, days: int) -> Any:
    now = parse_instant(at)
    return events[(events.timestamp > now - days * DAY) & (events.timestamp <= now)]


def agree(shop: Shop, name: str, at: str, by_hand: Any) -> None:
    """The same members, and not none."""
    expected = shop.keys(list(by_hand))
    assert shop.members(name, parse_instant(at)) == expected
    assert len(expected) > 1
