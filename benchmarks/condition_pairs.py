"""For measures, order, traits, lists and what stands after the condition (section 5 of the
language) further definitions, and the best SQL by hand, under the rules of `query_pairs`.
"""

from __future__ import annotations

from benchmarks.construct_pairs import LIMIT, ORDER, PURCHASES, VIEWS, VISITS
from benchmarks.query_pairs import Pair

#: Every device there is: a visible event or identify.
_UNIVERSE = """
    SELECT DISTINCT device FROM events
    WHERE client_id = {c} AND time <= {t} AND bitAnd(flags, 4) = 4
    UNION DISTINCT
    SELECT DISTINCT device FROM traits
    WHERE client_id = {c} AND name = '' AND time <= {t} AND bitAnd(flags, 4) = 4
"""
#: The same to look into: nothing need be told apart.
_EVERYONE = _UNIVERSE.replace("DISTINCT device", "device").replace("DISTINCT", "ALL")
_PLANS = "client_id = {c} AND name = 'plan' AND time <= {t} AND bitAnd(flags, 4) = 4"
_CHURN = "client_id = {c} AND name = 'churn' AND time <= {t} AND bitAnd(flags, 4) = 4"
_VIPS = """
    SELECT device FROM lists WHERE client_id = {c} AND name = 'vip'
      AND version = (SELECT max(version) FROM lists WHERE client_id = {c} AND name = 'vip')
"""

