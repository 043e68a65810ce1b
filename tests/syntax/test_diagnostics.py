"""One mistake, one diagnostic: what the reader is told, drawn as on a terminal."""

from __future__ import annotations

import pytest
from syrupy.assertion import SnapshotAssertion

from relo_dsl.diagnostics import Severity, render_all
from relo_dsl.source import SourceFile
from relo_dsl.syntax import parse

CONDITIONS = {
    "missing-operand": "purchase and",
    "joined-twice": "purchase and and refund",
    "two-selections": "purchase refund",
    "unclosed-parenthesis": "(purchase and refund",
    "stray-parenthesis": "purchase) and refund",
    "unclosed-bracket": "purchase[revenue > 5 and refund",
    "empty-call": "count() > 3",
    "chained-comparison": "1 < count(purchase) < 5",
    "comparison-without-value": "purchase.revenue >",
    "double-equals": 'purchase.currency == "MXN"',
    "ampersands": "purchase && refund",
    "bars": "purchase || refund",
    "exclamation": "!purchase",
    "diamond": "purchase.revenue <> 5",
    "single-quotes": "purchase.currency = 'MXN'",
    "curly-quotes": "purchase.currency = “MXN”",
    "unclosed-string": 'purchase[currency = "MXN and revenue > 5',
    "unclosed-string-in-brackets": 'purchase[currency = "MXN] within 30d',
    "unclosed-backtick": "`Order Completed within 30d",
    "semicolon": "purchase;",
    "dollar": "purchase.revenue > $5",
    "escape": 'purchase[currency = "a\\tb"]',
    "code-point": 'purchase[currency = "\\u{110000}"]',
    "capitals": "purchase AND refund",
    "name-in-capitals": "Purchase within 30d",
    "misspelt-within": "purchase wihtin 30d",
    "minutes-or-months": "purchase within 30m",
    "long-unit": "purchase within 30days",
    "months": "purchase within 3months",
    "no-such-unit": "purchase within 3parsecs",
    "no-unit": "purchase within 30",
    "unit-apart": "purchase within 30 d",
    "zero-duration": "purchase within 0d",
    "units-in-wrong-order": "purchase within 12h1d",
    "over-100-years": "purchase within 40000d",
    "fraction-of-a-day": "purchase within 1.5d",
    "same-ages": "purchase between 3d and 3d ago",
    "no-ago": "purchase between 3d and 5d",
    "no-such-date": "purchase since 2026-02-30",
    "short-date": "purchase since 2026-2-3",
    "month-for-date": "purchase since 2026-02",
    "date-compared": "user.signup > 2026-01-01",
    "dates-reversed": "purchase from 2026-02-01 to 2026-01-01",
    "no-such-quarter": "purchase in 2026-Q5",
    "no-such-month": "purchase in 2026-13",
    "no-such-year": "purchase in 26",
    "instant-for-day": "purchase on 2026-01-15T10:00",
    "range-reversed": "count(purchase) in 5..2",
    "percent": "count(purchase) > 5%",
    "too-many-digits": "purchase.revenue > 1000000000000000",
    "too-many-places": "purchase.revenue > 0.1234567891",
    "number-and-letters": "purchase.revenue > 15k",
    "periods": "count(a) >= 1 in 5 of last 3 periods of 1d",
    "no-last": "count(a) >= 2 in 2 of 3 periods of 3d",
    "no-periods": "count(a) >= 2 in 2 of last 3 of 3d",
    "no-periods-of": "count(a) >= 2 in 2 of last 3 7d",
    "no-periods-but-days": "count(a) >= 2 in 2 of last 3 days",
    "no-periods-at-all": "count(a) >= 2 in 2 of last 3",
    "bar-outside": "purchase | refund | `Order Completed` within 3d",
    "bar-in-a-measure": "count(purchase | refund) > 2",
    "bar-behind-a-test": "purchase[revenue > 3] | refund",
    "window-between-bars": "(purchase | refund within 3d)",
    "half-a-period": "count(a) >= 1 in 1.5 of last 3 periods of 1d",
    "calendar-years": "purchase within 2 calendar years",
    "miles": "purchase[location within 5mi of (1, 2)]",
    "latitude": "purchase[location within 5km of (91, 2)]",
    "empty-list": "purchase[currency in ()]",
    "in-without-parentheses": 'purchase[currency in "MXN"]',
    "mixed": "purchase and refund or visit",
    "word-of-the-language": "purchase within 3d and (or)",
}
FILES = {
    "no-name": "audience\n  client 3\nmatch purchase\n",
    "string-for-name": 'audience "one"\nmatch purchase\n',
    "number-for-name": "audience 1st\nmatch purchase\n",
    "keyword-for-name": 'audience label\n  label "x"\nmatch purchase\n',
    "operator-for-name": "audience and\nmatch purchase\n",
    "backticks-for-name": "audience `One Two`\nmatch purchase\n",
    "keyword-for-let": "let within = purchase\naudience one\nmatch purchase\n",
    "no-match": "audience one\n  client 3\n\naudience two\nmatch purchase\n",
    "no-match-but-test": 'audience one\n  client 3\ntest "x" at 2026-01-01\n  expect not ana\n',
    "match-without-condition": "audience one\nmatch\nholdout 5%\n",
    "header-twice": "audience one\n  client 3\n  client 4\nmatch purchase\n",
    "header-of-an-audience": "segment one\n  export meta\nmatch purchase\n",
    "holdout-of-a-segment": "segment one\nmatch purchase\nholdout 5%\n",
    "misspelt-header": "audience one\n  clinet 3\nmatch purchase\n",
    "unknown-header": "audience one\n  foo 3\n  client 3\nmatch purchase\n",
    "header-without-value": "audience one\n  ttl\n  client 3\nmatch purchase\n",
    "type-without-value": "audience one\n  type\n  refresh daily\nmatch purchase\n",
    "no-comma": "audience one\n  export meta google_ads\nmatch purchase\n",
    "ttl-without-unit": "audience one\n  ttl 90\nmatch purchase\n",
    "client-name": "audience one\n  client shop\nmatch purchase\n",
    "client-fraction": "audience one\n  client 1.5\nmatch purchase\n",
    "refresh": "audience one\n  refresh sometimes\nmatch purchase\n",
    "refresh-day": "audience one\n  refresh weekly on moonday\nmatch purchase\n",
    "refresh-time": "audience one\n  refresh daily at 25:00\nmatch purchase\n",
    "label-without-quotes": "audience one\n  label Winback\n  client 3\nmatch purchase\n",
    "share-without-percent": "audience one\nmatch purchase\nholdout 5\n",
    "share-over-100": "audience one\nmatch purchase\nholdout 150%\n",
    "sample-after-holdout": "audience one\nmatch purchase\nholdout 5%\nsample 5%\n",
    "keep-without-by": "audience one\nmatch purchase\nkeep top 5 count(purchase)\n",
    "keep-a-fraction": "audience one\nmatch purchase\nkeep top 1.5 by count(purchase)\n",
    "test-without-time": 'audience one\nmatch purchase\ntest "x"\n  expect ana\n',
    "record-without-time": (
        'audience one\nmatch a\ntest "x" at 2026-01-01\n  given ana: a()\n  expect ana\n'
    ),
    "record-without-parentheses": (
        'audience one\nmatch a\ntest "x" at 2026-01-01\n  given ana: `A B` 3d ago\n  expect ana\n'
    ),
    "record-of-a-name": (
        'audience one\nmatch a\ntest "x" at 2026-01-01\n  given ana: a\n  expect ana\n'
    ),
    "field-without-colon": (
        'audience one\nmatch a\ntest "x" at 2026-01-01\n  given ana: a(b 5) 3d ago\n  expect ana\n'
    ),
    "stray-words": "hello world\n\naudience one\nmatch purchase\n",
}


def check(text: str, snapshot: SnapshotAssertion) -> None:
    diagnostics = parse(SourceFile("shop.seg", text)).diagnostics
    worst = [d for d in diagnostics if d.severity is Severity.ERROR] or list(diagnostics)
    assert len(worst) == 1, render_all(diagnostics)
    assert render_all(diagnostics) == snapshot


@pytest.mark.parametrize("name", CONDITIONS)
def test_conditions(name: str, snapshot: SnapshotAssertion) -> None:
    check(f"audience one\nmatch\n  {CONDITIONS[name]}\n  and visit\nholdout 5%\n", snapshot)


@pytest.mark.parametrize("name", FILES)
def test_files(name: str, snapshot: SnapshotAssertion) -> None:
    check(FILES[name], snapshot)
