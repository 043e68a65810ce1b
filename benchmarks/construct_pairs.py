"""For each further construct of the language a definition, and the best SQL by hand.

Written under the rules of `query_pairs`. Where the order of events matters it is that of
(time, tie), which the expert packs into one number: twice as fast as a tuple.
"""

from __future__ import annotations

from benchmarks.query_pairs import Pair

#: Ours over theirs, at most, for each of these.
LIMIT = 1.2

PURCHASES = "client_id = {c} AND event_type = 'purchase' AND time <= {t} AND bitAnd(flags, 4) = 4"
VISITS = "client_id = {c} AND event_type = 'visit' AND time <= {t} AND bitAnd(flags, 4) = 4"
VIEWS = "client_id = {c} AND event_type = 'product_view' AND time <= {t} AND bitAnd(flags, 4) = 4"
ORDER = "bitShiftLeft(toInt128(toUnixTimestamp64Milli(time)), 64) + tie"
_HAVERSINE = (
    "pow(sin(radians(lat - 19.4326) / 2), 2) + cos(radians(lat)) * cos(radians(19.4326))"
    " * pow(sin(radians(lon + 99.1332) / 2), 2) <= pow(sin(5000 / (2 * 6371008.8)), 2)"
)

PAIRS: tuple[Pair, ...] = (
    Pair(
        "calendar_month",
        "purchase this month",
        f"""
        SELECT DISTINCT device FROM events
        WHERE {PURCHASES} AND time >= toDateTime64('2026-06-01 00:00:00', 3, 'UTC') AND {{consent}}
        """,
        LIMIT,
    ),
    Pair(
        "median",
        "median(purchase.revenue) > 20000 within 180d",
        f"""
        SELECT device FROM (
            SELECT device FROM events WHERE {PURCHASES} AND time > {{t-180d}}
            GROUP BY device
            HAVING quantileExactLow(n_revenue) + quantileExactHigh(n_revenue) > 40000
        ) WHERE {{consent}}
        """,
        LIMIT,
    ),
    Pair(
        "days",
        "days(visit) >= 4 within 60d",
        f"""
        SELECT device FROM (
            SELECT device FROM events WHERE {VISITS} AND time > {{t-60d}}
            GROUP BY device HAVING uniqExact(toDate(time)) >= 4
        ) WHERE {{consent}}
        """,
        LIMIT,
    ),
    Pair(
        "first_within",
        "first(purchase) within 60d",
        f"""
        SELECT device FROM (
            SELECT device FROM events WHERE {PURCHASES}
            GROUP BY device HAVING min(time) > {{t-60d}}
        ) WHERE {{consent}}
        """,
        LIMIT,
    ),
    Pair(
        "last_property",
        'last(purchase).product_line = "MX"',
        f"""
        SELECT device FROM (
            SELECT device FROM events WHERE {PURCHASES}
            GROUP BY device HAVING argMax(ifNull(s_product_line = 'MX', 0), {ORDER})
        ) WHERE {{consent}}
        """,
        LIMIT,
    ),
    Pair(
        "cart_left",
        "add_to_cart within 30d then no purchase within 24h",
        f"""
        SELECT device FROM (
            SELECT device FROM events
            WHERE client_id = {{c}} AND event_type IN ('add_to_cart', 'purchase')
              AND time > {{t-30d}} AND time <= {{t}} AND bitAnd(flags, 4) = 4
            GROUP BY device
            HAVING arrayExists(
                a -> bitShiftRight(a, 64) <= toUnixTimestamp64Milli({{t-24h}}) AND NOT arrayExists(
                    b -> b > a AND bitShiftRight(b, 64) <= bitShiftRight(a, 64) + 86400000,
                    groupArrayIf({ORDER}, event_type = 'purchase')),
                groupArrayIf({ORDER}, event_type = 'add_to_cart'))
        ) WHERE {{consent}}
        """,
        LIMIT,
    ),
    Pair(
        "view_then_buy",
        "(product_view then purchase within 3d) within 90d",
        # If any pair fits, one of neighbours does.
        f"""
        WITH arraySort(groupArray(({ORDER}) * 2 + (event_type = 'purchase'))) AS events_in_order
        SELECT device FROM (
            SELECT device FROM events
            WHERE client_id = {{c}} AND event_type IN ('product_view', 'purchase')
              AND time > {{t-90d}} AND time <= {{t}} AND bitAnd(flags, 4) = 4
            GROUP BY device
            HAVING arrayExists(
                (a, b) -> bitAnd(a, 1) = 0 AND bitAnd(b, 1) = 1
                    AND bitShiftRight(b, 65) - bitShiftRight(a, 65) <= 259200000,
                arrayPopBack(events_in_order), arrayPopFront(events_in_order))
        ) WHERE {{consent}}
        """,
        LIMIT,
    ),
    Pair(
        "funnel",
        "(product_view then add_to_cart then purchase) within 90d",
        f"""
        SELECT device FROM (
            SELECT device FROM events
            WHERE client_id = {{c}} AND event_type IN ('product_view', 'add_to_cart', 'purchase')
              AND time > {{t-90d}} AND time <= {{t}} AND bitAnd(flags, 4) = 4
            GROUP BY device
            HAVING countIf(event_type = 'product_view') > 0 AND countIf(event_type = 'purchase') > 0
               AND arrayExists(
                a -> a > minIf({ORDER}, event_type = 'product_view')
                    AND a < maxIf({ORDER}, event_type = 'purchase'),
                groupArrayIf({ORDER}, event_type = 'add_to_cart'))
        ) WHERE {{consent}}
        """,
        LIMIT,
    ),
    Pair(
        "regular_visitor",
        "count(visit) >= 1 in 3 of last 4 periods of 14d",
        f"""
        SELECT device FROM (
            SELECT device FROM events WHERE {VISITS} AND time > {{t-56d}}
            GROUP BY device
            HAVING uniqExact(intDiv(toUnixTimestamp64Milli({{t}}) - toUnixTimestamp64Milli(time),
                                    1209600000)) >= 3
        ) WHERE {{consent}}
        """,
        LIMIT,
    ),
    Pair(
        "trait_held",
        'user.plan = "premium" for 30d',
        """
        SELECT device FROM (
            SELECT device FROM traits
            WHERE client_id = {c} AND name = 'plan' AND time <= {t} AND bitAnd(flags, 4) = 4
            GROUP BY device
            HAVING argMaxIf(ifNull(v_string = 'premium', 0), (time, tie), time <= {t-30d})
               AND countIf(time > {t-30d} AND NOT ifNull(v_string = 'premium', 0)) = 0
        ) WHERE {consent}
        """,
        LIMIT,
    ),
    Pair(
        "score",
        "score.churn >= 0.75",
        """
        SELECT device FROM (
            SELECT device FROM scores
            WHERE client_id = {c} AND name = 'churn' AND time <= {t} AND bitAnd(flags, 4) = 4
            GROUP BY device HAVING argMax(value, (time, tie)) >= 0.75
        )
        -- a score alone makes no device exist
        WHERE device IN (
            SELECT device FROM events
            WHERE client_id = {c} AND time <= {t} AND bitAnd(flags, 4) = 4
            UNION ALL
            SELECT device FROM traits
            WHERE client_id = {c} AND name = '' AND time <= {t} AND bitAnd(flags, 4) = 4
        ) AND {consent}
        """,
        LIMIT,
    ),
    Pair(
        "rfm",
        "rfm is champions",
        f"""
        SELECT device FROM (
            SELECT device FROM events WHERE {PURCHASES}
            GROUP BY device
            HAVING max(time) >= {{t-7d}} AND countIf(time > {{t-180d}}) >= 5
               AND sum(n_revenue) > 50000
        ) WHERE {{consent}}
        """,
        LIMIT,
    ),
    Pair(
        "affinity",
        'affine to "SKU-17"',
        f"""
        WITH buyers AS (SELECT device FROM events
                        WHERE {PURCHASES} AND s_product_id = 'SKU-17' AND {{consent}})
        SELECT device FROM (
            SELECT DISTINCT device FROM events
            WHERE {PURCHASES} AND device NOT IN (SELECT device FROM buyers)
              AND s_product_id IN (
                SELECT s_product_id FROM events
                WHERE {PURCHASES} AND device IN (SELECT device FROM buyers)
                  AND s_product_id != 'SKU-17'
                GROUP BY s_product_id HAVING uniqExact(device) >= 2)
        ) WHERE {{consent}}
        """,
        LIMIT,
    ),
    Pair(
        "top_spenders",
        "purchase within 90d keep top 10000 by sum(purchase.revenue within 90d)",
        f"""
        SELECT device FROM events WHERE {PURCHASES} AND time > {{t-90d}} AND {{consent}}
        GROUP BY device ORDER BY sum(n_revenue) DESC, device LIMIT 10000
        """,
        LIMIT,
    ),
    Pair(
        "sampled",
        "purchase within 90d sample 10%",
        f"""
        SELECT device FROM (
            SELECT DISTINCT device FROM events WHERE {PURCHASES} AND time > {{t-90d}}
              AND {{consent}}
        ) WHERE reinterpretAsUInt64(reverse(substring(
            SHA256(concat('{{c}}|sampled|', lower(hex(device)))), 1, 8))) < 1844674407370955162
        """,
        LIMIT,
    ),
    Pair(
        "near",
        "visit[location within 5km of (19.4326, -99.1332)] within 60d",
        f"""
        SELECT DISTINCT device FROM (
            SELECT device, p_location[1] AS lat, p_location[2] AS lon
            FROM events WHERE {VISITS} AND time > {{t-60d}} AND notEmpty(p_location)
        ) WHERE {_HAVERSINE} AND {{consent}}
        """,
        LIMIT,
    ),
    Pair(
        "in_zone",
        'visit[location in zone("centro")] within 60d',
        f"""
        SELECT DISTINCT device FROM events
        WHERE {VISITS} AND time > {{t-60d}}
          AND notEmpty(p_location) AND pointInPolygon(
            (p_location[1], p_location[2]),
            [(19.41, -99.16), (19.41, -99.11), (19.45, -99.11), (19.46, -99.14), (19.45, -99.16)])
          AND {{consent}}
        """,
        LIMIT,
    ),
    Pair(
        "due_soon",
        "purchase.due within next 7d",
        f"""
        SELECT DISTINCT device FROM events
        WHERE {PURCHASES} AND t_due > {{t}} AND t_due <= {{t+7d}} AND {{consent}}
        """,
        LIMIT,
    ),
    Pair(
        "birthday",
        "user.birthday anniversary within next 7d",
        """
        SELECT device FROM (
            SELECT device FROM traits
            WHERE client_id = {c} AND name = 'birthday' AND time <= {t} AND bitAnd(flags, 4) = 4
            GROUP BY device
            HAVING toMonth(argMax(v_time, (time, tie)) AS born) = 6
               AND toDayOfMonth(born) BETWEEN 16 AND 22
        ) WHERE {consent}
        """,
        LIMIT,
    ),
    Pair(
        "reference_twice",
        "(in segment buyers and visit within 14d) or (in segment buyers and refund within 14d)",
        f"""
        SELECT DISTINCT device FROM events
        WHERE client_id = {{c}} AND event_type IN ('visit', 'refund') AND time > {{t-14d}}
          AND time <= {{t}} AND bitAnd(flags, 4) = 4 AND {{consent}}
          AND device IN (
            SELECT device FROM events WHERE {PURCHASES} AND time > {{t-90d}}
            GROUP BY device HAVING sum(n_revenue) > 20000)
        """,
        LIMIT,
        "segment buyers match sum(purchase.revenue) > 20000 within 90d",
    ),
)
