"""Generated events for the benchmarks: made by the engine, stored through the production path.

The store has one client. Devices are equally likely, times spread over a year before `NOW`; 5 % of
the devices withdrew the ad-platform flag and 0.1 % of the events come twice. Deterministic.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from relo_dsl.catalog import Catalog, parse_catalog
from relo_dsl.engine import Engine
from relo_dsl.engine.staging import Staging
from relo_dsl.times import parse_instant

CLIENT = 7
NOW = parse_instant("2026-06-15T12:00:00Z")
BATCH = 2_000_000

CATALOG: Catalog = parse_catalog(
    """
events:
  product_view:
    properties: {product_id: string, price: number}
  add_to_cart:
    properties: {product_id: string, price: number}
  purchase:
    properties:
      revenue: number
      product_line: string
      quantity: number
      coupon: string
      product_id: string
      due: time
      tags: "string[]"
      products: {type: "object[]", fields: {id: string, price: number}}
  visit:
    properties: {page: string, seconds: number, location: point}
  refund:
    properties: {revenue: number}
traits:
  plan: {type: string, enum: [free, plus, premium]}
  birthday: time
  renewal: time
scores: {churn: {}}
lists: {vip: {}}
zones:
  centro: [[19.41, -99.16], [19.41, -99.11], [19.45, -99.11], [19.46, -99.14], [19.45, -99.16]]
"""
)

_EVENTS = """
INSERT INTO {table}
(seq, client_id, event_type, device, time, flags, carried, tie, rest,
 s_product_id, n_price, n_revenue, s_product_line, n_quantity, s_coupon, s_page, n_seconds,
 t_due, p_location, has_ss_tags, ss_tags,
 has_o_products, len_o_products, os_products___id, on_products___price)
SELECT seq, {client}, kind, sipHash128(toUInt32(cityHash64(n, 1) % {devices})),
    fromUnixTimestamp64Milli({now} - toInt64(cityHash64(n, 2) % 31536000000), 'UTC'),
    255, 0, cityHash64(n, 3), '',
    if(kind NOT IN ('visit', 'refund'), concat('SKU-', toString(r4 % 5000)), NULL),
    if(kind IN ('product_view', 'add_to_cart'), toDecimal128(r2 % 2000000, 9) / 100, NULL),
    if(kind IN ('purchase', 'refund'), toDecimal128(r2 % 3000000, 9) / 100, NULL),
    if(kind = 'purchase', ['MX', 'US', 'EU', 'home', 'garden'][1 + r1 % 5], NULL),
    if(kind = 'purchase', toDecimal128(1 + r1 % 9, 9), NULL),
    if(kind = 'purchase' AND r1 % 7 = 0, concat('C', toString(r2 % 50)), NULL),
    if(kind = 'visit', concat('/p/', toString(r1 % 300)), NULL),
    if(kind = 'visit', toDecimal128(r2 % 900, 9), NULL),
    if({rich} AND kind = 'purchase',
       fromUnixTimestamp64Milli({now} + toInt64(r4 % 5184000000), 'UTC'), NULL),
    if({rich} AND kind = 'visit',
       [19.2 + r4 % 1000000 / 2500000, -99.35 + r2 % 1000000 / 2500000], []),
    shopped, if(shopped, arrayFilter(
        (tag, bit) -> bitTest(r1, bit), ['gift', 'new', 'outlet', 'sale'], [8, 9, 10, 11]), []),
    shopped, length(lines), arrayMap(line -> concat('SKU-', toString(line % 5000)), lines),
    arrayMap(line -> toDecimal128(line % 1999993, 9) / 100, lines)
FROM (
    SELECT *, {rich} AND kind = 'purchase' AS shopped,
        if(shopped, arrayMap(line -> cityHash64(n, 30 + line), range(1 + r4 % 4)), []) AS lines
    FROM (
        -- every thousandth event is the one before it, delivered again
        SELECT number AS seq, if(number % 1000 = 999, toUInt64(number - 1), number) AS n,
            cityHash64(n, 4) AS r1, cityHash64(n, 5) AS r2, cityHash64(n, 7) AS r4,
            multiIf(r3 < 45, 'product_view', r3 < 60, 'add_to_cart', r3 < 75, 'purchase',
                    r3 < 97, 'visit', 'refund') AS kind,
            cityHash64(n, 6) % 100 AS r3
        FROM numbers({first}, {count})
    )
)
"""
_CONSENT = """
INSERT INTO {table} (seq, client_id, device, time, flags, tie)
SELECT {seq} + number, {client}, sipHash128(toUInt32(number)),
    fromUnixTimestamp64Milli({now} - toInt64(cityHash64(number, 9) % 15768000000), 'UTC'),
    255 - 4, cityHash64(number, 10)
