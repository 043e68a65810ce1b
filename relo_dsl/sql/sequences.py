"""Sequences of events as tests of one device's rows.

Two steps in any distance are a smallest and a greatest order, and of three the second lies between
such. Anything more is an array of the rows that matter, sorted by (time, tie), each with one bit
for every step that it could fill. Over it the steps follow one another: a row ends the first so
many steps if it can fill the last of them and the latest end of those before, strictly earlier, is
near enough. The latest is always the best: nothing that follows asks for an earlier one.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as Several
from dataclasses import dataclass

from sqlglot import exp

from relo_dsl.sql.build import Parameters, all_of, any_of, call, column, compare, number
from relo_dsl.sql.leaves import Rows
from relo_dsl.terms import Sequence

#: Added to times so that none is negative.
_SHIFT = 4_000_000_000_000
#: Before and after every time, by more than any gap.
_NEVER, _FOREVER = -(10**16), 10**16
#: What 128 bits leave beside time (44) and tie (64).
_FEW_BITS = 20


def event_order() -> exp.Expr:
    """One number that orders rows as (time, tie) does, always above zero."""
    return _order("toUInt128", 0)


def _order(kind: str, bits: int) -> exp.Expr:
    """The order of a row, so many bits to the left."""
    millis = call("toUnixTimestamp64Milli", column("time"))
    shifted = call(kind, exp.Add(this=millis, expression=number(_SHIFT)))
    tie: exp.Expr = column("tie")
    if bits:
        tie = call("bitShiftLeft", call(kind, tie), number(bits))
    return exp.Add(this=call("bitShiftLeft", shifted, number(64 + bits)), expression=tie)


@dataclass(frozen=True)
class SequenceSql:
    """One sequence in a scan.

    `rows` are those of its steps, then of its absence; `own` is what they ask of a row of the scan
    (None: nothing). `sole` where the scan is about no other rows.
    """

    sequence: Sequence
    rows: Several[Rows]
    own: Callable[[Rows], exp.Expr | None]
    params: Parameters
    now: int
    sole: bool

    def render(self) -> exp.Expr:
        """The test of a device, never NULL."""
        steps, absence = self.sequence.steps, self.sequence.absence
        if len(steps) <= 3 and absence is None and all(step.gap is None for step in steps[1:]):
            return self._two_steps() if len(steps) == 2 else self._three_steps()
        names = [self.params.alias() for _ in range(3)]
        arrays = (self._sorted(), self._times(column(names[0])), self._masks(column(names[0])))
        # What is used many times is named once, where it stands alone.
        named = [
            call("notEmpty", exp.alias_(exp.Paren(this=array), name))
            for array, name in zip(arrays, names, strict=True)
        ]
        ends = self._ends(names[1], names[2])
        if absence is None:
            found = call("arrayExists", _lambda(("r",), column("r")), ends)
        else:
            found = self._undisturbed(ends, names[1], names[2], absence.length)
        return all_of([*named, found])

    def _two_steps(self) -> exp.Expr:
        """Some first step lies before some second one: the first of the first before the last."""
        first, second = (self.own(rows) for rows in self.rows)
        begun = call("count") if first is None else call("countIf", first)
        earliest = _of_rows("min", event_order(), first)
        latest = _of_rows("max", event_order(), second)
        return all_of([compare(begun, ">", number(0)), compare(earliest, "<", latest)])

    def _three_steps(self) -> exp.Expr:
        """Some second step lies after the first of the first, and before the last of the last."""
        first, second, last = (self.own(rows) for rows in self.rows)
        begun = call("count") if first is None else call("countIf", first)
        between = all_of(
            [
                compare(column("r"), ">", _of_rows("min", event_order(), first)),
                compare(column("r"), "<", _of_rows("max", event_order(), last)),
            ]
        )
        orders = _of_rows("groupArray", event_order(), second)
        found = call("arrayExists", _lambda(("r",), between), orders)
        return all_of([compare(begun, ">", number(0)), found])

    # ---- the array of rows ---------------------------------------------------------------------

    def _bits(self) -> list[Rows]:
        """The different kinds of rows; each has the bit of its place."""
        return list(dict.fromkeys(self.rows))

    def _sorted(self) -> exp.Expr:
        """The rows that matter, each as one number: time, tie, and a bit for each of its kinds."""
        kinds = self._bits()
        kind = "toUInt128" if len(kinds) <= _FEW_BITS else "toUInt256"
        tests = [self.own(rows) for rows in kinds]
        bits: list[exp.Expr] = [
            number(1 << i) if own is None else call("if", own, number(1 << i), number(0))
            for i, own in enumerate(tests)
        ]
        key = _order(kind, len(kinds))
        for bit in bits:
            key = exp.Add(this=key, expression=bit)
        if self.sole or None in tests:
            gathered = call("groupArray", key)
        else:
            wanted = any_of([own.copy() for own in tests if own is not None])
            gathered = call("groupArrayIf", key, wanted)
        return call("arraySort", gathered)

    def _times(self, keys: exp.Expr) -> exp.Expr:
        """Their times in order, with one before and one after all."""
        time = call("toInt64", call("bitShiftRight", column("k"), number(64 + len(self._bits()))))
        times = call("arrayMap", _lambda(("k",), time), keys)
        times = call("arrayPushFront", times, number(_NEVER))
        return call("arrayPushBack", times, call("toInt64", number(_FOREVER)))

    def _masks(self, keys: exp.Expr) -> exp.Expr:
        """Their bits in the same order."""
        bits = number((1 << len(self._bits())) - 1)
        mask = call("toUInt64", call("bitAnd", column("k"), bits))
        masks = call("arrayMap", _lambda(("k",), mask), keys)
        return call("arrayPushBack", call("arrayPushFront", masks, number(0)), number(0))

    # ---- steps ---------------------------------------------------------------------------------

    def _ends(self, times: str, masks: str) -> exp.Expr:
        """For each place of the arrays, whether the row there can end all steps."""
        kinds = self._bits()
        first = _has_bit(kinds.index(self.rows[0]))
        ends = call("arrayMap", _lambda(("m",), first), column(masks))
        for index, step in enumerate(self.sequence.steps[1:], 1):
            latest = call("arrayFill", _lambda(("t", "r"), column("r")), column(times), ends)
            before = call("arrayPopBack", call("arrayPushFront", latest, number(_NEVER)))
            near = compare(column("p"), ">", number(0))
            if step.gap is not None:
                apart = exp.Sub(this=column("t"), expression=column("p"))
                near = compare(apart, "<=", self.params.add(step.gap, "Int64"))
            test = all_of([_has_bit(kinds.index(self.rows[index])), near])
            arrays = (column(times), column(masks), before)
            ends = call("arrayMap", _lambda(("t", "m", "p"), test), *arrays)
        return ends

    def _undisturbed(self, ends: exp.Expr, times: str, masks: str, length: int) -> exp.Expr:
        """Whether the time after some end has passed, and the next unwanted row came after it."""
        unwanted = _has_bit(self._bits().index(self.rows[-1]))
        arrays = (column(times), column(masks))
        came = call("arrayReverseFill", _lambda(("t", "m"), unwanted), *arrays)
        forever = call("toInt64", number(_FOREVER))
        following = call("arrayPopFront", call("arrayPushBack", came, forever))
        passed = self.params.add(self.now - length + _SHIFT, "Int64")
        quiet = exp.Sub(this=column("n"), expression=column("t"))
        test = all_of(
            [
                column("r"),
                compare(column("t"), "<=", passed),
                compare(quiet, ">", self.params.add(length, "Int64")),
            ]
        )
        return call("arrayExists", _lambda(("r", "t", "n"), test), ends, column(times), following)


def _has_bit(bit: int) -> exp.Expr:
    return call("bitTest", column("m"), number(bit))


def _lambda(names: tuple[str, ...], body: exp.Expr) -> exp.Expr:
    arguments = [exp.Identifier(this=name, quoted=False) for name in names]
    return exp.Lambda(this=body, expressions=arguments)


def _of_rows(name: str, what: exp.Expr, own: exp.Expr | None) -> exp.Expr:
    return call(name, what) if own is None else call(f"{name}If", what, own.copy())
