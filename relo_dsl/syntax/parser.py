"""From text to syntax tree. Nothing here raises for what a definition says; it reports."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import cast

from relo_dsl.diagnostics import Diagnostics
from relo_dsl.errors import UserError
from relo_dsl.source import SourceFile, Span
from relo_dsl.syntax import nodes
from relo_dsl.syntax.build import Builder
from relo_dsl.syntax.machine import Machine, Program, ReadError
from relo_dsl.syntax.nesting import deepest
from relo_dsl.syntax.recovery import Recovery
from relo_dsl.syntax.tables import load_tables
from relo_dsl.syntax.tokens import Recorder, Token

MAX_BYTES = 1 << 20
MAX_NESTING = 200
_SURROGATE = re.compile("[\ud800-\udfff]")
_COMMENT = re.compile(r'"[^"\\\r\n]*(?:\\.[^"\\\r\n]*)*"|`(?:[^`\r\n]|``)+`|(#[^\n]*)')


@dataclass(frozen=True, slots=True)
class Parsed:
    """A syntax tree and what was found wrong while reading it."""

    file: nodes.File
    diagnostics: Diagnostics


@dataclass(frozen=True, slots=True)
class ParsedExpression:
    """An expression that stood by itself, and what was found wrong while reading it."""

    expr: nodes.Expr
    diagnostics: Diagnostics


def read_source(path: str | Path) -> SourceFile:
    """Reads a definition file.

    In a file that is not UTF-8 each wrong byte stands as a lone surrogate, which `parse` reports.
    Raises UserError if the file cannot be read at all.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UserError(
            f"cannot read {path}: {error.strerror}", hint="is the path right?"
        ) from error
    return SourceFile(str(path), data.decode("utf-8", errors="surrogateescape"))


def parse(source: SourceFile) -> Parsed:
    """The syntax tree of a file; what could not be read is left out or stands as ErrorExpr."""
    diagnostics = _readable(source)
    if diagnostics.has_errors:
        return Parsed(nodes.File((), span=Span(0, len(source.text))), diagnostics)
    file = cast(nodes.File, _run(source, diagnostics, "file"))
    if "#" in source.text:
        file = replace(file, comments=_comments(source.text))
    return Parsed(file, diagnostics)


def parse_tokens(source: SourceFile) -> tuple[Parsed, tuple[Token, ...]]:
    """The syntax tree of a file, as `parse` gives it, and the tokens it was read from."""
    diagnostics = _readable(source)
    if diagnostics.has_errors:
        return Parsed(nodes.File((), span=Span(0, len(source.text))), diagnostics), ()
    machine = Recorder(_program(), Builder(diagnostics), "file")
    file = cast(nodes.File, _drive(machine, source, diagnostics))
    return Parsed(file, diagnostics), machine.tokens


def parse_expression(source: SourceFile) -> ParsedExpression:
    """One expression: a condition, a measure, a selection or a window."""
    diagnostics = _readable(source)
    if diagnostics.has_errors:
        return ParsedExpression(nodes.ErrorExpr(Span(0, len(source.text))), diagnostics)
    return ParsedExpression(cast("nodes.Expr", _run(source, diagnostics, "expr")), diagnostics)


@cache
def _program() -> Program:
    return Program(load_tables(), Builder)


def _run(source: SourceFile, diagnostics: Diagnostics, start: str) -> object:
    return _drive(Machine(_program(), Builder(diagnostics), start), source, diagnostics)


def _drive(machine: Machine, source: SourceFile, diagnostics: Diagnostics) -> object:
    pos = 0
    recovery: Recovery | None = None
    while True:
        try:
            machine.run(source.text, pos)
        except ReadError as error:
            recovery = recovery or Recovery(machine, source, diagnostics)
            pos = recovery.resume(error.offset)
        else:
            return machine.values[0]


def _readable(source: SourceFile) -> Diagnostics:
    """Checks what must hold before a parser may look at a text."""
    text = source.text
    broken = None if text.isascii() else _SURROGATE.search(text)
    if broken:
        # Whoever prints the line must be able to: no half characters in it.
        diagnostics = Diagnostics(SourceFile(source.name, _SURROGATE.sub("\ufffd", text)))
        diagnostics.report(
            "invalid-encoding",
            Span(broken.start(), broken.end()),
            f"expected UTF-8, found the byte 0x{ord(broken.group()) & 0xFF:02x}",
            help="save the file as UTF-8",
        )
        return diagnostics
    diagnostics = Diagnostics(source)
    if len(text) > MAX_BYTES or (
        len(text) > MAX_BYTES // 4 and len(text.encode("utf-8")) > MAX_BYTES
    ):
        diagnostics.report(
            "file-too-large", Span(0, 1), "expected at most 1 MiB of text, found more"
        )
        return diagnostics
    place = deepest(text, MAX_NESTING)
    if place is not None:
        diagnostics.report(
            "nesting-too-deep",
            Span(place, place + 1),
            f"expected at most {MAX_NESTING} levels of nesting, found more",
            help="name a part with `let`, or join the parts with one `and` or `or`",
        )
    return diagnostics


def _comments(text: str) -> tuple[nodes.Comment, ...]:
    found = []
    for match in _COMMENT.finditer(text):
        if match.group(1) is None:
            continue
        start = match.start()
        line_start = text.rfind("\n", 0, start) + 1
        words = match.group(1).rstrip()
        own_line = not text[line_start:start].strip(" \t\r\f\v\ufeff")
        found.append(nodes.Comment(words, own_line, Span(start, start + len(words))))
    return tuple(found)
