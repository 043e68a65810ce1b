"""Reading goes on after a mistake: as many diagnostics as mistakes, and never an exception."""

from __future__ import annotations

import itertools
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relo_dsl.diagnostics import Severity, render_all
from relo_dsl.source import SourceFile
from relo_dsl.syntax import format_file, nodes, parse, parse_expression, read_source
from relo_dsl.syntax.parser import MAX_BYTES
from relo_dsl.syntax.recovery import MOST_REPAIRS
from relo_dsl.syntax.tables import load_tables
from tests.growth import growth
from tests.syntax.strategies import Trees
from tests.syntax.test_diagnostics import CONDITIONS, FILES


def errors(text: str) -> list[tuple[str, int]]:
    """Code and line of each error."""
    source = SourceFile("test.seg", text)
    found = [d for d in parse(source).diagnostics if d.severity is Severity.ERROR]
    return [(d.code, source.position(d.span.start).line) for d in found]


def test_five_mistakes_in_one_definition() -> None:
    text = """audience winback
  label "Winback
  clinet 3
  ttl 30m
match
  purchase[revenue >] within 180d
  and no purchase within 30 days
"""
    assert errors(text) == [
        ("unclosed-string", 2),
        ("syntax", 3),
        ("unknown-unit", 4),
        ("syntax", 6),
        ("syntax", 7),
    ]


def test_five_mistakes_in_five_definitions() -> None:
    text = """audience
match purchase

audience two
match (purchase and refund

audience three
match purchase refund

audience four
match purchase since 2026-02-30

let x == 5
audience five
match purchase > > 5
"""
    assert [line for _, line in errors(text)] == [1, 7, 8, 11, 13, 15]


WRONG = [name for name in CONDITIONS if name not in ("mixed", "bars")]


@pytest.mark.parametrize("seed", range(60))
def test_any_five_conditions(seed: int) -> None:
    """Five wrong operands of one chain, whatever they are, give five errors."""
    chosen = Random(seed).sample(WRONG, 5)
    rows = "\n  and ".join(f"{CONDITIONS[name]}\n  and fine_{i}" for i, name in enumerate(chosen))
    text = f"audience one\nmatch\n  {rows}\nholdout 5%\n"
    # In a bracket that is not closed `(or` is part of that mistake; an unclosed string may have
    # swallowed what closes it.
    swallowing = {
        "unclosed-parenthesis", "unclosed-bracket", "unclosed-string", "word-of-the-language",
    } & set(chosen)  # fmt: skip
    found = errors(text)
    source = SourceFile("test.seg", text)
    report = render_all(parse(source).diagnostics)
    # A bracket that is never closed is found at the end, where one stands for all.
    assert len(found) >= 5 - max(0, len(swallowing) - 1), (chosen, report)
    assert len(found) <= 5, (chosen, report)


@pytest.mark.parametrize("seed", range(60))
def test_any_five_definitions(seed: int) -> None:
    """Five definitions with one mistake each give five errors."""
    random = Random(seed)
    conditions = {n: f"audience a\nmatch\n  {CONDITIONS[n]}\n  and visit\n" for n in WRONG}
    texts = {**FILES, **conditions}
    # Words that stand nowhere, behind something else that is wrong, are part of that.
    chosen = random.sample(sorted(set(texts) - {"stray-words"}), 5)
    text = "\n".join(texts[name] for name in chosen)
    assert len(errors(text)) == 5, (chosen, render_all(parse(SourceFile("x", text)).diagnostics))


def test_what_was_left_out_is_read_as_meant() -> None:
    text = """audience one
match count(a) >= 2 in 2 of last 3 days and (b) | c and d
test "x" at 2026-01-01
  given ana: a 3d ago
             b(x: 1) 2d ago
  and   beto: a
  expect ana
"""
    source = SourceFile("test.seg", text)
    result = parse(source)
    found = [source.slice(d.span) for d in result.diagnostics]
    assert found == ["days", "|", "a", "a"]
    one = result.file.items[0]
    assert isinstance(one, nodes.Definition)
    assert isinstance(one.condition, nodes.Chain)
    assert isinstance(one.condition.operands[0], nodes.Regularity)
    ana = one.tests[0].given[0]
    assert isinstance(ana, nodes.GivenDevice)
    assert len(ana.records) == 2


def test_what_is_right_is_kept() -> None:
    text = """audience one
  foo 3
  label "kept"
match purchase and (refund visit) and count(x) >
holdout 5%

segment two
match visit
"""
    file = parse(SourceFile("test.seg", text)).file
    one, two = file.items
    assert isinstance(one, nodes.Definition)
    assert isinstance(two, nodes.Definition)
    assert [header.keyword for header in one.headers] == ["label"]
    assert isinstance(one.condition, nodes.Chain)
    assert len(one.condition.operands) == 3
    assert one.holdout is not None
    assert two.condition == nodes.Path((nodes.Name("visit"),))


def test_a_wrong_let_leaves_its_name() -> None:
    file = parse(SourceFile("test.seg", "let x = )\naudience one match x\n")).file
    let = file.items[0]
    assert isinstance(let, nodes.Let)
    assert isinstance(let.value, nodes.ErrorExpr)


