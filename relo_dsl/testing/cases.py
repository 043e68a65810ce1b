"""The tests of a definition, read: who has which records, who is expected to be a member, when.

Records stand `A ago`, `at DATE` or `now`, counted from the first instant of the test; local dates
are those of the definition's zone. Records of one device and one instant come in the order in which
they are written: their ids, `test:DEVICE:N`, are dealt out so that their ties say so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby

from relo_dsl.catalog import Catalog
from relo_dsl.diagnostics import Diagnostics, did_you_mean, nearest
from relo_dsl.records import MAX_TIME, MIN_TIME, Record, tie_of
from relo_dsl.source import SourceFile, Span
from relo_dsl.syntax import nodes
from relo_dsl.testing.given import RecordReader
from relo_dsl.times import TimeError, parse_instant


@dataclass(frozen=True, slots=True)
class Expectation:
    """A device is a member (or is not) at the test's instants; or, with a first instant `start`
    or a last one `until` (milliseconds, itself outside), that it enters and leaves then.
    """

    device: str
    member: bool
    start: int | None
    until: int | None
    span: Span

    @property
    def is_stay(self) -> bool:
        """Whether it says when the device enters or leaves."""
        return self.start is not None or self.until is not None


@dataclass(frozen=True, slots=True)
class Check:
    """Whether a device is to be a member at one instant."""

    device: str
    at: int
    member: bool
    span: Span


@dataclass(frozen=True, slots=True)
class Case:
    """One test: only its devices exist. Instants are epoch milliseconds."""

    name: str
    """The definition's."""
    title: str
    instants: tuple[int, ...]
    records: tuple[Record, ...]
    lists: Mapping[str, frozenset[str]]
    expectations: tuple[Expectation, ...]
    source: SourceFile = field(compare=False)
    span: Span = field(compare=False)

    @property
    def devices(self) -> list[str]:
        """All that it names, in their order."""
        named = [record.device for record in self.records]
        return list(dict.fromkeys([*named, *(e.device for e in self.expectations)]))

    def checks(self) -> list[Check]:
        """What is to be looked at, each device and instant once for each expectation.

        A stay is looked at on both sides of its ends, and at the test's instants inside it.
        """
        found: dict[Check, None] = {}
        for expected in self.expectations:
            for at, member in self._moments(expected):
                found[Check(expected.device, at, member, expected.span)] = None
        return list(found)

    def _moments(self, expected: Expectation) -> Iterator[tuple[int, bool]]:
        if not expected.is_stay:
            for at in self.instants:
                yield at, expected.member
            return
        start, until = expected.start, expected.until
        if start is not None:
            yield start - 1, not expected.member
            yield start, expected.member
        if until is not None:
            yield until - 1, expected.member
            yield until, not expected.member
        for at in self.instants:
            if (start is None or at >= start) and (until is None or at < until):
                yield at, expected.member


