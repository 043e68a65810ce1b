"""Affinity, by the evaluator: who bought what goes with a product."""

from __future__ import annotations

from typing import Any

import pytest

from relo_dsl.catalog import Catalog, parse_catalog
from relo_dsl.diagnostics import Diagnostic
from relo_dsl.records import Record
from relo_dsl.source import SourceFile
from relo_dsl.terms import Affine, Condition
from relo_dsl.workspace import Workspace
from tests.oracle.build import DAY, consent, event, found

EVENTS = "events: {purchase: {properties: {%s}}, order: {properties: {item: string}}}\n"


def bind(
    text: str, properties: str = "product_id: string", key: str = "", *, unknown: bool = False
) -> tuple[Condition, list[Diagnostic]]:
    catalog: Catalog = parse_catalog(EVENTS % properties + key)
    workspace = Workspace(catalog, client=3, allow_unknown=unknown)
    workspace.add(SourceFile("a.seg", f"audience a match {text}"))
    return workspace.bound("a").condition, workspace.check()


def sold(device: str, *products: Any, ago: int = DAY, flags: int | None = None) -> list[Record]:
    return [event(ago=ago, device=device, flags=flags, product_id=name) for name in products]


def members(records: list[Record], text: str = 'affine to "sku"', **how: Any) -> set[str]:
    condition, problems = bind(text)
    assert not problems
    return found(condition, records, **how)


TWO = [*sold("ana", "sku", "x"), *sold("beto", "sku", "x"), *sold("carla", "sku", "y")]


def test_what_two_buyers_have_in_common_goes_with_it() -> None:
    records = [*TWO, *sold("dora", "x"), *sold("emil", "y"), *sold("fede", "z")]
    assert members(records) == {"dora"}
    assert members(records, 'affine to "sku" at least 1') == {"dora", "emil"}
    assert members(records, 'affine to "sku" at least 3') == set()


def test_who_bought_it_ever_is_left_out() -> None:
    records = [*TWO, *sold("dora", "x"), *sold("dora", "sku", ago=900 * DAY)]
    assert members(records) == set()
    assert members(records, months=24) == {"dora"}  # past its retention it is not seen


def test_the_same_device_counts_once() -> None:
    assert members([*sold("ana", "sku", "x", "x", "x"), *sold("dora", "x")]) == set()


def test_a_buyer_without_consent_does_not_count() -> None:
    records = [*TWO, *sold("dora", "x")]
    assert members([*records, consent(255, 1, "beto")]) == {"dora"}
    assert members([*records, consent(254, 1, "beto")]) == set()
    assert members([*records, consent(254, -1, "beto")]) == {"dora"}  # after T


def test_an_invisible_purchase_does_not_count() -> None:
    records = [*sold("ana", "sku", "x"), *sold("beto", "sku"), *sold("dora", "x")]
    assert members([*records, *sold("beto", "x", flags=254)]) == set()
    assert members([*records, *sold("beto", "x", ago=-1)]) == set()
    assert members([*records, *sold("beto", "x", ago=0)]) == {"dora"}


def test_absent_products_say_nothing_and_an_empty_text_is_one() -> None:
    records = [*sold("ana", "sku", "", None), *sold("beto", "sku", "", None)]
    assert members([*records, *sold("dora", ""), *sold("emil", None)]) == {"dora"}


def test_products_of_an_array() -> None:
    condition, problems = bind(
        'affine to "sku"', 'products: {type: "object[]", fields: {id: string}}'
    )
    assert not problems
    both: dict[str, Any] = {"products": [{"id": "sku"}, {"id": "x"}, {}]}
    records = [event(device=name, **both) for name in ("ana", "beto")]
    records.append(event(device="dora", products=[{"id": "w"}, {"id": "x"}]))
    assert found(condition, records) == {"dora"}


@pytest.mark.parametrize(
    ("properties", "key", "event_name", "name", "parent"),
    [
        ("product_id: string", "", "purchase", "product_id", None),
        ("sku: string, product: string", "", "purchase", "product", None),
        ('item_id: "string[]"', "", "purchase", "item_id", None),
        ("product: number, sku: string", "", "purchase", "sku", None),
        ("sku: string", "affinity: {event: order, product: item}", "order", "item", None),
        (
            'products: {type: "object[]", fields: {id: string}}',
            "affinity: {event: purchase, product: products.id}",
            "purchase",
            "id",
            "products",
        ),
    ],
)  # fmt: skip
def test_what_is_a_product(
    properties: str, key: str, event_name: str, name: str, parent: str | None
) -> None:
    condition, problems = bind('affine to "sku"', properties, key)
    assert not problems
    assert isinstance(condition, Affine)
    assert condition.selection.events == (event_name,)
    assert (condition.property.name, condition.property.parent) == (name, parent)


@pytest.mark.parametrize(
    ("properties", "key", "code"),
    [
        ("revenue: number", "", "unknown-property"),
        ("product: number", "", "type-mismatch"),
        ("sku: string", "affinity: {event: sale, product: sku}", "unknown-event"),
        ("sku: string", "affinity: {event: purchase, product: name}", "unknown-property"),
        ("n: number", "affinity: {event: purchase, product: n}", "type-mismatch"),
    ],
)
def test_what_the_catalog_lacks_is_named(properties: str, key: str, code: str) -> None:
    (problem,) = bind('affine to "sku"', properties, key)[1]
    assert problem.code == code
    assert "affinity: {event: …, product: …}" in (problem.help or "")


def test_unknown_products_are_nobodys() -> None:
    key = "affinity: {event: sale, product: sku}"
    condition, problems = bind('affine to "sku"', "revenue: number", key, unknown=True)
    assert not problems
    assert found(condition, TWO) == set()
