"""What there is to explain: each construct's form, an example, and its page in docs/language/.

The sentences themselves stand in `english` and `spanish`, under the same names.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Topic:
    """A construct: how it is written, one example that can be read, and its page."""

    form: str
    example: str
    page: str


_BY_PAGE: dict[str, dict[str, tuple[str, str]]] = {
    "files.md": {
        "audience": ("audience NAME …", "audience lapsed match no purchase within 30d"),
        "segment": ("segment NAME …", "segment buyers match purchase within 90d"),
        "let": ("let NAME = …", "let big = purchase[revenue > 1000]"),
        "match": ("match CONDITION", "audience lapsed match no purchase within 30d"),
        "label": ('label "…"', 'audience a label "Big spenders" match purchase'),
        "description": (
            'description "…"',
            'audience a description "For the spring" match purchase',
        ),
        "owner": ('owner "…"', 'audience a owner "crm team" match purchase'),
        "client": ("client N", "audience a client 3 match purchase"),
        "type": ("type NAME", "audience a type winback match no purchase within 30d"),
        "refresh": ("refresh …", "audience a refresh weekly on monday at 06:00 match purchase"),
        "realtime": ("refresh realtime", "audience a refresh realtime match purchase"),
        "hourly": ("refresh hourly", "audience a refresh hourly match purchase"),
        "daily": ("refresh daily [at HH:MM]", "audience a refresh daily at 03:00 match purchase"),
        "weekly": (
            "refresh weekly [on DAY] [at HH:MM]",
            "audience a refresh weekly on monday at 06:00 match purchase",
        ),
        "every": ("refresh every DURATION", "audience a refresh every 6h match purchase"),
        "cron": ('refresh cron "…"', 'audience a refresh cron "0 3 * * 1" match purchase'),
        "timezone": ('timezone "ZONE"', 'audience a timezone "America/Mexico_City" match purchase'),
        "export": ("export NAME, …", "audience a export meta, email match purchase"),
        "ttl": ("ttl DURATION", "audience a ttl 90d match purchase"),
        "minimum": ("minimum N", "audience a minimum 100 match purchase"),
        "tags": ("tags NAME, …", 'audience a tags spring, "2026" match purchase'),
    },
    "consent.md": {
        "require": (
            "require consent NAME|BITS, …",
            "audience a require consent email match purchase",
        ),
    },
    "windows.md": {
        "within": ("within DURATION", "purchase within 30d"),
        "within_calendar": ("within N calendar UNIT", "purchase within 3 calendar months"),
        "between": ("between A and B ago", "purchase between 30d and 60d ago"),
        "before_ago": ("before A ago", "purchase before 90d ago"),
        "before_date": ("before DATE", "purchase before 2026-01-15"),
        "since": ("since DATE", "purchase since 2026-01-15"),
        "from_to": ("from DATE to DATE", "purchase from 2026-01-15 to 2026-01-31"),
        "in_period": ("in YEAR | QUARTER | MONTH", "purchase in 2026-Q1"),
        "on_date": ("on DATE", "purchase on 2026-01-15"),
        "named_period": ("today, this week, last month, …", "purchase this month"),
    },
    "times.md": {
        "within_next": ("TIME within next DURATION", "purchase[due within next 7d]"),
        "anniversary": ("TIME anniversary WINDOW", "user.birthday anniversary within next 7d"),
    },
    "selections.md": {
        "selection": ("EVENT[PREDICATE]", 'purchase[revenue > 1000 and currency = "MXN"]'),
        "alternatives": ("(EVENT | EVENT)", "(purchase | af_purchase)[revenue > 10]"),
        "any_event": ("any event", 'any event[product_id = "SKU-1"]'),
        "any_element": (
            "any ARRAY[PREDICATE]",
            'purchase[any products[id = "SKU-1" and price > 100]]',
        ),
        "=": ("A = B", 'purchase.currency = "MXN"'),
        "!=": ("A != B", 'purchase.env != "prod" or missing'),
        "<": ("A < B", "purchase.revenue < 100"),
        "<=": ("A <= B", "purchase.revenue <= 100"),
        ">": ("A > B", "purchase.revenue > 100"),
        ">=": ("A >= B", "count(purchase) >= 3 within 90d"),
        "one_of": ("A in (…)", 'purchase.currency in ("MXN", "USD")'),
        "not_one_of": ("A not in (…)", 'purchase.currency not in ("MXN", "USD")'),
        "in_range": ("A in LOW..HIGH", "count(purchase) in 2..4 within 90d"),
        "not_in_range": ("A not in LOW..HIGH", "purchase.revenue not in 10..20"),
        "contains": ('A contains "…"', 'pageview.url contains "/sale/"'),
        "starts with": ('A starts with "…"', 'pageview.url starts with "https://"'),
        "ends with": ('A ends with "…"', 'pageview.url ends with ".pdf"'),
        "matches": ('A matches "RE2"', 'pageview.url matches "/p/[0-9]+$"'),
        "ignoring case": ("… ignoring case", 'user.city contains "puebla" ignoring case'),
        "has_one": ("ARRAY has VALUE", 'purchase.tags has "gift"'),
        "has_any": ("ARRAY has any (…)", 'purchase.tags has any ("gift", "new")'),
        "has_all": ("ARRAY has all (…)", 'purchase.tags has all ("gift", "new")'),
        "exists": ("A exists", "purchase.coupon exists"),
        "is_missing": ("A is missing", "purchase.coupon is missing"),
        "or_missing": ("PREDICATE or missing", 'purchase.env != "prod" or missing'),
        "boolean": ("true, false", "purchase.first_order = true"),
    },
    "geography.md": {
        "near": ("POINT within DISTANCE of PLACE", "visit[location within 5km of (19.43, -99.13)]"),
        "place": ('place("NAME")', 'visit[location within 800m of place("polanco")]'),
        "in_zone": ('POINT in zone("NAME")', 'visit[location in zone("centro")]'),
    },
    "conditions.md": {
        "and": ("A and B", "purchase within 90d and no purchase within 30d"),
        "or": ("A or B", "purchase within 7d or add_to_cart within 1d"),
        "not": ("not A", 'not (in list vip or user.plan = "premium")'),
        "no": ("no EVENTS [WINDOW]", "no purchase within 30d"),
        "repeat": ("… and not WINDOW", "purchase.revenue > 100 within 180d and not within 30d"),
        "user": ("user.TRAIT", 'user.plan = "premium"'),
        "in_segment": ("in segment NAME", "in segment buyers and no purchase within 30d"),
        "in_list": ("in list NAME", "not in list staff"),
    },
    "measures.md": {
        "count": ("count(EVENTS)", "count(product_view) >= 3 within 48h"),
        "sum": ("sum(EVENTS.PROPERTY)", "sum(purchase.revenue) > 1000 within 90d"),
        "avg": ("avg(EVENTS.PROPERTY)", "avg(purchase.revenue) >= 100 within 90d"),
        "min": ("min(EVENTS.PROPERTY)", "min(purchase.revenue) > 10"),
        "max": ("max(EVENTS.PROPERTY)", "max(purchase.revenue) > 1000"),
        "median": ("median(EVENTS.PROPERTY)", "median(purchase.revenue) > 100"),
        "distinct": ("distinct(EVENTS.PROPERTY)", "distinct(product_view.product_id) >= 5 today"),
        "days": ("days(EVENTS)", "days(pageview) >= 3 within 30d"),
        "weeks": ("weeks(EVENTS)", "weeks(pageview) >= 3 within 90d"),
        "months": ("months(EVENTS)", "months(purchase) >= 6 within 12 calendar months"),
        "+": ("A + B", "count(purchase) + count(refund) >= 3"),
        "-": ("A - B", "sum(purchase.revenue) - sum(refund.revenue) > 100"),
        "*": ("A * B", "purchase[paid * 2 < total]"),
        "/": ("A / B", "count(refund) / count(purchase) > 0.5"),
        "negative": ("-A", "count(purchase) > -count(refund)"),
    },
    "first-last.md": {
        "first": ("first(EVENTS)", "first(purchase) within 30d"),
        "last": ("last(EVENTS)", 'last(purchase).product_line = "MX"'),
    },
    "sequences.md": {
        "then": ("A then B [within DURATION]", "(product_view then purchase within 1h) within 7d"),
        "then no": (
            "A then no B within DURATION",
            "add_to_cart within 7d then no purchase within 24h",
        ),
    },
    "regularity.md": {
        "regularity": (
            "COMPARISON in K of last M periods of A",
            "count(pageview) >= 2 in 2 of last 3 periods of 3d",
        ),
    },
    "held.md": {
        "held_for": ("TRAIT PREDICATE for DURATION", 'user.status = "onboarding" for 7d'),
    },
    "scores.md": {"score": ("score.NAME", "score.churn >= 0.75")},
    "rfm.md": {
        "rfm": ("rfm.recency, rfm.frequency, rfm.monetary", "rfm.frequency >= 4"),
        "recency": ("rfm.recency", "rfm.recency = 5"),
        "frequency": ("rfm.frequency", "rfm.frequency >= 4"),
        "monetary": ("rfm.monetary", "rfm.monetary in 1..3"),
        "is_named": ("rfm is NAME", "rfm is champions"),
    },
    "affinity.md": {
        "affine": ('affine to "SKU" [at least N]', 'affine to "SKU-1" at least 3'),
    },
    "ranking.md": {
        "keep": (
            "keep top|bottom N|P% by MEASURE",
            "audience a match purchase keep top 100 by sum(purchase.revenue)",
        ),
    },
    "sampling.md": {
        "sample": ("sample P%", "audience a match purchase sample 10%"),
        "holdout": ("holdout P%", "audience a match purchase holdout 5%"),
    },
    "tests.md": {
        "test": (
            'test "…" at INSTANT, …',
            'segment s match purchase test "a buyer" at 2026-03-18 given ana: purchase() 1d ago '
            "expect ana",
        ),
        "given": (
            "given DEVICE: RECORD …",
            'segment s match purchase test "t" at 2026-03-18 '
            'given ana: purchase(revenue: 5, products: [{id: "SKU-1"}]) now',
        ),
        "given_list": (
            "and list NAME: DEVICE, …",
            'segment s match in list vip test "t" at 2026-03-18 given ana: and list vip: ana',
        ),
        "expect": (
            "expect [not] DEVICE, …",
            'segment s match purchase test "t" at 2026-03-18 expect not ana, beto',
        ),
        "bounds": (
            "expect DEVICE from DATE until DATE",
            'segment s match purchase within 2d test "t" at 2026-03-18 given ana: purchase() now '
            "expect ana from 2026-03-18 until 2026-03-20",
        ),
        "moment": (
            "A ago | at DATE | now",
            'segment s match purchase test "t" at 2026-03-18 given ana: purchase() 2d ago',
        ),
        "null": (
            "null",
            'segment s match user.plan is missing test "t" at 2026-03-18 '
            "given ana: identify(plan: null) 1d ago",
        ),
        "identify": (
            "identify(TRAIT: VALUE, …)",
            'segment s match user.plan exists test "t" at 2026-03-18 '
            'given ana: identify(plan: "premium") 1d ago',
        ),
        "consent": (
            "consent(BITS)",
            'segment s match purchase test "t" at 2026-03-18 given ana: consent(251) 1d ago',
        ),
        "score_record": (
            "score(NAME: VALUE, …)",
            'segment s match score.churn > 0.5 test "t" at 2026-03-18 '
            "given ana: score(churn: 0.81) 1d ago",
        ),
    },
}

TOPICS: dict[str, Topic] = {
    name: Topic(form, example, page)
    for page, topics in _BY_PAGE.items()
    for name, (form, example) in topics.items()
}

#: Signs that only separate or enclose; nothing is said of them.
SILENT = frozenset(["(", ")", "]", ",", ":", "{", "}", "."])
#: Whose words do not tell the topic: the rule does. A rule that is a topic's name stands for it.
_BY_RULE = {
    "and_chain": "and",
    "or_chain": "or",
    "step": "then",
    "step_no": "then no",
    "in_year": "in_period",
    "enters": "bounds",
    "leaves": "bounds",
    "moment_ago": "moment",
    "moment_at": "moment",
    "moment_now": "moment",
    "device_list": "given_list",
    "coordinates": "near",
    "limit": "negative",
}
#: Rules of which each word is a topic by itself.
_BY_WORD = frozenset({"definition", "prefixed", "prefixed_window", "compare", "arithmetic"})
_REFRESH = {"at": "refresh", "on": "refresh"}
#: A word in a part of the text that cannot be read.
_ALONE = {
    "in": "one_of",
    "for": "held_for",
    "before": "before_ago",
    "from": "from_to",
    "on": "on_date",
    "any": "any_event",
    "has": "has_one",
    "is": "is_missing",
    "affine": "affine",
    "|": "alternatives",
    "[": "selection",
    "or missing": "or_missing",
    "true": "boolean",
    "false": "boolean",
    "periods": "regularity",
    "anniversary": "anniversary",
}


def topic_of(rule: str, word: str) -> str | None:
    """The topic of a keyword or sign (two words as one with one space) in a rule of the grammar;
    None where nothing is said of it.
    """
    if word in SILENT or (rule == "file" and word not in TOPICS):
        return None
    if rule in ("text_match", "header", "refresh") or rule in _BY_WORD:
        topic = {"consent": "require", **_REFRESH}.get(word, word)
        return topic if topic in TOPICS else None
    topic = _BY_RULE.get(rule, rule)
    if rule == "any_of":
        topic = "any_event"
    if topic in TOPICS:
        return topic
    topic = _ALONE.get(word, word)
    return topic if topic in TOPICS else None
