"""What definitions mean: predicates over one event, conditions over one device.

Every reader of a plan (SQL, the naive evaluator, explanations) is a `match` over these nodes. They
are frozen and hashable, know nothing of the text they came from, and every name in them is
resolved: a property carries its type, a window is a pair of ends.

Times are epoch milliseconds, durations milliseconds, numbers exact decimals.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Generic, Literal, TypeAlias, TypeVar

from relo_dsl.catalog import PropertyType
from relo_dsl.times import period_start

Value: TypeAlias = "str | Decimal | bool"
Op = Literal["=", "!=", "<", "<=", ">", ">="]

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
    """`left OP right`, both of the same event; false where either is absent."""

    left: Property
    op: Op
    right: Property


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


Predicate: TypeAlias = (
    "Compare | CompareProperties | OneOf | InRange | TextMatch | Has | Exists | AnyElement | "
    "OrMissing | Absent | And[Predicate] | Or[Predicate] | Not[Predicate]"
)


# ---- events and windows ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ago:
    """T minus so many milliseconds."""

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
    """after < t <= until; None is open. `t <= T` always holds besides."""

    after: Instant | None = None
    until: Instant | None = None

    def bounds(self, now: int) -> tuple[int | None, int]:
        """The ends (excluded, included) in epoch milliseconds at T = `now`."""
        after = None if self.after is None else resolve(self.after, now)
        until = now if self.until is None else min(now, resolve(self.until, now))
        return after, until


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


# ---- measures ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Constant:
    """A number of the definition."""

    value: Decimal


@dataclass(frozen=True, slots=True)
class Measure:
    """A number over the selected events in the window; `property` is None for `count` only.

    Over no events, and over no present values, count, sum and distinct are 0, the others missing.
    """

    kind: Literal["count", "sum", "avg", "min", "max", "distinct"]
    selection: Selection
    property: Property | None
    window: Window = ALL_TIME


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
class Trait:
    """A predicate over the device's traits, each from its latest identify."""

    predicate: Predicate


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
    "Did | Comparison | Trait | InList | Reference | Always | "
    "And[Condition] | Or[Condition] | Not[Condition]"
)


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
