"""Proves the audit whole, or names the lines that are not as they were written."""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from relo_server.platform.audit import START, line_hash
from relo_server.platform.models import WHOLE, AuditHead, AuditLine

COLUMNS = tuple(column.name for column in AuditLine.__table__.columns)
#: More broken lines than these are not compared with one another for having been moved.
_COMPARED = 200
_PIECE = 1_000

What = Literal["altered", "removed", "moved", "end"]
Line = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with the line `seq` (of a client's own chain, where one was proved)."""

    seq: int
    what: What
    message: str


@dataclass(slots=True)
class Proof:
    """The outcome: how many lines there are, the last one (to be noted), and what is wrong."""

    lines: int = 0
    last: tuple[int, str] = (0, START.hex())
    findings: list[Finding] = field(default_factory=list)


def prove(
    session: Session, key: bytes, client: int | None = None, expected: tuple[int, str] | None = None
) -> Proof:
    """Reads every line, of all clients or (by its own numbers) of one.

    `expected` is a line's number and hash in hex that were noted earlier: it must still be there.
    """
    walk = _Walk(key, client, expected)
    for line in _lines(session, client):
        walk.step(line)
    heads = select(AuditHead.client_id, AuditHead.seq, AuditHead.hash)
    walk.end({row.client_id: (row.seq, bytes(row.hash)) for row in session.execute(heads)})
    return walk.proof


def _lines(session: Session, client: int | None) -> Iterator[Line]:
    order = AuditLine.seq if client is None else AuditLine.client_seq
    query = select(*(getattr(AuditLine, name) for name in COLUMNS)).order_by(order)
    if client is not None:
        query = query.where(AuditLine.client_id == client)
    for row in session.execute(query, execution_options={"yield_per": _PIECE}):
        yield {
            name: bytes(value) if isinstance(value, bytes | memoryview) else value
            for name, value in zip(COLUMNS, row, strict=True)
        }


class _Walk:
    """One pass over a chain, in order of the lines' numbers."""

    def __init__(self, key: bytes, client: int | None, expected: tuple[int, str] | None) -> None:
        self.key = key
        self.client = client
        self.expected = expected
        self.number, self.link = (
            ("seq", "previous") if client is None else ("client_seq", "client_previous")
        )
        self.proof = Proof()
        self.broken: list[int] = []
        self.compared: list[Line] = []
        self.last: Line | None = None
        self.ends: dict[int, tuple[int, bytes]] = {}
        self.met = False

    def step(self, line: Line) -> None:
        number = line[self.number]
        before = self.proof.last[0]
        fits = hmac.compare_digest(line_hash(self.key, line), line["hash"])
        if not fits:
            self.broken.append(number)
            if len(self.broken) <= _COMPARED:
                self.compared.append(line)
        if number != before + 1:
            self._removed(before + 1, number - 1)
        elif fits and not self._follows(line):
            self._find(number, "moved", f"line {number} was not written after line {before}")
        if self.expected is not None and number == self.expected[0]:
            self.met = True
            if line["hash"].hex() != self.expected[1]:
                self._find(number, "altered", f"line {number} is not the one that was noted")
        self.proof.lines += 1
        self.proof.last = (number, line["hash"].hex())
        self.last = line
        if line["client_id"] is not None:
            self.ends[line["client_id"]] = (line["client_seq"], line["hash"])

    def _follows(self, line: Line) -> bool:
        """Whether it hangs on the line before; a broken one is a finding of its own."""
        if self.proof.last[0] in self.broken[-1:]:
            return True
        return bool(line[self.link] == (self.last["hash"] if self.last else START))

    def _find(self, number: int, what: What, message: str) -> None:
        self.proof.findings.append(Finding(number, what, message))

    def _removed(self, first: int, last: int) -> None:
        which = f"line {first} was" if first == last else f"lines {first} to {last} were"
        self._find(first, "removed", f"{which} removed")

    def end(self, heads: dict[int, tuple[int, bytes]]) -> None:
        """What only shows when all lines are known."""
        self._judge_broken()
        seq, hash_ = heads.pop(WHOLE, (0, START))
        if self.client is not None:
            seq, hash_ = heads.pop(self.client, (0, START))
        self._judge_end(seq, hash_)
        if self.expected is not None and not self.met and self.expected[0] > self.proof.last[0]:
            number = self.expected[0]
            self._find(number, "removed", f"line {number}, which was noted, is not there")
        if self.client is None and not self.proof.findings and heads != self.ends:
            for client in sorted(client for client in {*heads, *self.ends}):
                if heads.get(client) != self.ends.get(client):
                    message = f"what is kept as the last line of client {client} was altered"
                    self._find(self.proof.last[0], "end", message)
        self.proof.findings.sort(key=lambda finding: finding.seq)

    def _judge_end(self, seq: int, hash_: bytes) -> None:
        number, last = self.proof.last
        if seq > number:
            self._removed(number + 1, seq)
        elif (seq, hash_.hex()) != (number, last) and not self._is_broken(number):
            self._find(number, "end", "what is kept as the last line was altered")

    def _is_broken(self, number: int) -> bool:
        return number in self.broken[-1:]

    def _judge_broken(self) -> None:
        """A line that would fit at the place of another broken one was moved from there."""
        moved = self._moved() if len(self.broken) <= _COMPARED else {}
        for number, was in moved.items():
            self._find(number, "moved", f"line {number} was line {was} when it was written")
        for first, last in _runs(number for number in self.broken if number not in moved):
            which = f"line {first} was" if first == last else f"lines {first} to {last} were"
            self._find(first, "altered", f"{which} altered")

    def _moved(self) -> dict[int, int]:
        """The numbers of broken lines that were others when they were written."""
        return {
            line[self.number]: other[self.number]
            for line in self.compared
            for other in self.compared
            if other is not line and self._fits_at(line, other)
        }

    def _fits_at(self, line: Line, other: Line) -> bool:
        places = (
            {"seq": other["seq"]},
            {"client_seq": other["client_seq"]},
            {"seq": other["seq"], "client_seq": other["client_seq"]},
        )
        return any(line_hash(self.key, {**line, **place}) == line["hash"] for place in places)


def _runs(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Numbers in ascending order as pairs of first and last without a gap between."""
    run: list[int] = []
    for number in numbers:
        if run and number == run[-1] + 1:
            run[1:] = [number]
            continue
        if run:
            yield run[0], run[-1]
        run = [number]
    if run:
        yield run[0], run[-1]
