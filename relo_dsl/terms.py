"""What definitions mean: predicates over one event, conditions over one device.

Every reader of a plan (SQL, the naive evaluator, explanations) is a `match` over these nodes. They
are frozen and hashable, know nothing of the text they came from, and every name in them is
resolved: a property carries its type, a window is a pair of ends.

Times are epoch milliseconds, durations milliseconds, numbers exact decimals.
"""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction
from math import ceil
from typing import Any, Generic, Literal, TypeAlias, TypeVar

from relo_dsl.catalog import PropertyType
from relo_dsl.times import period_start

Value: TypeAlias = "str | Decimal | bool"
Op = Literal["=", "!=", "<", "<=", ">", ">="]

#: `a < b` is `b > a`.
FLIPPED: dict[Op, Op] = {"=": "=", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_OPERATORS: dict[Op, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def compared(left: Any, op: Op, right: Any) -> bool:
    """Whether `left OP right` holds; false where either side is missing (None).

    Python compares text by code points, which is the order of its UTF-8 bytes, as in ClickHouse.
    """
    return left is not None and right is not None and bool(_OPERATORS[op](left, right))


N = TypeVar("N")


@dataclass(frozen=True, slots=True)
class And(Generic[N]):
    """All hold. Two operands or more."""

    operands: tuple[N, ...]


@dataclass(frozen=True, slots=True)
class Or(Generic[N]):
    """At least one holds. Two operands or more."""

    operands: tuple[N, ...]


@dataclass(frozen=True, slots=True)
class Not(Generic[N]):
    """Ordinary two-valued negation of the result."""

    operand: N


# ---- predicates over one event, one trait or one element of an array ---------------------------


@dataclass(frozen=True, slots=True)
class Property:
    """A property of an event, a trait of a device, or a field of an element.

    `products.id`, the array of what the elements of `products` hold under `id` (elements without
    it left out), has the parent `products`, the name `id` and the type of one `id`. It is present
    where `products` is.
    """

    name: str
    type: PropertyType
    parent: str | None = None

    @property
    def is_array(self) -> bool:
        return self.parent is not None or self.type.value.endswith("[]")


@dataclass(frozen=True, slots=True)
class Compare:
    """`property OP value`; false where the property is absent, `!=` included."""

    property: Property
    op: Op
    value: Value


@dataclass(frozen=True, slots=True)
class CompareProperties:
    """`left OP right`, both of the same event; false where either is absent.

    `zone`, an IANA time zone, is given for two times: in it a local date stands for its midnight.
    """

    left: Property
    op: Op
    right: Property
    zone: str | None = None


@dataclass(frozen=True, slots=True)
class OneOf:
    """`property in (…)`, or `not in` where negated; false where the property is absent."""

    property: Property
    values: tuple[Value, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class InRange:
    """`low <= property <= high`, or outside where negated; false where absent."""

    property: Property
    low: Decimal
    high: Decimal
    negated: bool = False


@dataclass(frozen=True, slots=True)
class TextMatch:
    """A test of a string, by code points; `ignore_case` folds both sides to lower case.

    `matches` is an RE2 pattern found anywhere in the string, as ClickHouse's `match` reads it.
    """

    property: Property
    how: Literal["contains", "starts with", "ends with", "matches"]
    text: str
    ignore_case: bool = False


@dataclass(frozen=True, slots=True)
class Has:
    """An array has any, or all, of the values; false where the array is absent."""

    property: Property
    how: Literal["any", "all"]
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Exists:
    """The property is present. An empty string or array is present, null is not."""

    property: Property


@dataclass(frozen=True, slots=True)
class AnyElement:
    """`any products[…]`: one element of the array of objects passes the whole predicate."""

    property: Property
    where: Predicate


@dataclass(frozen=True, slots=True)
class OrMissing:
    """The predicate, or one of the properties it names is absent."""

    predicate: Predicate


@dataclass(frozen=True, slots=True)
class Absent:
    """A predicate on a property that nothing ever had (`--allow-unknown`): always `value`."""

    value: bool


@dataclass(frozen=True, slots=True)
class InWindow:
    """A time lies in the window, whose ends may lie after T; false where absent.

    A value that is a local date stands for its midnight in `zone`, an IANA time zone.
    """

    property: Property
    window: Window
    zone: str


@dataclass(frozen=True, slots=True)
class AnniversaryIn:
    """The local midnight of some anniversary of a time lies in the window; false where absent.

    Month and day are those of the value's date in `zone`; 29 February counts as 1 March in years
    that have none.
    """

    property: Property
    window: Window
    zone: str


@dataclass(frozen=True, slots=True)
class Near:
    """A point lies at most so many metres from another, along the great circle of a sphere of
    6,371,008.8 m (the mean radius of WGS-84); degrees; false where absent.
    """

    property: Property
    latitude: Decimal
    longitude: Decimal
    metres: Decimal


@dataclass(frozen=True, slots=True)
class InArea:
    """A point lies in a polygon, its corners (latitude, longitude) in degrees; false where absent.

    Edges are straight on a map of degrees. By the even-odd rule with `low <= latitude < high` for
    an edge and `longitude <` its point at that latitude, a point on an edge belongs to the area
    north or east of it alone: areas that share an edge share no point.
    """

    property: Property
    corners: tuple[tuple[Decimal, Decimal], ...]


Predicate: TypeAlias = (
    "Compare | CompareProperties | OneOf | InRange | TextMatch | Has | Exists | AnyElement | "
    "InWindow | AnniversaryIn | Near | InArea | "
    "OrMissing | Absent | And[Predicate] | Or[Predicate] | Not[Predicate]"
)


# ---- events and windows ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ago:
    """T minus so many milliseconds; negative for instants after T."""

    millis: int


@dataclass(frozen=True, slots=True)
class At:
    """A fixed instant."""

    instant: int


@dataclass(frozen=True, slots=True)
class LocalStart:
    """The last millisecond before a local calendar period that lies `shift` periods from T's own.

    `zone` is an IANA time zone; weeks start on Monday.
    """

    unit: Literal["day", "week", "month", "quarter", "year"]
    shift: int
    zone: str


Instant: TypeAlias = "Ago | At | LocalStart"


@dataclass(frozen=True, slots=True)
class Window:
    """after < t <= until; None is open. For events `t <= T` always holds besides."""

    after: Instant | None = None
    until: Instant | None = None

    def ends(self, now: int) -> tuple[int | None, int | None]:
        """The ends (excluded, included) in epoch milliseconds at T = `now`; None is open."""
        after = None if self.after is None else resolve(self.after, now)
        return after, None if self.until is None else resolve(self.until, now)

    def bounds(self, now: int) -> tuple[int | None, int]:
        """The ends for events, of which none is later than T."""
        after, until = self.ends(now)
        return after, now if until is None else min(now, until)


ALL_TIME = Window()


def resolve(instant: Instant, now: int) -> int:
    """The epoch milliseconds of an end at T = `now`."""
    match instant:
        case Ago(millis):
            return now - millis
        case At(fixed):
            return fixed
        case LocalStart(unit, shift, zone):
            return period_start(now, unit, shift, zone) - 1


@dataclass(frozen=True, slots=True)
class Selection:
    """Events of these types (sorted; empty for `any event`) that pass `where`."""

    events: tuple[str, ...]
    where: Predicate | None = None

    def narrowed(self, where: Predicate) -> Selection:
        """Those of the events that pass another predicate too."""
        both = where if self.where is None else And((self.where, where))
        return Selection(self.events, both)


# ---- measures ----------------------------------------------------------------------------------

MeasureKind = Literal[
    "count", "sum", "avg", "min", "max", "distinct", "median", "days", "weeks", "months"
]
#: Measures that are 0 over no events; the others are missing then.
NEVER_MISSING: frozenset[str] = frozenset({"count", "sum", "distinct", "days", "weeks", "months"})


@dataclass(frozen=True, slots=True)
class Constant:
    """A number of the definition."""

    value: Decimal


@dataclass(frozen=True, slots=True)
class Measure:
    """A number over the selected events in the window.

    `count`, and `days`, `weeks` and `months`, which count local calendar periods of `zone` with an
    event, are over no property (None). Over no events, and over no present values, these, `sum`
    and `distinct` are 0, the others missing.
    """

    kind: MeasureKind
    selection: Selection
    property: Property | None
    window: Window = ALL_TIME
    zone: str | None = None


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """Exact; quotients are cut after 9 places; missing in, missing out; x / 0 is missing."""

    op: Literal["+", "-", "*", "/"]
    left: Quantity
    right: Quantity


Quantity: TypeAlias = "Constant | Measure | Arithmetic"


# ---- conditions over one device ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Did:
    """At least one selected event in the window."""

    selection: Selection
    window: Window = ALL_TIME


@dataclass(frozen=True, slots=True)
class Comparison:
    """`left OP right`; false where either side is missing."""

    left: Quantity
    op: Op
    right: Quantity


@dataclass(frozen=True, slots=True)
class Extreme:
    """The first (last) selected event of all history up to T lies in the window and passes.

    `where` None asks for its time alone. False where there is no such event.
    """

    which: Literal["first", "last"]
    selection: Selection
    window: Window = ALL_TIME
    where: Predicate | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One event of a sequence: selected, in every window, and at most `gap` ms after the one
    before it (None: any time after).
    """

    selection: Selection
    windows: tuple[Window, ...] = ()
    gap: int | None = None


@dataclass(frozen=True, slots=True)
class Absence:
    """No selected event in the `length` ms after the last step, and these have passed at T."""

    selection: Selection
    length: int


@dataclass(frozen=True, slots=True)
class Sequence:
    """One event for each step, each strictly later in (time, tie) than the one before it; then
    `absence`, if any, after the last of them.
    """

    steps: tuple[Step, ...]
    absence: Absence | None = None


@dataclass(frozen=True, slots=True)
class Regularity:
    """The condition, of comparisons whose measures have no windows, holds in at least so many of
    the last `periods` periods.

    Period i is (T-(i+1)A, T-iA] with A = `length` ms; or, where `unit` is given, the local
    calendar one of `zone` that lies i before T's own.
    """

    condition: Condition
    at_least: int
    periods: int
    length: int | None = None
    unit: Literal["day", "week", "month"] | None = None
    zone: str | None = None

    def windows(self) -> tuple[Window, ...]:
        """The periods, the current one first."""
        if self.unit is not None:
            zone = self.zone or "UTC"
            starts = [LocalStart(self.unit, -i, zone) for i in range(self.periods)]
            ends = [None, *starts[:-1]]
            return tuple(Window(a, u) for a, u in zip(starts, ends, strict=True))
        assert self.length is not None, "a period has a length or a unit"
        step = self.length
        return tuple(
            Window(Ago((i + 1) * step), Ago(i * step) if i else None) for i in range(self.periods)
        )

    def in_period(self, window: Window) -> Condition:
        """The condition over one period."""
        condition: Condition = _windowed(self.condition, window)
        return condition


@dataclass(frozen=True, slots=True)
class Trait:
    """A predicate over the device's traits, each from its latest identify."""

    predicate: Predicate


@dataclass(frozen=True, slots=True)
class Held:
    """A predicate over the device's traits that has held at every instant from T - `length` to T.

    Only what is visible at T counts.
    """

    predicate: Predicate
    length: int


@dataclass(frozen=True, slots=True)
class Score:
    """A predicate over the latest values that models wrote for the device; scores are numbers."""

    predicate: Predicate


@dataclass(frozen=True, slots=True)
class Affine:
    """The device bought, of all the selected events ever, something that at least `at_least`
    consented devices bought that also bought `product`, and never bought `product` itself.

    `property` holds the product, or an array of them.
    """

    selection: Selection
    property: Property
    product: str
    at_least: int = 2

    def itself(self) -> Selection:
        """The events by which the product itself was bought."""
        if self.property.is_array:
            return self.selection.narrowed(Has(self.property, "any", (self.product,)))
        return self.selection.narrowed(Compare(self.property, "=", self.product))


@dataclass(frozen=True, slots=True)
class InList:
    """The device is on the uploaded list."""

    name: str


@dataclass(frozen=True, slots=True)
class Reference:
    """`in segment NAME`: its condition, evaluated under the mask of the definition that refers.

    The name is for people; what is meant is the condition, in its canonical form. References are
    compared by its digest, so that definitions that share others many times over stay small.
    """

    name: str = field(compare=False, repr=False)
    condition: Condition = field(compare=False, repr=False)
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        text = repr(self.condition).encode()
        object.__setattr__(self, "digest", hashlib.sha256(text).hexdigest()[:32])


@dataclass(frozen=True, slots=True)
class Always:
    """Holds for every device of the universe (`value`), or for none."""

    value: bool


Condition: TypeAlias = (
    "Did | Comparison | Extreme | Sequence | Regularity | Trait | Held | Score | Affine | InList | "
    "Reference | Always | And[Condition] | Or[Condition] | Not[Condition]"
)


def negation(condition: Condition) -> Condition:
    """The opposite, without a second `not` in front of a first."""
    return condition.operand if isinstance(condition, Not) else Not(condition)


def _windowed(node: Any, window: Window) -> Any:
    """Conditions and quantities with every measure in that window."""
    match node:
        case Measure():
            return replace(node, window=window)
        case Arithmetic(_, left, right) | Comparison(left, _, right):
            return replace(node, left=_windowed(left, window), right=_windowed(right, window))
        case And(operands) | Or(operands):
            return type(node)(tuple(_windowed(operand, window) for operand in operands))
        case Not(operand):
            return Not(_windowed(operand, window))
        case _:
            return node


# ---- what is done with the devices that pass ---------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ranking:
    """Of the devices that pass and have a value, the top (bottom) ones; ties go to the smaller
    device key. `amount` is a number of devices, or, where `share`, percent, rounded up.
    """

    which: Literal["top", "bottom"]
    amount: Decimal
    share: bool
    by: Quantity


@dataclass(frozen=True, slots=True)
class Shares:
    """A fixed pseudo-random `sample` of the devices and a `holdout` split off from them, percent.

    Both are decided by u, the first 8 bytes of SHA-256 of `client|name|device key`, over 2^64: the
    sample keeps u < sample/100, the holdout takes u >= 1 - holdout/100.
    """

    name: str
    sample: Decimal | None = None
    holdout: Decimal | None = None

    @property
    def below(self) -> int | None:
        """The sample keeps first bytes below this number; None keeps all."""
        if self.sample is None or self.sample >= 100:
            return None
        return ceil(Fraction(self.sample) * 2**64 / 100)

    @property
    def held_from(self) -> int | None:
        """The holdout takes first bytes from this number on; None takes none."""
        if self.holdout is None or self.holdout <= 0:
            return None
        return ceil((100 - Fraction(self.holdout)) * 2**64 / 100)


def properties_of(predicate: Predicate) -> tuple[Property, ...]:
    """Every property a predicate names, in order, each once (not inside `any x[…]`)."""
    found: dict[Property, None] = {}

    def visit(node: Predicate) -> None:
        match node:
            case And(operands) | Or(operands):
                for operand in operands:
                    visit(operand)
            case Not(operand):
                visit(operand)
            case OrMissing(inner):
                visit(inner)
            case CompareProperties(left, _, right):
                found[left] = found[right] = None
            case Absent():
                pass
            case _:
                found[node.property] = None

    visit(predicate)
    return tuple(found)


def measures_of(quantity: Quantity) -> tuple[Measure, ...]:
    """Every measure in an arithmetic expression, left to right."""
    match quantity:
        case Measure():
            return (quantity,)
        case Arithmetic(_, left, right):
            return measures_of(left) + measures_of(right)
        case Constant():
            return ()
