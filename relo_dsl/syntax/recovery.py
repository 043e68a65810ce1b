"""Goes on after something that could not be read, so that one run finds every mistake.

A misfit is reported once. Then, in this order: a slip with an obvious meaning (`==`, `&&`, a
misspelt keyword, an unclosed string) is read as what it means; otherwise the parser gives up the
smallest part of the text that lets it go on: it drops the tokens up to the next one that fits, or
puts ERROR in place of an operand, a header statement, a line of a test or, at worst, JUNK in place
of a whole definition.
"""

from __future__ import annotations

from dataclasses import dataclass

from relo_dsl.diagnostics import Diagnostics, nearest
from relo_dsl.source import SourceFile, Span
from relo_dsl.syntax.expectations import advice, expected_words, replacement
from relo_dsl.syntax.machine import Machine, peek, skip
from relo_dsl.syntax.nodes import Name
from relo_dsl.syntax.omissions import last, periods, record, way_out_of_bars
from relo_dsl.syntax.pieces import SLIPS, Piece, piece_at
from relo_dsl.syntax.tables import HEADERS, INSERTED, JOINING, STATEMENTS

_SEPARATORS = frozenset({"AND", "OR", "THEN", "RPAR", "RSQB", "RBRACE", "COMMA", "$END"})
_OPENING, _CLOSING = "([{", ")]}"
#: After so many mistakes in one text the rest of it is not read.
MOST_REPAIRS = 200


@dataclass(frozen=True, slots=True)
class _Retreat:
    """A place to go on from: `depth` entries of the stack stay, then `insert` is put there."""

    depth: int
    insert: str
    direct: bool
    states: list[int]


