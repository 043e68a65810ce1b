"""The syntax: from text to tree (`parse`) and back (`format_file`)."""

from __future__ import annotations

from relo_dsl.syntax.formatter import format_expr, format_file
from relo_dsl.syntax.parser import (
    Parsed,
    ParsedExpression,
    parse,
    parse_expression,
    parse_tokens,
    read_source,
)

__all__ = [
    "Parsed",
    "ParsedExpression",
    "format_expr",
    "format_file",
    "parse",
    "parse_expression",
    "parse_tokens",
    "read_source",
]
