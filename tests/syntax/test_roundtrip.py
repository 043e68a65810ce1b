"""Formatting and parsing are each other's inverse, on random trees and with random comments."""

from __future__ import annotations

import re
from collections import Counter
from random import Random

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from relo_dsl.diagnostics import render_all
from relo_dsl.source import SourceFile
from relo_dsl.syntax import format_expr, format_file, nodes, parse, parse_expression
from tests.syntax.strategies import expressions, files

SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large)
PHASES = (Phase.explicit, Phase.generate, Phase.shrink)
#: Strings and names in backticks stay whole; between other tokens a comment may stand.
_GAPS = re.compile(r'"(?:[^"\\]|\\.)*"|`(?:[^`]|``)+`|(\s+|(?<=[(\[{,|])|(?=[)\]},|]))')


def parsed(text: str) -> nodes.File:
    result = parse(SourceFile("random.seg", text))
    assert not result.diagnostics.has_errors, text + "\n" + render_all(result.diagnostics)
    return result.file


@given(expressions())
@settings(max_examples=200, suppress_health_check=SLOW, phases=PHASES)
def test_an_expression_survives(expr: nodes.Expr) -> None:
    text = format_expr(expr)
    result = parse_expression(SourceFile("random", text))
    assert not result.diagnostics.has_errors, text + "\n" + render_all(result.diagnostics)
    assert result.expr == expr, text
    assert format_expr(result.expr) == text


@given(files())
@settings(max_examples=80, suppress_health_check=SLOW, phases=PHASES)
def test_a_file_survives(file: nodes.File) -> None:
    text = format_file(file)
    again = parsed(text)
    assert again == file, text
    assert format_file(again) == text


@given(files(), st.integers(0, 2**32))
@settings(max_examples=80, suppress_health_check=SLOW, phases=PHASES)
def test_comments_survive(file: nodes.File, seed: int) -> None:
    random = Random(seed)
    count = 0

    def comment(match: re.Match[str]) -> str:
        nonlocal count
        if match.group(1) is None or random.random() > 0.15:
            return match.group()
        count += 1
        before = random.choice([" ", "\n", "\r\n  "])
        return f"{before}# comment {count} \n"

    text = _GAPS.sub(comment, format_file(file))
    commented = parsed(text)
    assert commented == file, text
    formatted = format_file(commented)
    again = parsed(formatted)
    assert again == file, formatted
    expected = Counter(f"# comment {n + 1}" for n in range(count))
    assert Counter(c.text for c in again.comments) == expected, text
    assert format_file(again) == formatted, text