FROM numbers({devices}) WHERE cityHash64(number, 8) % 100 < 5
"""
_TRAITS = """
INSERT INTO {table}
(seq, client_id, name, device, time, tie, flags, carried, present, v_string, v_time, value)
SELECT {seq} + number, {client}, name, sipHash128(toUInt32(number)),
    fromUnixTimestamp64Milli({now} - toInt64(cityHash64(number, 9, {again}) % 31536000000), 'UTC'),
    cityHash64(number, 11, {again}), 255, 0, name != '',
    if(name = 'plan', ['free', 'plus', 'premium'][1 + cityHash64(number, 12, {again}) % 3], NULL),
    if(name = 'birthday',
       addDays(toDateTime64('1960-01-01 00:00:00', 4, 'UTC'), cityHash64(number, 15) % 18000),
       if(name = 'renewal',
          fromUnixTimestamp64Milli({now} + toInt64(cityHash64(number, 16) % 7776000000), 'UTC'),
          NULL)),
    ''
FROM numbers({devices}) ARRAY JOIN ['', 'plan', 'birthday', 'renewal'] AS name
WHERE cityHash64(number, 13) % 2 = 0 AND cityHash64(number, 14) % (1 + 2 * {again}) = 0
"""
_SCORES = """
INSERT INTO {table} (seq, client_id, name, device, time, tie, flags, carried, value)
SELECT {seq} + number, {client}, 'churn', sipHash128(toUInt32(number)),
    fromUnixTimestamp64Milli({now} - toInt64(cityHash64(number, 20) % 2592000000), 'UTC'),
    cityHash64(number, 21), 255, 0, toDecimal128(cityHash64(number, 22) % 1000, 9) / 1000
FROM numbers({devices})
"""
_LISTS = """
INSERT INTO lists (client_id, name, version, device)
SELECT {client}, 'vip', version, sipHash128(toUInt32(number))
FROM numbers({devices}) ARRAY JOIN [1, 2] AS version
WHERE cityHash64(number, 23, version) % 5 = 0
"""
#: What is made: a store of other data is not used again.
RECIPE = hashlib.sha256(f"{_EVENTS}{_CONSENT}{_TRAITS}{_SCORES}{_LISTS}".encode())


def make_store(folder: Path, events: int, devices: int, *, plain: bool = False) -> Engine:
    """An engine over generated data in `folder`; what is there already is used again.

    `plain` events have neither points, times nor arrays among their properties.
    """
    engine = Engine.embedded(folder / RECIPE.hexdigest()[:8])
    engine.migrate()
    stored = engine.rows("SELECT count() FROM events")[0][0]
    if stored >= events * 0.99:
        return engine
    fill = {"client": CLIENT, "now": NOW, "devices": devices}
    with Staging(engine, CATALOG) as staging:
        tables = staging.tables
        for first in range(0, events, BATCH):
            count = min(BATCH, events - first)
            text = _EVENTS.format(
                table=tables["events"], first=first, count=count, rich=int(not plain), **fill
            )
            engine.command(text)
            staging.commit()
        for again in (0, 1):  # every third device changed its plan
            text = _TRAITS.format(
                table=tables["traits"], seq=events * (5 + again), again=again, **fill
            )
            engine.command(text)
        engine.command(_SCORES.format(table=tables["scores"], seq=events * 7, **fill))
        engine.command(_LISTS.format(**fill))
        engine.command(_CONSENT.format(table=tables["consent"], seq=2 * events, **fill))
        staging.commit()
    for table in ("events", "traits", "consent", "scores", "lists"):
        engine.command(f"OPTIMIZE TABLE {table} FINAL")
    return engine