# ---- limits ------------------------------------------------------------------------------------

DEEP = {
    "parentheses": "(" * 201 + "x" + ")" * 201,
    "many-parentheses": "(" * 100_000 + "x" + ")" * 100_000,
    "brackets": "x[" * 201 + "y" + "]" * 201,
    "not": "not " * 201 + "x",
    "minus": "-" * 201 + "x > 1",
    "plus": " + ".join(["x"] * 10_000) + " > 1",
    "windows": "x " + "within 3d " * 201,
    "between": "x " + "between 3d and 5d ago " * 201,
    "or-missing": "x" + " or missing" * 201,
    "mixture": "not (-" * 80 + "x" + ")" * 80,
}


@pytest.mark.parametrize("name", DEEP)
def test_deep_nesting_is_refused(name: str) -> None:
    assert errors(f"audience one match {DEEP[name]}") == [("nesting-too-deep", 1)]


@pytest.mark.parametrize(
    "text",
    [
        "(" * 200 + "x" + ")" * 200,
        "not " * 200 + "x",
        "(x and (y or " * 100 + "z" + "))" * 100,
        " and ".join(f"not (no x{i} within {i + 1}d)" for i in range(500)),
        " then ".join(["x"] * 1_000),
        "x in (" + ", ".join(["1"] * 5_000) + ")",
    ],
)
def test_wide_is_not_deep(text: str) -> None:
    parsed = parse(SourceFile("test.seg", f"audience one match {text}"))
    assert not parsed.diagnostics.has_errors
    assert parse(SourceFile("test.seg", format_file(parsed.file))).file == parsed.file


def test_a_file_over_one_mebibyte() -> None:
    assert errors("#" * (MAX_BYTES + 1)) == [("file-too-large", 1)]
    assert errors("#" + "é" * (MAX_BYTES // 2)) == [("file-too-large", 1)]
    assert errors("#" * MAX_BYTES) == []


def test_a_file_that_is_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "latin.seg"
    path.write_bytes('# Año\naudience one\n  label "Año"\nmatch x\n'.encode("latin-1"))
    (found,) = parse(read_source(path)).diagnostics
    assert found.code == "invalid-encoding"
    assert found.message == "expected UTF-8, found the byte 0xf1"
    assert "A\ufffdo" in render_all([found])


def test_a_byte_order_mark_and_windows_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "windows.seg"
    path.write_bytes(b"\xef\xbb\xbfaudience one # note\r\n  client 3\r\nmatch\r\n  x\r\n")
    parsed = parse(read_source(path))
    assert not list(parsed.diagnostics)
    assert format_file(parsed.file) == "audience one  # note\n  client 3\n\nmatch\n  x\n"


def test_it_gives_up_at_some_point() -> None:
    assert len(errors("audience one\nmatch\n" + "  x == y and\n" * 1_000)) == MOST_REPAIRS


@pytest.mark.parametrize("text", ['"\n', "] ) ; foo ", "[(", "audience a match (x ", "#\n", "'"])
def test_large_nonsense_takes_linear_time(text: str) -> None:
    def read(whole: str) -> None:
        parse(SourceFile("test.seg", whole))

    assert growth(read, text, 12_500 // len(text)) < 30


# ---- anything at all ---------------------------------------------------------------------------

_EXTRA: tuple[str, ...] = (
    '"a',
    "`b c`",
    "`x",
    "30d",
    "5km",
    "2026-01-01",
    "5%",
    "15_000",
    "2..5",
    "#c\n",
    "\n",
)
_EXTRA += ("'x'", "==", "&&", "!", ";", "é", "\x00", "\\", "\u2019", "30m", "a", "Purchase")
_TABLES = load_tables()
PIECES = (*_TABLES.words, *_TABLES.signs, *_EXTRA)


def survives(text: str) -> None:
    source = SourceFile("test.seg", text)
    parsed = parse(source)
    render_all(parsed.diagnostics)
    parse_expression(source)
    if not parsed.diagnostics.has_errors:
        assert parse(SourceFile("test.seg", format_file(parsed.file))).file == parsed.file


@given(st.text(max_size=200))
@settings(max_examples=200)
def test_any_text(text: str) -> None:
    survives(text)


@given(st.lists(st.sampled_from(PIECES), max_size=80))
@settings(max_examples=200)
def test_any_words(words: list[str]) -> None:
    survives(" ".join(words))


def test_damaged_definitions() -> None:
    for seed in range(150):
        random = Random(seed)
        text = format_file(Trees(random.randrange).file())
        for _ in range(random.randrange(1, 5)):
            at = random.randrange(len(text) + 1)
            cut = random.choice((0, 0, 1, 5))
            text = text[:at] + random.choice(("", f" {random.choice(PIECES)} ")) + text[at + cut :]
        survives(text)


def test_every_prefix_and_gap() -> None:
    text = FILES["field-without-colon"].replace("b 5", "b: 5").replace("match a", "match a[x > 1]")
    assert errors(text) == []
    for start, end in itertools.combinations(range(0, len(text) + 1, 7), 2):
        survives(text[:start] + text[end:])
