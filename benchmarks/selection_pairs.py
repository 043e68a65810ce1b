"""For windows, selections and their predicates (sections 3 and 4 of the language) further
definitions, and the best SQL by hand, under the rules of `query_pairs`.
"""

from __future__ import annotations

from benchmarks.construct_pairs import LIMIT, PURCHASES, VISITS
from benchmarks.query_pairs import Pair

PAIRS: tuple[Pair, ...] = (
    Pair(
        "one_line",
        'purchase[any products[id = "SKU-17" and price > 5000]] within 180d',
        # Most rows have no such line, and `has` knows it by the dictionary.
        f"""
        SELECT DISTINCT device FROM events
        WHERE {PURCHASES} AND time > {{t-180d}} AND has(os_products___id, 'SKU-17') AND arrayExists(
            (id, price) -> id = 'SKU-17' AND price > 5000, os_products___id, on_products___price)
          AND {{consent}}
        """,
        LIMIT,
    ),
    Pair(
        "some_lines",
        'purchase[products.id has any ("SKU-17", "SKU-18", "SKU-19")] within 180d',
        f"""
        SELECT DISTINCT device FROM events
        WHERE {PURCHASES} AND time > {{t-180d}}
          AND hasAny(os_products___id, ['SKU-17', 'SKU-18', 'SKU-19']) AND {{consent}}
        """,
        LIMIT,
    ),
    Pair(
        "all_tags",
        'purchase[tags has all ("gift", "sale")] within 90d',
        f"""
        SELECT DISTINCT device FROM events
        WHERE {PURCHASES} AND time > {{t-90d}} AND hasAll(ss_tags, ['gift', 'sale']) AND {{consent}}
        """,
        LIMIT,
    ),
    Pair(
        "other_coupon",
        'purchase[coupon != "C1" or missing] within 60d',
        f"""
        SELECT DISTINCT device FROM events
        WHERE {PURCHASES} AND time > {{t-60d}} AND ifNull(s_coupon != 'C1', 1) AND {{consent}}
        """,
        LIMIT,
    ),
    Pair(
        "no_coupon",
        "purchase[coupon is missing] within 60d",
        f"""
        SELECT DISTINCT device FROM events
        WHERE {PURCHASES} AND time > {{t-60d}} AND s_coupon IS NULL AND {{consent}}
        """,
        LIMIT,
    ),
    Pair(
        "starts_and_ends",
        'visit[page starts with "/p/1" and not page ends with "0"] within 60d',
        f"""
        SELECT DISTINCT device FROM events
        WHERE {VISITS} AND time > {{t-60d}} AND startsWith(s_page, '/p/1')
          AND NOT endsWith(s_page, '0') AND {{consent}}
        """,
        LIMIT,
    ),
    Pair(
        "page_contains",
        'visit[page contains "/P/12" ignoring case] within 60d',
        f"""
        SELECT DISTINCT device FROM events
        WHERE {VISITS} AND time > {{t-60d}} AND positionCaseInsensitive(s_page, '/p/12') > 0
          AND {{consent}}
        """,
        LIMIT,
    ),
    Pair(
        "pattern",
        'visit[page matches "^/p/[12][0-9]$"] within 60d',
        f"""
        SELECT DISTINCT device FROM events
        WHERE {VISITS} AND time > {{t-60d}} AND match(s_page, '^/p/[12][0-9]$') AND {{consent}}
        """,
        LIMIT,
    ),
    Pair(
        "two_properties",
        "purchase[revenue < quantity] within 365d",
        f"""
        SELECT DISTINCT device FROM events
        WHERE {PURCHASES} AND time > {{t-365d}} AND n_revenue < n_quantity AND {{consent}}
        """,
        LIMIT,
    ),
    Pair(
        "ranges",
        "purchase[quantity in (1, 3, 5) and revenue in 10000..20000] within 90d",
        f"""
        SELECT DISTINCT device FROM events
        WHERE {PURCHASES} AND time > {{t-90d}} AND n_revenue BETWEEN 10000 AND 20000
          AND n_quantity IN (1, 3, 5) AND {{consent}}
        """,
        LIMIT,
    ),
    Pair(
        "either_event",
        "(product_view | add_to_cart)[price > 19000] within 60d",
        """
        SELECT DISTINCT device FROM events
        WHERE client_id = {c} AND event_type IN ('product_view', 'add_to_cart')
          AND time > {t-60d} AND time <= {t} AND bitAnd(flags, 4) = 4 AND n_price > 19000
          AND {consent}
        """,
        LIMIT,
    ),
    Pair(
        "any_event",
        'any event[product_id = "SKU-17"] within 180d',
        """
        SELECT DISTINCT device FROM events
        WHERE client_id = {c} AND time > {t-180d} AND time <= {t} AND bitAnd(flags, 4) = 4
          AND s_product_id = 'SKU-17' AND {consent}
        """,
        LIMIT,
    ),
    Pair(
        "quarter",
        "purchase.revenue > 29000 in 2026-Q1",
        f"""
        SELECT DISTINCT device FROM events
        WHERE {PURCHASES} AND time >= toDateTime64('2026-01-01 00:00:00', 3, 'UTC')
          AND time < toDateTime64('2026-04-01 00:00:00', 3, 'UTC') AND n_revenue > 29000
          AND {{consent}}
        """,
        LIMIT,
    ),
    Pair(
        "lapsed",
        "purchase before 90d ago and no purchase within 90d",
        f"""
        SELECT device FROM (
            SELECT device FROM events WHERE {PURCHASES}
            GROUP BY device HAVING max(time) <= {{t-90d}}
        ) WHERE {{consent}}
        """,
        LIMIT,
    ),
)
