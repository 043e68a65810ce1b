"""Reading events from files: every format gives the same records, and says where it cannot."""

from __future__ import annotations

import gzip
import io
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from relo_dsl.catalog import Catalog, parse_catalog
from relo_dsl.errors import UserError
from relo_dsl.inputs import read_records, read_rows
from relo_dsl.records import Record, RecordError

LINES = [
    {
        "t": "purchase",
        "ts": 5,
        "did": "ana",
        "eid": "e1",
        "props": {"revenue": 10.5, "tags": ["a"]},
    },
    {"t": "identify", "ts": 6, "cid": 3, "did": "ana", "eid": "e2", "traits": {"plan": None}},
    {"t": "consent", "ts": 7, "cid": 3, "did": "ana", "eid": "e3", "consent": 251},
    {"t": "score", "ts": 8, "cid": 3, "did": "ana", "eid": "e4", "scores": {"churn": 0.81}},
]


def write(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def records(path: Path, catalog: Catalog | None = None) -> list[Record]:
    return [record for _, record in read_records([path], 3, catalog)]


def test_json_lines(tmp_path: Path) -> None:
    text = "\ufeff" + "\n\n".join(map(json.dumps, LINES)) + "\r\n"
    for name in ("a.jsonl", "a.ndjson", "a.json", "a.JSONL"):
        rows = list(read_rows(write(tmp_path, name, text)))
        assert [row.line for row in rows] == [1, 3, 5, 7]
        assert rows[0].place == f"{tmp_path / name}:1"
    packed = write(tmp_path, "a.jsonl.gz", gzip.compress(text.encode()))
    found = records(packed)
    assert found == records(tmp_path / "a.jsonl")
    assert found[0].values == {"revenue": Decimal("10.5"), "tags": ("a",)}
    assert (found[0].client, found[0].time, found[2].consent) == (3, 5, 251)
    assert found[1].values == {"plan": None}


def test_numbers_are_read_exactly(tmp_path: Path) -> None:
    line = '{"t":"x","ts":1,"did":"a","props":{"n":0.1000000000,"m":123456789012345.123456789}}'
    found = records(write(tmp_path, "a.jsonl", line))[0]
    assert found.values == {"n": Decimal("0.1"), "m": Decimal("123456789012345.123456789")}


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(json.dumps(LINES[0]).encode()))
    monkeypatch.setattr("sys.stdin", stream)
    assert [record.id for _, record in read_records(["-"], 3)] == ["e1"]


