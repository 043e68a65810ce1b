"""The syntax: from text to tree (`parse`) and back (`format_file`)."""

from __future__ import annotations

from relo_dsl.syntax.parser import (
    Parsed,
    ParsedExpression,
    parse,
    parse_expression,
    read_source,
)

__all__ = ["Parsed", "ParsedExpression", "parse", "parse_expression", "read_source"]