PAIRS: tuple[Pair, ...] = (
    Pair(
        "weeks",
        "weeks(visit) >= 4 within 60d",
        f"""
        SELECT device FROM (
            SELECT device FROM events WHERE {VISITS} AND time > {{t-60d}}
            GROUP BY device HAVING uniqExact(toMonday(time)) >= 4
        ) WHERE {{consent}}
        """,
        LIMIT,
    ),
    Pair(
        "months",
        "months(visit) >= 5 within 180d",
        f"""
        SELECT device FROM (
            SELECT device FROM events WHERE {VISITS} AND time > {{t-180d}}
            GROUP BY device HAVING uniqExact(toYYYYMM(time)) >= 5
        ) WHERE {{consent}}
        """,
        LIMIT,
    ),
    Pair(
        "distinct",
        "distinct(product_view.product_id) >= 5 within 90d",
        f"""
        SELECT device FROM (
            SELECT device FROM events WHERE {VIEWS} AND time > {{t-90d}}
            GROUP BY device HAVING uniqExact(s_product_id) >= 5
        ) WHERE {{consent}}
        """,
        LIMIT,
    ),
    Pair(
        "average",
        "avg(purchase.revenue) > 20000 within 180d",
        # Cents of fewer than a million rows: cutting the quotient changes nothing.
        f"""
        SELECT device FROM (
            SELECT device FROM events WHERE {PURCHASES} AND time > {{t-180d}}
            GROUP BY device HAVING sum(n_revenue) > 20000 * count(n_revenue)
        ) WHERE {{consent}}
        """,
        LIMIT,
    ),
    Pair(
        "largest",
        "max(purchase.revenue) > 25000 within 180d",
        f"""
        SELECT DISTINCT device FROM events
        WHERE {PURCHASES} AND time > {{t-180d}} AND n_revenue > 25000 AND {{consent}}
        """,
        LIMIT,
    ),
    Pair(
        "smallest",
        "min(purchase.revenue) > 5000 within 180d",
        f"""
        SELECT device FROM (
            SELECT device FROM events WHERE {PURCHASES} AND time > {{t-180d}}
            GROUP BY device HAVING min(n_revenue) > 5000
        ) WHERE {{consent}}
        """,
        LIMIT,
    ),
    Pair(
        "two_to_four",
        "count(purchase) in 2..4 within 90d",
        f"""
        SELECT device FROM (
            SELECT device FROM events WHERE {PURCHASES} AND time > {{t-90d}}
            GROUP BY device HAVING count() BETWEEN 2 AND 4
        ) WHERE {{consent}}
        """,
        LIMIT,
    ),
    Pair(
        "at_most_one",
        "count(purchase) <= 1 within 90d",
        f"""
        SELECT device FROM ({_UNIVERSE}) WHERE device NOT IN (
            SELECT device FROM events WHERE {PURCHASES} AND time > {{t-90d}}
            GROUP BY device HAVING count() > 1)
          AND {{consent}}
        """,
        LIMIT,
    ),
    Pair(
        "net_of_refunds",
        "sum(purchase.revenue) - sum(refund.revenue) > 40000 within 180d",
        """
        SELECT device FROM (
            SELECT device FROM events
            WHERE client_id = {c} AND event_type IN ('purchase', 'refund')
              AND time > {t-180d} AND time <= {t} AND bitAnd(flags, 4) = 4
            GROUP BY device
            HAVING sum(if(event_type = 'purchase', n_revenue, -n_revenue)) > 40000
        ) WHERE {consent}
        """,
        LIMIT,
    ),
    Pair(
        "dearer_than_before",
        "sum(purchase.revenue within 30d) / count(purchase within 30d)"
        " > 1.5 * avg(purchase.revenue between 30d and 180d ago)",
        # Without a division; the counts are above zero, or neither side is.
        f"""
        SELECT device FROM (
            SELECT device FROM events WHERE {PURCHASES} AND time > {{t-180d}}
            GROUP BY device
            HAVING countIf(time > {{t-30d}} AS new) > 0 AND countIf(NOT new) > 0
               AND 2 * sumIf(n_revenue, new) * countIf(NOT new)
                 > 3 * sumIf(n_revenue, NOT new) * countIf(new)
        ) WHERE {{consent}}
        """,
        LIMIT,
    ),
    Pair(
        "first_property",
        'first(purchase).product_line = "MX"',
        f"""
        SELECT device FROM (
            SELECT device FROM events WHERE {PURCHASES}
            GROUP BY device HAVING argMin(ifNull(s_product_line = 'MX', 0), {ORDER})
        ) WHERE {{consent}}
        """,
        LIMIT,
    ),
    Pair(
        "last_within",
        "last(purchase) between 30d and 60d ago",
        f"""
        SELECT device FROM (
            SELECT device FROM events WHERE {PURCHASES} AND time > {{t-60d}}
            GROUP BY device HAVING max(time) <= {{t-30d}}
        ) WHERE {{consent}}
        """,
        LIMIT,
    ),
    Pair(
        "browsed_and_left",
        "product_view within 30d then add_to_cart within 3d then no purchase within 3d",
        f"""
        WITH groupArrayIf({ORDER}, event_type = 'product_view') AS views,
             groupArrayIf({ORDER}, event_type = 'purchase') AS purchases
        SELECT device FROM (
            SELECT device FROM events
            WHERE client_id = {{c}} AND event_type IN ('product_view', 'add_to_cart', 'purchase')
              AND time > {{t-30d}} AND time <= {{t}} AND bitAnd(flags, 4) = 4
            GROUP BY device
            HAVING arrayExists(
                c -> bitShiftRight(c, 64) <= toUnixTimestamp64Milli({{t-3d}})
                    AND arrayExists(v -> v < c AND
                        bitShiftRight(v, 64) >= bitShiftRight(c, 64) - 259200000, views)
                    AND NOT arrayExists(p -> p > c AND
                        bitShiftRight(p, 64) <= bitShiftRight(c, 64) + 259200000, purchases),
                groupArrayIf({ORDER}, event_type = 'add_to_cart'))
        ) WHERE {{consent}}
        """,
        LIMIT,
    ),
    Pair(
        "regular_weeks",
        "count(visit) >= 1 in 3 of last 4 periods of calendar weeks",
        f"""
        SELECT device FROM (
            SELECT device FROM events
            WHERE {VISITS} AND time >= toDateTime64('2026-05-25 00:00:00', 3, 'UTC')
            GROUP BY device HAVING uniqExact(toMonday(time)) >= 3
        ) WHERE {{consent}}
        """,
        LIMIT,
    ),
    Pair(
        "renewal",
        "user.renewal within next 7d",
        """
        SELECT device FROM (
            SELECT device FROM traits
            WHERE client_id = {c} AND name = 'renewal' AND time <= {t} AND bitAnd(flags, 4) = 4
            GROUP BY device
            HAVING (argMax(v_time, (time, tie)) AS renewed) > {t} AND renewed <= {t+7d}
        ) WHERE {consent}
        """,
        LIMIT,
    ),
    Pair(
        "some_plans",
        'user.plan in ("plus", "premium")',
        f"""
        SELECT device FROM (
            SELECT device FROM traits WHERE {_PLANS}
            GROUP BY device HAVING argMax(ifNull(v_string IN ('plus', 'premium'), 0), (time, tie))
        ) WHERE {{consent}}
        """,
        LIMIT,
    ),
    Pair(
        "no_free_plan",
        'user.plan != "free" or missing',
        f"""
        SELECT device FROM ({_UNIVERSE}) WHERE device NOT IN (
            SELECT device FROM traits WHERE {_PLANS}
            GROUP BY device HAVING argMax(ifNull(v_string = 'free', 0), (time, tie)))
          AND {{consent}}
        """,
        LIMIT,
    ),
    Pair(
        "premium_or_churning",
        'user.plan = "premium" or score.churn >= 0.9',
        f"""
        SELECT device FROM (
            SELECT device FROM traits WHERE {_PLANS}
            GROUP BY device HAVING argMax(ifNull(v_string = 'premium', 0), (time, tie))
            UNION DISTINCT
            SELECT device FROM (
                SELECT device FROM scores WHERE {_CHURN}
                GROUP BY device HAVING argMax(value, (time, tie)) >= 0.9
            ) WHERE device IN ({_EVERYONE})
        ) WHERE {{consent}}
        """,
        LIMIT,
    ),
    Pair(
        "in_list",
        "visit within 30d and in list vip",
        f"""
        SELECT DISTINCT device FROM events
        WHERE {VISITS} AND time > {{t-30d}} AND device IN ({_VIPS}) AND {{consent}}
        """,
        LIMIT,
    ),
    Pair(
        "not_in_list",
        "purchase within 90d and not in list vip",
        f"""
        SELECT DISTINCT device FROM events
        WHERE {PURCHASES} AND time > {{t-90d}} AND device NOT IN ({_VIPS}) AND {{consent}}
        """,
        LIMIT,
    ),
    Pair(
        "neither",
        "not (purchase within 90d or visit within 90d)",
        f"""
        SELECT device FROM ({_UNIVERSE}) WHERE device NOT IN (
            SELECT device FROM events
            WHERE client_id = {{c}} AND event_type IN ('purchase', 'visit')
              AND time > {{t-90d}} AND time <= {{t}} AND bitAnd(flags, 4) = 4)
          AND {{consent}}
        """,
        LIMIT,
    ),
    Pair(
        "rfm_scores",
        "rfm.recency >= 4 and rfm.monetary >= 4",
        f"""
        SELECT device FROM (
            SELECT device FROM events WHERE {PURCHASES}
            GROUP BY device HAVING max(time) >= {{t-30d}} AND sum(n_revenue) > 20000
        ) WHERE {{consent}}
        """,
        LIMIT,
    ),
    Pair(
        "least_spenders",
        "purchase within 90d keep bottom 5% by sum(purchase.revenue within 90d)",
        f"""
        SELECT device FROM (
            SELECT device, row_number() OVER (ORDER BY spent, device) AS place, count() OVER () AS n
            FROM (
                SELECT device, sum(n_revenue) AS spent FROM events
                WHERE {PURCHASES} AND time > {{t-90d}} AND {{consent}} GROUP BY device)
        ) WHERE (place - 1) * 100 < n * 5
        """,
        LIMIT,
    ),
    Pair(
        "held_out",
        "purchase within 90d holdout 5%",
        f"""
        SELECT device FROM (
            SELECT DISTINCT device FROM events WHERE {PURCHASES} AND time > {{t-90d}}
              AND {{consent}}
        ) WHERE reinterpretAsUInt64(reverse(substring(
            SHA256(concat('{{c}}|held_out|', lower(hex(device)))), 1, 8))) < 17524406870024074036
        """,
        LIMIT,
    ),
)
