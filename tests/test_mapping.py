"""Mappings: what a field makes of a cell, and which record a row becomes."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from relo_dsl.catalog import parse_catalog
from relo_dsl.errors import UserError
from relo_dsl.mapping import Mapped, parse_mapping, read_mapped
from relo_dsl.records import RecordError

CATALOG = parse_catalog("""
events: {e: {properties: {n: number, b: boolean, s: string, at: time, tags: "string[]"}}}
traits: {age: number}
""")
BASE = "t: {value: e}\n    ts: {value: 0}\n    did: {value: d}\n"


def mapped(tmp_path: Path, mapping: str, table: str, name: str = "a.csv") -> list[Mapped]:
    path = tmp_path / name
    path.write_text(table, encoding="utf-8")
    return list(read_mapped(path, parse_mapping(mapping), CATALOG))


def one(tmp_path: Path, field: str, cell: str, place: str = "props: {x: %s}") -> Any:
    """What a field makes of one cell in the column `c`; the error where it makes none."""
    mapping = f"records:\n  - {BASE}    {place % field}\n"
    (found,) = mapped(tmp_path, mapping, f'c,z\n"{cell}",z\n')
    if isinstance(found.content, RecordError):
        return str(found.content)
    return found.content.get("props", found.content.get("traits", {})).get("x")


@pytest.mark.parametrize(
    ("field", "cell", "value"),
    [
        ("c", "007", "007"),
        ("{column: c, type: number}", "007.50", Decimal("7.5")),
        ("{column: c, type: number, negate: true}", "-2", Decimal(2)),
        ("{column: c, type: number}", "", None),
        ("{column: c, type: number}", "x", "props.x: expected a number"),
        ("{column: c, type: boolean}", "true", True),
        ("{column: c, names: {a: b}}", "a", "b"),
        ("{column: c, names: {a: b}}", "z", "z"),
        ("{column: c, type: time}", "2026-01-15T10:00:00+01:00", 1768467600000),
        ("{column: c, type: time, zone: Europe/Madrid}", "2026-01-15 10:00", 1768467600000),
        ("{column: c, type: time}", "1768467600000", 1768467600000),
        ("{column: c, type: time, unit: s}", "1768467600.5", 1768467600500),
        ("{column: c, type: time, unit: us}", "1768467600000999", 1768467600000),
        (
            '{column: c, type: time, format: "%d.%m.%Y %H:%M", zone: Europe/Madrid}',
            "15.01.2026 10:00",
            1768467600000,
        ),
        (
            '{column: c, type: time, format: "%d.%m.%Y"}',
            "2026",
            "props.x: expected a time written as %d.%m.%Y",
        ),
        ("{column: c, type: time}", "soon", "props.x: expected a time"),
        ("{value: 5}", "", 5),
        ("{value: true}", "", True),
    ],
)
def test_what_a_field_makes_of_a_cell(tmp_path: Path, field: str, cell: str, value: object) -> None:
    found = one(tmp_path, field, cell)
    assert found == value
    assert type(found) is type(value)


def test_the_catalog_types_what_it_names(tmp_path: Path) -> None:
    mapping = f"records:\n  - {BASE}    props: {{n: a, b: b, s: a, tags: c, other: a}}\n"
    (found,) = mapped(tmp_path, mapping, 'a,b,c\n7,false,"[""x""]"\n')
    assert not isinstance(found.content, RecordError)
    assert found.content["props"] == {
        "n": Decimal(7), "b": False, "s": "7", "tags": ["x"], "other": "7",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("when", "rows"),
    [
        ("{a: x}", [1]),
        ("{a: [x, y]}", [1, 2]),
        ("{a: {starts_with: x}}", [1, 3]),
        ("{a: {missing: true}}", [4]),
        ("{a: {missing: false}, n: {above: 1}}", [2, 3]),
        ("{n: {above: 1, below: 3}}", [2]),
        ("{n: 2}", [2]),
    ],
)
def test_when(tmp_path: Path, when: str, rows: list[int]) -> None:
    mapping = f"records:\n  - when: {when}\n    {BASE}"
    found = mapped(tmp_path, mapping, "a,n\nx,1\ny,2\nxy,3\n,\n")
    good = [i for i, item in enumerate(found, 1) if not isinstance(item.content, RecordError)]
    assert good == rows


def test_the_first_that_holds_makes_the_record(tmp_path: Path) -> None:
    mapping = f"records:\n  - when: {{a: x}}\n    {BASE}  - {BASE.replace('e}', 'f}', 1)}"
    found = mapped(tmp_path, mapping, "a,b\nx,1\ny,1\n")
    assert [m.content["t"] for m in found if not isinstance(m.content, RecordError)] == ["e", "f"]


def test_groups_are_exact_and_need_not_stand_together(tmp_path: Path) -> None:
    mapping = f"""
group_by: [g]
drop_repeated_rows: true
records:
  - {BASE}    props:
      total: {{sum: n * p}}
      none: {{sum: missing}}
      items: {{rows: {{id: i, n: {{column: n, type: number}}}}}}
"""
    found = mapped(
        tmp_path, mapping, "g,i,n,p,missing\n1,a,3,0.1,\n2,b,1,5,\n1,c,1,0.2,\n1,c,1,0.2,\n1,,,9,\n"
    )
    assert [(m.line, len(m.sources), m.repeated) for m in found] == [(2, 4, 1), (3, 1, 0)]
    first = found[0].content
    assert not isinstance(first, RecordError)
    assert first["props"] == {
        "total": Decimal("0.5"),
        "items": [{"id": "a", "n": Decimal(3)}, {"id": "c", "n": Decimal(1)}, {}],
    }


def test_parquet_numbers_with_gaps_are_ids_again(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"id": [17850.0, None, float("nan")], "n": [1.0, 2.5, 0.1]}), path)
    mapping = parse_mapping("""
records:
  - {t: {value: e}, ts: {value: 0}, did: id, props: {n: n}}
""")
    first, *others = read_mapped(path, mapping, CATALOG)
    assert not isinstance(first.content, RecordError)
    assert first.content["did"] == "17850"
    assert [str(m.content) for m in others] == ["did: the column `id` is empty"] * 2


def test_nested_json_has_dotted_columns(tmp_path: Path) -> None:
    mapping = "records:\n  - {t: kind, ts: at, did: user.id, props: {n: data.n}}\n"
    text = '{"kind":"e","at":5,"user":{"id":"u"},"data":{"n":1.10}}\nnonsense\n'
    good, bad = mapped(tmp_path, mapping, text, "a.jsonl")
    assert good.content == {"t": "e", "ts": 5, "did": "u", "props": {"n": Decimal("1.1")}}
    assert isinstance(bad.content, RecordError)
    assert bad.sources == ("nonsense",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("records: []", "records: "),
        ("records: [{t: a, ts: b}]", "records.0.did: field required"),
        ("records: [{t: a, ts: b, did: c, prop: {}}]", "unknown key; did you mean `props`?"),
        ("records: [{t: {column: a, value: b}, ts: b, did: c}]", "expected one of `column`"),
        ("records: [{t: a, ts: b, did: c, props: {x: {sum: n}}}]", "need `group_by`"),
        ("records: [{t: a, ts: {column: b, zone: Europe/Madird}, did: c}]", "Europe/Madrid"),
        ("a: [", "is not YAML"),
    ],
)
def test_a_mapping_that_cannot_be_used(text: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_mapping(text, "m.yaml")
    assert "m.yaml" in caught.value.message
    assert message in caught.value.message