class Recovery:
    """Repairs one machine's stack after each misfit."""

    def __init__(self, machine: Machine, source: SourceFile, diagnostics: Diagnostics) -> None:
        self.machine = machine
        self.tables = machine.tables
        self.text = source.text
        self.diagnostics = diagnostics
        self._resumed_at = -1
        self._repairs = 0
        self._closing_lost = False

    def resume(self, offset: int) -> int:
        """Reports what stands at `offset`, makes the stack ready to go on, and says from where."""
        self._repairs += 1
        if self._repairs > MOST_REPAIRS:
            return self._give_up(offset)
        piece = self._piece(offset)
        silent = piece.start == self._resumed_at or self._lacks_lost_closing(piece)
        pos = None
        if not silent:
            pos = self._small_repair(piece)
        if pos is None:
            if not silent:
                self._report(piece)
            pos = self._retreat(piece)
        return pos

    def _lacks_lost_closing(self, piece: Piece) -> bool:
        """Whether only a bracket is missing that an unclosed string before may have swallowed."""
        if not self._closing_lost or not (piece.kind == "end" or self._is_statement(piece)):
            return False
        self._closing_lost = False
        return bool({"RPAR", "RSQB"} & set(self.accepted()))

    def _give_up(self, offset: int) -> int:
        """Reads nothing more: a text with so many mistakes is something else than a definition."""
        end = Piece("end", "", len(self.text), len(self.text))
        self._take(self._retreats()[-1], offset, end.start)
        return end.start

    # ---- looking -------------------------------------------------------------------------------

    def _piece(self, offset: int) -> Piece:
        return piece_at(self.text, offset)

    def after(self, states: list[int], kind: str) -> list[int] | None:
        """The stack after a token, or None if it does not fit; the machine is not touched."""
        states = list(states)
        tables = self.tables
        while True:
            action = tables.actions[states[-1]].get(kind)
            if action is None:
                return None
            if action >= 0:
                return [*states, action]
            rule = tables.rules[-1 - action]
            if rule.size:
                del states[-rule.size :]
            states.append(tables.gotos[states[-1]][rule.origin])
            if kind == "$END" and states[-1] == self.machine.end_state:
                return states

    def accepted(self) -> list[str]:
        """Every terminal that fits now, in the order of the grammar."""
        states = self.machine.states
        known = [terminal.name for terminal in self.tables.terminals]
        return [
            kind
            for kind in (*known, "$END")
            if kind not in INSERTED and self.after(states, kind) is not None
        ]

    def _fits(self, states: list[int], pos: int) -> str | None:
        """The kind of the next token, if it fits on a stack."""
        kind = peek(self.tables.lexer(states[-1]), self.tables.signs, self.text, pos)
        return kind if kind and self.after(states, kind) is not None else None

    def feed(self, kind: str, text: str, start: int, end: int) -> bool:
        """Reads a token that stands, or is meant, at a place; False where it does not fit."""
        if self.after(self.machine.states, kind) is None:
            return False
        return self.machine.feed(kind, text, start, end)

    def next_kind(self, piece: Piece) -> str | None:
        """The kind of a piece as a token, if it fits now."""
        return self._fits(self.machine.states, piece.start)

    def silence(self, piece: Piece) -> None:
        """Says nothing of a misfit at this piece: it comes of one that was told."""
        self._resumed_at = piece.start

    # ---- slips whose meaning is clear ----------------------------------------------------------

    def _small_repair(self, piece: Piece) -> int | None:
        """Reads a slip as what it means; None where there is none. Returns where to go on."""
        for repair in (
            self._swallowed_statement,
            self._missing_match,
            self._definition_name,
            self._omission,
            self._strange,
            self._string,
            self._slip,
            self._keyword,
        ):
            pos = repair(piece)
            if pos is not None:
                return pos
        return None

    def _swallowed_statement(self, _: Piece) -> int | None:
        """A statement's first word that was read as a name, since a name was still missing."""
        machine = self.machine
        if not machine.values or not isinstance(machine.values[-1], Name):
            return None
        word = self._piece(machine.begins[-1])
        if not self._is_statement(word) or machine.values[-1].text != word.text:
            return None
        if len(machine.values) > 1 and machine.values[-2] in ("audience", "segment"):
            return None
        self._pop_to(len(machine.values) - 1)
        self._report(word)
        return self._retreat(word)

    def _missing_match(self, piece: Piece) -> int | None:
        """A definition that ends without `match`; the builder reports it."""
        states = self.after(self.machine.states, "NO_MATCH")
        if states is None or self._fits(states, piece.start) is None:
            return None
        self.feed("NO_MATCH", "", piece.start, piece.start)
        return piece.start

    def _definition_name(self, piece: Piece) -> int | None:
        """A keyword, or something else than a name, where the name of a definition stands."""
        values, begins = self.machine.values, self.machine.begins
        if values and values[-1] in ("audience", "segment") and self._may_be_name():
            kind = values[-1]
            self.diagnostics.report(
                "missing-name",
                piece.span,
                f"expected a name after `{kind}`, found {piece.shown}",
                help="names are small letters, digits and `_`, without quotes",
            )
            self.feed("NAME", "", piece.start, piece.start)
            return piece.end if piece.kind in ("string", "number", "single") else piece.start
        word = values[-1] if len(values) > 1 and isinstance(values[-1], str) else ""
        if word not in (*HEADERS, "let", "match") or values[-2] not in ("audience", "segment"):
            return None
        start = begins[-1]
        self.diagnostics.report(
            "reserved-name",
            Span(start, start + len(word)),
            f"expected a name after `{values[-2]}`, found `{word}`",
            help=f"`{word}` is a word of the language",
        )
        self._pop_to(len(values) - 1)
        self.feed("NAME", "", start, start + len(word))
        return piece.start

    def _omission(self, piece: Piece) -> int | None:
        """Words or parentheses that were left out."""
        for omission in (last, periods, record):
            pos = omission(piece, self)
            if pos is not None:
                return pos
        return None

    def _may_be_name(self) -> bool:
        return self.after(self.machine.states, "NAME") is not None

    def _strange(self, piece: Piece) -> int | None:
        """Characters that mean nothing: left out."""
        if piece.kind != "strange":
            return None
        self._resumed_at = skip(self.text, piece.end)
        self.diagnostics.report(
            "invalid-character",
            piece.span,
            f"expected a word, a number or a sign, found `{piece.text}`",
            help=advice(self.text, piece, []),
        )
        return piece.end

    def _string(self, piece: Piece) -> int | None:
        """A string in the wrong quotes, or one that is not closed."""
        if piece.kind == "single":
            inner = piece.text[1:-1].replace("\\", "\\\\").replace('"', '\\"')
            self.diagnostics.report(
                "invalid-character",
                piece.span,
                f'expected `"`, found `{piece.text[0]}`',
                help="a string stands in double quotes",
                replacement=f'"{inner}"',
            )
            self.feed("STRING", f'"{inner}"', piece.start, piece.end)
            return piece.end
        if piece.kind not in ("open_string", "open_quoted"):
            return None
        quote = piece.text[0]
        end = self._string_end(piece)
        what = "string" if quote == '"' else "name"
        self.diagnostics.report(
            "unclosed-string",
            Span(piece.start, end),
            f"expected `{quote}` at the end of the {what}, found the end of the line"
            if quote == '"'
            else "expected a backtick at the end of the name, found the end of the line",
        )
        inner = self.text[piece.start + 1 : end].replace("\\", "\\\\")
        kind = "STRING" if quote == '"' else "QUOTED"
        if not self.feed(kind, f"{quote}{inner}{quote}", piece.start, end):
            self.feed("ERROR", "", piece.start, end)
        return end

    def _string_end(self, piece: Piece) -> int:
        """Where an unclosed string most likely ends: before a bracket that is still to close."""
        line_start = self.text.rfind("\n", 0, piece.start) + 1
        before = self.text[line_start : piece.start]
        for opening, closing in zip(_OPENING, _CLOSING, strict=True):
            if before.count(opening) > before.count(closing):
                if closing in piece.text:
                    return piece.start + piece.text.index(closing)
                self._closing_lost = True
        return piece.start + len(piece.text.rstrip())

    def _slip(self, piece: Piece) -> int | None:
        """A sign of some other language."""
        if piece.kind != "slip":
            return None
        kind, meant = SLIPS[piece.text]
        fits = self.feed(kind, meant, piece.start, piece.end)
        self.diagnostics.report(
            "syntax" if fits else "invalid-character",
            piece.span,
            f"expected `{meant}`, found `{piece.text}`",
            replacement=meant,
        )
        return piece.end

    def _keyword(self, piece: Piece) -> int | None:
        """A misspelt keyword, where a name does not fit; or one in capitals."""
        if piece.kind != "word" or len(piece.text) < 2:
            return None
        fitting = {
            text: kind
            for text, kind in self.tables.words.items()
            if kind in self.tables.actions[self.machine.states[-1]]
            and self.after(self.machine.states, kind) is not None
        }
        lower = piece.text.lower()
        close = [lower] if lower in fitting else nearest(lower, fitting, 1)
        if not close or (
            close[0] != lower and (len(lower) < 4 or abs(len(lower) - len(close[0])) > 2)
        ):
            return None
        self.diagnostics.report(
            "syntax",
            piece.span,
            f"expected `{close[0]}`, found `{piece.text}`",
            help="keywords are written in small letters" if close[0] == lower else None,
            replacement=close[0],
        )
        self.feed(fitting[close[0]], close[0], piece.start, piece.end)
        return piece.end

    # ---- messages ------------------------------------------------------------------------------

    def _report(self, piece: Piece) -> None:
        accepted = self.accepted()
        values, begins = self.machine.values, self.machine.begins
        if accepted == ["CALENDAR"] and values:  # `within 30`
            piece = piece_at(self.text, begins[-1])
            accepted = ["QUANTITY"]
        elif piece.text in (")", "]", "}") and not self._is_open(piece.text):
            self.diagnostics.report(
                "syntax",
                piece.span,
                f"expected `{_OPENING[_CLOSING.index(piece.text)]}` before it, found {piece.shown}",
            )
            return
        self.diagnostics.report(
            "syntax",
            piece.span,
            f"expected {expected_words(accepted, self.tables)}, found {piece.shown}",
            help=way_out_of_bars(piece, self) or advice(self.text, piece, accepted),
            replacement=replacement(piece, accepted),
        )

    def _is_open(self, closing: str) -> bool:
        """Whether some place on the stack waits for a closing bracket."""
        kind = self.tables.signs[closing]
        states = self.machine.states
        return any(kind in self.tables.actions[state] for state in states[:-1])

    # ---- giving something up -------------------------------------------------------------------

    def _retreat(self, piece: Piece) -> int:
        """Gives up the smallest part that lets the parser go on; returns where."""
        retreats = self._retreats()
        brackets = 0
        start = piece.start
        while True:
            strong = self._is_statement(piece)
            if strong or piece.kind == "end":
                brackets = 0
            if brackets == 0:
                retreat = self._best(retreats, piece, strong or piece.kind == "end", start)
                if retreat is not None:
                    self._take(retreat, start, piece.start)
                    if piece.text in JOINING:  # what it should join may be missing as well
                        self._resumed_at = skip(self.text, piece.end)
                    return piece.start
            if piece.kind == "end":
                self._take(retreats[-1], start, piece.start)
                return piece.start
            if piece.text in tuple(_OPENING):
                brackets += 1
            elif piece.text in tuple(_CLOSING) and brackets:
                brackets -= 1
            piece = self._piece(piece.end)

    def _is_statement(self, piece: Piece) -> bool:
        """A word that starts a statement, at the start of a line."""
        if piece.kind != "word" or piece.text not in STATEMENTS:
            return False
        line_start = self.text.rfind("\n", 0, piece.start) + 1
        return not self.text[line_start : piece.start].strip()

    def _retreats(self) -> list[_Retreat]:
        """From giving up least to most."""
        machine = self.machine
        found = []
        for depth in range(len(machine.states), 0, -1):
            states = machine.states[:depth]
            for insert in ("ERROR", "JUNK"):
                after = self.after(states, insert)
                if after is not None:
                    direct = self.tables.actions[states[-1]].get(insert, -1) >= 0
                    found.append(_Retreat(depth, insert, direct, after))
        whole = _Retreat(len(machine.states), "", False, list(machine.states))
        top_is_open = bool(found) and found[0].direct and found[0].depth == len(machine.states)
        found.insert(1 if top_is_open else 0, whole)
        return found

    def _best(
        self, retreats: list[_Retreat], piece: Piece, strong: bool, start: int
    ) -> _Retreat | None:
        for retreat in retreats:
            if not retreat.insert and piece.start == start:
                continue  # this is the misfit itself
            kind = self._fits(retreat.states, piece.start)
            if kind and (retreat.insert or strong or kind in _SEPARATORS):
                return retreat
            if retreat.direct and not strong:
                return None  # only a statement may give up more than the innermost part
        return None

    def _take(self, retreat: _Retreat, start: int, end: int) -> None:
        if not retreat.insert:
            return
        depth = retreat.depth - 1  # values on the stack: one fewer than states
        begin = self.machine.begins[depth] if depth < len(self.machine.begins) else start
        self._pop_to(depth)
        last = len(self.text[:end].rstrip())
        self.machine.feed(retreat.insert, "", begin, max(begin, last))

    def _pop_to(self, depth: int) -> None:
        machine = self.machine
        del machine.states[depth + 1 :]
        del machine.values[depth:], machine.begins[depth:], machine.ends[depth:]
