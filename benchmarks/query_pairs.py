"""Ten definitions, and for each the best SQL that an expert would write by hand.

The expert knows the tables, the data and the question, and uses whatever is fastest: filters before
grouping, anti-joins against small sets, aggregates chosen for the one question at hand. Consent in
force, the flags that events carried and T are part of the question, so they are part of the answer.

`{c}` is the client, `{t}` T, `{t-30d}` T minus 30 days. `{consent}` is the test of a device.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pair:
    """A definition's condition, and the expert's query for the same devices."""

    name: str
    condition: str
    by_hand: str
    #: Ours over theirs, at most.
    limit: float = 1.1
    #: Definitions that the condition refers to.
    before: str = ""


#: Devices that withdrew; of records at one instant, one that lacks the flag decides.
CONSENT = (
    "device NOT IN (SELECT device FROM consent WHERE client_id = {c} AND time <= {t} "
    "GROUP BY device HAVING max((time, bitAnd(flags, 4) = 0)).2 = 1)"
)

PAIRS: tuple[Pair, ...] = (
    Pair(
        "bought_recently",
        "purchase within 30d",
        """
        SELECT DISTINCT device FROM events
        WHERE client_id = {c} AND event_type = 'purchase' AND time > {t-30d} AND time <= {t}
          AND bitAnd(flags, 4) = 4 AND {consent}
        """,
    ),
    Pair(
        "winback",
        "purchase.revenue > 15000 within 180d and no purchase within 30d",
        """
        SELECT device FROM (
            SELECT device FROM events
            WHERE client_id = {c} AND event_type = 'purchase' AND time > {t-180d} AND time <= {t}
              AND bitAnd(flags, 4) = 4 AND (n_revenue > 15000 OR time > {t-30d})
            GROUP BY device HAVING max(time) <= {t-30d}
        ) WHERE {consent}
        """,
    ),
    Pair(
        "big_spender_gone_quiet",
        "purchase.revenue > 25000 within 180d and not within 60d",
        """
        SELECT device FROM (
            SELECT device FROM events
            WHERE client_id = {c} AND event_type = 'purchase' AND time > {t-180d} AND time <= {t}
              AND bitAnd(flags, 4) = 4 AND n_revenue > 25000
            GROUP BY device HAVING max(time) <= {t-60d}
        ) WHERE {consent}
        """,
    ),
    Pair(
        "cart_abandoner",
        "add_to_cart within 14d and no purchase within 14d",
        """
        SELECT device FROM (
            SELECT DISTINCT device FROM events
            WHERE client_id = {c} AND event_type = 'add_to_cart' AND time > {t-14d} AND time <= {t}
              AND bitAnd(flags, 4) = 4
              AND device NOT IN (
                SELECT device FROM events
                WHERE client_id = {c} AND event_type = 'purchase' AND time > {t-14d}
                  AND time <= {t} AND bitAnd(flags, 4) = 4)
        ) WHERE {consent}
        """,
    ),
    Pair(
        "keen_viewer",
        "count(product_view) >= 5 within 60d",
        """
        SELECT device FROM (
            SELECT device FROM events
            WHERE client_id = {c} AND event_type = 'product_view' AND time > {t-60d}
              AND time <= {t} AND bitAnd(flags, 4) = 4
            GROUP BY device HAVING count() >= 5
        ) WHERE {consent}
        """,
    ),
    Pair(
        "high_value",
        "sum(purchase.revenue) > 60000 within 365d",
        """
        SELECT device FROM (
            SELECT device FROM events
            WHERE client_id = {c} AND event_type = 'purchase' AND time > {t-365d} AND time <= {t}
              AND bitAnd(flags, 4) = 4
            GROUP BY device HAVING sum(n_revenue) > 60000
        ) WHERE {consent}
        """,
    ),
    Pair(
        "premium_visitor",
        'user.plan = "premium" and visit within 14d',
        """
        SELECT device FROM (
            SELECT DISTINCT device FROM events
            WHERE client_id = {c} AND event_type = 'visit' AND time > {t-14d} AND time <= {t}
              AND bitAnd(flags, 4) = 4
              AND device IN (
                SELECT device FROM traits
                WHERE client_id = {c} AND name = 'plan' AND time <= {t} AND bitAnd(flags, 4) = 4
                GROUP BY device HAVING argMax(ifNull(v_string = 'premium', 0), (time, tie)))
        ) WHERE {consent}
        """,
    ),
    Pair(
        "spending_more",
        "sum(purchase.revenue within 30d) > 2 * sum(purchase.revenue between 30d and 60d ago)",
        """
        SELECT device FROM (
            SELECT device FROM events
            WHERE client_id = {c} AND event_type = 'purchase' AND time > {t-60d} AND time <= {t}
              AND bitAnd(flags, 4) = 4
            GROUP BY device
            HAVING sum(if(time > {t-30d}, n_revenue, -2 * n_revenue)) > 0
        ) WHERE {consent}
        """,
    ),
    Pair(
        "no_visit",
        "no visit within 60d",
        """
        SELECT device FROM (
            SELECT DISTINCT device FROM events
            WHERE client_id = {c} AND time <= {t} AND bitAnd(flags, 4) = 4
            UNION DISTINCT
            SELECT DISTINCT device FROM traits
            WHERE client_id = {c} AND name = '' AND time <= {t} AND bitAnd(flags, 4) = 4
        ) WHERE device NOT IN (
            SELECT device FROM events
            WHERE client_id = {c} AND event_type = 'visit' AND time > {t-60d} AND time <= {t}
              AND bitAnd(flags, 4) = 4)
          AND {consent}
        """,
    ),
    Pair(
        "coupon_or_refund",
        "(purchase[coupon exists] within 90d or refund within 90d) and visit within 30d",
        """
        SELECT device FROM (
            SELECT DISTINCT device FROM events
            WHERE client_id = {c} AND event_type IN ('purchase', 'refund')
              AND time > {t-90d} AND time <= {t} AND bitAnd(flags, 4) = 4
              AND (event_type = 'refund' OR s_coupon IS NOT NULL)
              AND device IN (
                SELECT device FROM events
                WHERE client_id = {c} AND event_type = 'visit' AND time > {t-30d}
                  AND time <= {t} AND bitAnd(flags, 4) = 4)
        ) WHERE {consent}
        """,
    ),
)
