"""Scoped relations: the only names of tables there are.

Every relation comes with the guards that bind it to a client, to the evaluation instant and to the
consent that each record carried; `consented` adds the consent in force. Nothing else in the
compiler can name a table, and `proof.py` checks the finished text for exactly these guards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from sqlglot import exp

from relo_dsl.consent import ScopedPlan
from relo_dsl.sql.build import (
    Parameters,
    call,
    column,
    compare,
    is_in,
    number,
    select,
    subquery,
    union,
)
from relo_dsl.terms import Window
from relo_dsl.times import subtract_months

EXTENDED_RETENTION = 64
DEVICE = "device"
#: The names under which every query knows devices by their consent in force.
WITHHELD, CONSENTED, EXTENDED = "withheld", "consented", "extended"


#: Device keys from the first to before the second; None where it has no end.
Span: TypeAlias = tuple[bytes | None, bytes | None]


def device() -> exp.Expr:
    """The device of a row."""
    return column(DEVICE)


def _table(name: str) -> exp.Expr:
    return exp.Table(this=exp.Identifier(this=name, quoted=False))


def _columns(test: exp.Expr) -> set[str]:
    """The columns that a test reads; the arguments of its lambdas are none."""
    arguments = {name.name for part in test.find_all(exp.Lambda) for name in part.expressions}
    return {part.name for part in test.find_all(exp.Column)} - arguments


def _named(name: str) -> exp.Select:
    return select([device()], _table(name))


@dataclass(frozen=True)
class Scope:
    """The relations of one scoped plan at one instant (`now`, epoch milliseconds)."""

    plan: ScopedPlan
    now: int
    params: Parameters
    suffix: str = ""
    """What is appended to the names that speak of the mask, where a query knows several masks."""
    span: Span = (None, None)
    """The devices that are looked at, where a query is about some of them: keys are even."""
    narrow: bool = False
    """Whether the consent of these alone is read: then the outermost SELECT asks for the span."""

    # ---- guards --------------------------------------------------------------------------------

    def client_guard(self) -> exp.Expr:
        """Rows of this client."""
        return compare(
            column("client_id"), "=", self.params.add(self.plan.client, "UInt32", "client")
        )

    def time_guard(self) -> exp.Expr:
        """Rows that exist at T."""
        return compare(column("time"), "<=", self.params.time(self.now, "t"))

    def flags_guard(self) -> exp.Expr:
        """Records that carried every flag of the mask."""
        mask = self._mask()
        return compare(call("bitAnd", column("flags"), mask), "=", mask.copy())

    def span_guards(self) -> list[exp.Expr]:
        """Devices of the span alone. The sort keys have the device, so that no more is read."""
        tests: list[exp.Expr] = []
        for op, key in zip((">=", "<"), self.span, strict=True):
            if key is not None:
                bound = call("unhex", self.params.string(key.hex()))
                tests.append(compare(device(), op, call("toFixedString", bound, number(len(key)))))
        return tests

    def retention_guards(self, after: int | None) -> list[list[exp.Expr]]:
        """Nothing older than its retention: guards for the usual rows, then for the longer kept.

        One empty list where the window `after` is younger than any retention. Rows kept for
        longer are read apart: looking every row's device up for their sake would cost far more.
        """
        months = self.plan.plan.retention_months
        if months is None:
            return [[]]
        limit = subtract_months(self.now, months)
        if after is not None and after >= limit - 1:
            return [[]]
        young = [compare(column("time"), ">=", self.params.time(limit))]
        extended = self.plan.plan.extended_months
        if extended is not None and extended <= months:
            return [young]
        longer = [
            compare(column("retain_months"), ">", self.params.add(months, "UInt16")),
            compare(column("time"), "<", self.params.time(limit)),
            is_in(device(), _named(EXTENDED)),
        ]
        if extended is not None:
            oldest = self.params.time(subtract_months(self.now, extended))
            longer.append(compare(column("time"), ">=", oldest))
        return [young, longer]

    def consent_guard(self) -> exp.Expr:
        """Devices whose consent in force at T has every flag of the mask."""
        if self._granted_by_default:
            return is_in(device(), _named(WITHHELD + self.suffix), negate=True)
        return is_in(device(), _named(CONSENTED + self.suffix))

    def withheld_guard(self) -> exp.Expr:
        """The opposite of `consent_guard`: for counting what consent held back, never for ids."""
        return is_in(
            device(),
            _named((WITHHELD if self._granted_by_default else CONSENTED) + self.suffix),
            negate=not self._granted_by_default,
        )

    def named(self) -> dict[str, exp.Select]:
        """What the names in the guards stand for: sets of devices by their consent at T."""
        mask = self._mask()
        lacks = compare(call("bitAnd", column("flags"), mask), "!=", mask.copy())
        bit = number(EXTENDED_RETENTION)
        not_extended = compare(call("bitAnd", column("flags"), bit), "!=", bit.copy())
        if self._granted_by_default:
            return {
                WITHHELD + self.suffix: self._by_consent(lacks, 1),
                EXTENDED: self._by_consent(not_extended, 0),
            }
        return {
            CONSENTED + self.suffix: self._by_consent(lacks, 0),
            EXTENDED: self._by_consent(not_extended, 0),
        }

    @property
    def _granted_by_default(self) -> bool:
        return self.plan.plan.default_flags & self.plan.mask == self.plan.mask

    def _mask(self) -> exp.Expr:
        return self.params.add(self.plan.mask, "UInt8", f"mask{self.suffix}")

    def _by_consent(self, lacks: exp.Expr, wanted: int) -> exp.Select:
        """Devices with a record, by whether the latest one lacks something.

        Records of one instant are ANDed: together they lack what any of them lacks, so among equal
        times the greatest `lacks` decides, and one `max` finds it: over one number made of both,
        its last bit `lacks`, which takes half the time of a pair.
        """
        millis = call("toUnixTimestamp64Milli", column("time"))
        doubled = exp.Mul(this=millis, expression=number(2))
        latest = call("max", exp.Add(this=doubled, expression=exp.Paren(this=lacks)))
        test = compare(call("bitAnd", latest, number(1)), "=", number(wanted))
        guards = [self.client_guard(), self.time_guard()]
        if self.narrow:
            guards += self.span_guards()
        return select([device()], _table("consent"), guards, [device()], [test])

    # ---- relations -----------------------------------------------------------------------------

    def events(
        self,
        types: tuple[str, ...],
        window: Window,
        where: list[exp.Expr],
        having: list[exp.Expr],
        *,
        devices: Sequence[exp.Expr] = (),
        once: bool = True,
        by: Sequence[exp.Expr] = (),
        also: Sequence[exp.Alias] = (),
        carried: bool = True,
    ) -> exp.Select:
        """Devices with events of these types (none: any) in the window that pass `where`.

        `devices` are tests of the device itself. Each device `once`, or, where that does not
        matter, as often as it comes; with `by`, once for each of their values that passes. `also`
        are further columns of the result. Without `carried` every aggregate among them has to ask
        for the flags that its rows carried.
        """
        after, until = window.bounds(self.now)
        guards = [self.client_guard()]
        if types:
            guards.append(self.among("event_type", types))
        guards += self.span_guards()
        if after is not None:
            guards.append(compare(column("time"), ">", self.params.time(after)))
        if until < self.now:
            guards.append(compare(column("time"), "<=", self.params.time(until)))
        else:
            guards.append(self.time_guard())
        if carried:
            guards.append(self.flags_guard())
        once = once or bool(having)
        return self._kept(
            guards, where, after, having, devices=devices, once=once, by=by, also=also
        )

    def traits(
        self,
        names: tuple[str, ...],
        having: list[exp.Expr],
        *,
        once: bool = True,
        also: Sequence[exp.Alias] = (),
        carried: bool = True,
    ) -> exp.Select:
        """Devices with visible identifies that set one of these traits, of any age."""
        return self._known("traits", names, having, once=once, also=also, carried=carried)

    def scores(
        self,
        names: tuple[str, ...],
        having: list[exp.Expr],
        *,
        also: Sequence[exp.Alias] = (),
        carried: bool = True,
    ) -> exp.Select:
        """Devices with visible records of one of these scores, of any age."""
        return self._known("scores", names, having, also=also, carried=carried)

    def _known(
        self,
        table: str,
        names: tuple[str, ...],
        having: list[exp.Expr],
        *,
        once: bool = True,
        also: Sequence[exp.Alias] = (),
        carried: bool = True,
    ) -> exp.Select:
        """Devices by what is no event, so that no retention ends it."""
        guards = [self.client_guard(), self.among("name", names)]
        guards += [*self.span_guards(), self.time_guard()]
        if carried:
            guards.append(self.flags_guard())
        return select([device(), *also], _table(table), guards, [device()] if once else [], having)

    def among(self, what: str, values: tuple[str, ...]) -> exp.Expr:
        """Rows whose column holds one of the values."""
        names = [self.params.string(value) for value in values]
        if len(names) == 1:
            return compare(column(what), "=", names[0])
        return exp.In(this=column(what), expressions=names)

    def _kept(
        self,
        guards: list[exp.Expr],
        where: list[exp.Expr],
        after: int | None,
        having: list[exp.Expr],
        *,
        devices: Sequence[exp.Expr] = (),
        once: bool,
        by: Sequence[exp.Expr] = (),
        also: Sequence[exp.Alias] = (),
    ) -> exp.Select:
        """The events that are still kept, by device."""
        group = [device(), *by] if once or by else []
        wanted = [device(), *also]
        kinds = self.retention_guards(after)
        if len(kinds) == 1:
            rows = [*guards, *kinds[0], *where, *devices]
            return select(wanted, _table("events"), rows, group, having)
        asked = (*having, *by, *also)
        needed = {DEVICE}.union(*(_columns(test) for test in asked))
        needed -= {named.alias for test in asked for named in test.find_all(exp.Alias)}
        parts: list[exp.Query] = [
            select(
                [column(name) for name in sorted(needed)],
                _table("events"),
                [guard.copy() for guard in (*guards, *kept, *where)],
            )
            for kept in kinds
        ]
        # Tests of devices can be whole queries: they stand once, outside.
        return select(wanted, subquery(union(parts, distinct=False)), devices, group, having)

    def listed(self, name: str) -> exp.Select:
        """Devices on an uploaded list: on the latest version of it."""
        latest = select([call("max", column("version"))], _table("lists"), self._list_guards(name))
        of_latest = compare(column("version"), "=", subquery(latest))
        guards = [*self._list_guards(name), of_latest, *self.span_guards()]
        return select([device()], _table("lists"), guards)

    def _list_guards(self, name: str) -> list[exp.Expr]:
        return [self.client_guard(), compare(column("name"), "=", self.params.string(name))]

    def universe(self) -> exp.Select:
        """Every device with a visible event or a visible identify, each once."""
        parts: list[exp.Query] = [
            self.events((), Window(), [], [], once=False),
            self.traits(("",), [], once=False),
        ]
        return select([device()], subquery(union(parts, distinct=False)), (), [device()])