@dataclass(frozen=True)
class CaseReader:
    """Reads the tests of one definition; every mistake is added to `found`.

    `lists` are the names that `given list` may have.
    """

    catalog: Catalog
    client: int
    zone: str
    lists: frozenset[str]
    found: Diagnostics
    allow_unknown: bool = False

    def read(self, definition: nodes.Definition) -> tuple[Case, ...]:
        """The tests that can run, in their order."""
        cases = (self._case(definition.name.text, test) for test in definition.tests)
        return tuple(case for case in cases if case is not None)

    def _case(self, name: str, test: nodes.Test) -> Case | None:
        before = len(self.found.items)
        read = [self._instant(date) for date in test.instants]
        instants = tuple(at for at in read if at is not None)
        if len(instants) < len(read) or not instants:
            return None
        records = tuple(self._records(test, instants[0]))
        expectations = tuple(self._expectations(test))
        lists = self._lists(test)
        if any(item.severity.value == "error" for item in self.found.items[before:]):
            return None
        made = Case(
            name, test.title.value, instants, tuple(record for _, record in records), lists,
            expectations, self.found.source, test.span,
        )  # fmt: skip
        self._hint(test, made, records)
        return made

    # ---- instants ------------------------------------------------------------------------------

    def _instant(self, date: nodes.Date) -> int | None:
        """Epoch milliseconds; None where the parser has reported it, or it is reported now."""
        try:
            at = parse_instant(date.text, self.zone)
        except TimeError:
            return None
        return self._in_range(at, date.span)

    def _in_range(self, at: int, span: Span) -> int | None:
        if MIN_TIME < at < MAX_TIME:
            return at
        self.found.report("date", span, "the time lies outside the years 1900 to 2199")
        return None

    def _moment(self, moment: nodes.Moment, first: int) -> int | None:
        if moment.at is not None:
            return self._instant(moment.at)
        if moment.ago is not None:
            return self._in_range(first - moment.ago.millis, moment.span)
        return first

    # ---- given ---------------------------------------------------------------------------------

    def _records(self, test: nodes.Test, first: int) -> Iterator[tuple[nodes.TestRecord, Record]]:
        reader = RecordReader(self.catalog, self.client, self.found, self.allow_unknown)
        written: dict[str, list[nodes.TestRecord]] = {}
        for given in test.given:
            if isinstance(given, nodes.GivenDevice):
                written.setdefault(given.device.text, []).extend(given.records)
        for device, own in written.items():
            times = [self._moment(record.when, first) for record in own]
            ids = _ids(device, times)
            for record, at, eid in zip(own, times, ids, strict=True):
                made = None if at is None else reader.read(record, device, at, eid)
                if made is not None:
                    yield record, made

    def _lists(self, test: nodes.Test) -> dict[str, frozenset[str]]:
        lists: dict[str, frozenset[str]] = {}
        for given in test.given:
            if not isinstance(given, nodes.GivenList):
                continue
            name = given.name.text
            if name not in self.lists:
                help_text, best = did_you_mean(name, self.lists, "list")
                self.found.report(
                    "unknown-list",
                    given.name.span,
                    f"there is no list `{name}`",
                    help=help_text,
                    replacement=best,
                )
            named = frozenset(device.text for device in given.devices)
            lists[name] = lists.get(name, frozenset()) | named
        return lists

    # ---- expected ------------------------------------------------------------------------------

    def _expectations(self, test: nodes.Test) -> Iterator[Expectation]:
        for expect in test.expect:
            start = None if expect.start is None else self._instant(expect.start)
            until = None if expect.until is None else self._instant(expect.until)
            if start is not None and until is not None and until <= start:
                self.found.report(
                    "range-order",
                    expect.span,
                    "expected an end after the start: a device leaves later than it enters",
                )
            for device in expect.devices:
                yield Expectation(device.text, not expect.negated, start, until, expect.span)

    def _hint(
        self, test: nodes.Test, case: Case, records: Iterable[tuple[nodes.TestRecord, Record]]
    ) -> None:
        """What can not change the outcome is probably not what was meant."""
        checks = case.checks()
        if not checks:
            self.found.report(
                "idle-test",
                test.title.span,
                "this test expects nothing",
                help="write `expect` and who is a member, or `expect not`",
            )
            return
        last = max(check.at for check in checks)
        for written, record in records:
            if record.time > last:
                self.found.report(
                    "idle-test",
                    written.when.span,
                    "this is later than every instant that the test looks at",
                    help="a record does not exist before its time",
                )
        given = {record.device for record in case.records}
        for expect in test.expect:
            for device in expect.devices:
                close = nearest(device.text, given, 1)
                if device.text not in given and close and expect.negated:
                    self.found.report(
                        "idle-test",
                        device.span,
                        f"`{device.text}` has no records, so it is never a member",
                        help=f"did you mean `{close[0]}`?",
                        replacement=close[0],
                    )


def _ids(device: str, times: list[int | None]) -> list[str]:
    """An id for each record of a device: among those of one time the ties are in their order."""
    ids = [f"test:{device}:{number}" for number in range(len(times))]
    order = sorted(range(len(times)), key=lambda i: (times[i] or 0, i))
    for _, group in groupby(order, key=lambda i: times[i] or 0):
        same = list(group)
        for place, eid in zip(same, sorted((ids[i] for i in same), key=tie_of), strict=True):
            ids[place] = eid
    return ids