def test_a_bad_line_names_its_place_and_the_rest_can_still_be_read(tmp_path: Path) -> None:
    good = json.dumps(LINES[0])
    path = write(tmp_path, "a.jsonl", f"{good}\n{{oops\n[1]\n{good}\n".encode() + b'{"t":"\xff"}')
    contents = [row.content for row in read_rows(path)]
    assert [isinstance(content, RecordError) for content in contents] == [
        False, True, True, False, True,
    ]  # fmt: skip
    with pytest.raises(UserError, match=r"a\.jsonl:2: not JSON, found `\{oops`"):
        records(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ts": "soon"}, "ts: expected epoch milliseconds or RFC 3339, found `soon`"),
        ({"did": ""}, "did: expected a text that is not empty"),
        ({"flags": 256}, "flags: expected consent flags"),
        ({"prop": {}}, "did you mean `props`"),
        ({"props": {"revenue": 1e15}}, "props.revenue: the number has more than 15 digits"),
    ],
)
def test_a_refused_record_is_an_error_with_its_place(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    path = write(tmp_path, "a.jsonl", json.dumps(LINES[1]) + "\n" + json.dumps(LINES[0] | change))
    with pytest.raises(UserError) as caught:
        records(path)
    assert caught.value.message.startswith(f"{path}:2: ")
    assert message in caught.value.message


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        records(tmp_path / "none.jsonl")
    (tmp_path / "d.csv").mkdir()
    with pytest.raises(UserError, match="Is a directory"):
        records(tmp_path / "d.csv")
    with pytest.raises(UserError, match="cannot tell the format"):
        records(write(tmp_path, "a.xlsx", ""))
    with pytest.raises(UserError, match="gzip data are damaged"):
        records(write(tmp_path, "a.jsonl.gz", "plain"))
    with pytest.raises(UserError, match="as Parquet"):
        records(write(tmp_path, "a.parquet", "plain"))
    assert records(write(tmp_path, "a.jsonl", "")) == []


# ---- CSV ---------------------------------------------------------------------------------------

CSV = """\
t,ts,cid,did,eid,flags,consent,props.revenue,props.zip,props.new,traits.plan,scores.churn
purchase,5,3,ana,e1,255,,10.5,01234,true,,
identify,2026-01-01T00:00:00Z,,beto,e2,,,,,,premium,
consent,7,3,7,e3,,251,,,,,
score,8,3,ana,e4,,,,,,,0.81
purchase,9,3,"a,""b""
c",e5,,,-3,99999,false,,
"""


def test_csv(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", CSV)
    first, identify, consent, score, last = records(path)
    assert (first.time, first.flags, first.device) == (5, 255, "ana")
    assert first.values == {"revenue": Decimal("10.5"), "zip": "01234", "new": True}
    assert (identify.client, identify.values) == (3, {"plan": "premium"})
    assert identify.time == 1_767_225_600_000
    assert (consent.device, consent.consent) == ("7", 251)
    assert score.values == {"churn": Decimal("0.81")}
    assert last.device == 'a,"b"\nc'
    assert last.values == {"revenue": Decimal(-3), "zip": "99999", "new": False}
    assert [row.line for row in read_rows(path)] == [2, 3, 4, 5, 6]


def test_csv_in_other_dress(tmp_path: Path) -> None:
    expected = records(write(tmp_path, "a.csv", CSV))
    crlf = "\ufeff" + CSV.replace("\n", "\r\n").replace('""\r\nc', '""\nc')
    assert records(write(tmp_path, "b.csv", crlf)) == expected
    assert records(write(tmp_path, "c.csv.gz", gzip.compress(CSV.encode()))) == expected
    tabs = "t\tts\tdid\tprops.a,b\nx\t1\tana\ty\n"
    assert records(write(tmp_path, "d.tsv", tabs))[0].values == {"a,b": "y"}


def test_a_column_is_typed_by_all_of_its_cells(tmp_path: Path) -> None:
    text = "t,ts,did,props.a,props.b,props.c\nx,1,ana,1,true,\nx,2,ana,,yes,\nx,3,ana,1e2,,\n"
    values = [record.values for record in records(write(tmp_path, "a.csv", text))]
    assert values == [{"a": 1, "b": "true"}, {"b": "yes"}, {"a": 100}]


def test_the_catalog_types_cells_before_their_column_does(tmp_path: Path) -> None:
    catalog = parse_catalog(
        "events: {x: {properties: {sku: string, n: number, due: time, tags: 'string[]'}}}\n"
        "traits: {age: number}"
    )
    text = (
        "t,ts,did,props.sku,props.n,props.due,props.tags,traits.age\n"
        'x,1,ana,7,1,1767225600000,"[""a""]",\n'
        "x,2,ana,8,many,2026-01-01,oops,\n"
        "identify,3,ana,,,,,5\n"
    )
    first, second, third = records(write(tmp_path, "a.csv", text), catalog)
    assert first.values == {"sku": "7", "n": 1, "due": 1_767_225_600_000, "tags": ("a",)}
    assert second.values == {"sku": "8", "n": "many", "due": "2026-01-01", "tags": "oops"}
    assert third.values == {"age": 5}


def test_json_objects_in_cells(tmp_path: Path) -> None:
    text = 't,ts,did,props,props.b\nx,1,ana,"{""a"": {""c"": 1}}",2\nx,2,ana,{},\nx,3,ana,oops,\n'
    path = write(tmp_path, "a.csv", text)
    first, second, third = (row.content for row in read_rows(path))
    assert isinstance(first, dict)
    assert first["props"] == {"a": {"c": 1}, "b": 2}
    assert isinstance(second, dict)
    assert second["props"] == {}
    assert isinstance(third, RecordError)
    twice = 't,ts,did,props,props.b\nx,1,ana,"{""b"": 1}",2\n'
    with pytest.raises(UserError, match="stands twice"):
        records(write(tmp_path, "b.csv", twice))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("t,ts\n", "no column `did`"),
        ("t,ts,did,did\n", "two columns `did`"),
        ("t,ts,did,eidd\n", "unknown column `eidd`; did you mean `eid`"),
        ("t,ts,did,revenue\n", "did you mean `props.revenue`"),
        ("t,ts,did\nx,1\n", "a.csv:2: expected 3 cells"),
        ('t,ts,did\nx,1,"a"b\n', "a.csv:2: not CSV"),
        (b"t,ts,did\nx,1,\xff\n", "a.csv:2: did: the text is not valid Unicode"),
        ("t,ts,did\nx,1,a\nx,soon,a\n", "a.csv:3: ts: expected epoch"),
    ],
)
def test_csv_that_cannot_be_used(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(UserError) as caught:
        records(write(tmp_path, "a.csv", text))
    assert message in caught.value.message


def test_reading_stops_where_the_reader_does(tmp_path: Path) -> None:
    rows = read_rows(write(tmp_path, "a.jsonl", (json.dumps(LINES[0]) + "\n") * 3))
    assert next(rows).line == 1
    rows.close()  # type: ignore[attr-defined]


# ---- Parquet -----------------------------------------------------------------------------------


def test_parquet(tmp_path: Path) -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    rows = [
        {
            "t": "purchase", "ts": moment, "cid": 3, "did": "ana", "flags": None,
            "props": {"revenue": Decimal("10.50"), "products": [{"id": "a", "price": None}]},
            "props.due": date(2026, 1, 2), "props.n": 0.1, "traits.plan": None,
        },
        {
            "t": "identify", "ts": moment, "cid": None, "did": "beto", "flags": 251.0,
            "props": None, "props.due": None, "props.n": None, "traits.plan": "premium",
        },
    ]  # fmt: skip
    path = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    first, second = records(path)
    assert first.time == 1_767_225_600_000
    assert first.values == {
        "revenue": Decimal("10.5"),
        "products": ({"id": "a"},),
        "due": "2026-01-02",
        "n": Decimal("0.1"),
    }
    assert (second.flags, second.values, second.client) == (251, {"plan": "premium"}, 3)
    assert [row.line for row in read_rows(path)] == [1, 2]
    pq.write_table(pa.table({"t": ["x"], "ts": [1], "device": ["ana"]}), path)
    with pytest.raises(UserError, match="no column `did`"):
        records(path)
