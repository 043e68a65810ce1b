"""The syntax tree: what was written, nothing about what it means.

One expression grammar serves conditions, property predicates, measures and selections alike; the
binder decides which of them an expression is. Spans take no part in equality, so two texts that
differ only in layout and comments give equal trees.

Parentheses leave a trace only where they carry meaning: around a chain they are the nesting of
`Chain` in `Chain`, around arithmetic they are the nesting of `Arithmetic`, around alternatives
they belong to the alternatives; anything else keeps them as `Paren`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal, TypeAlias

from relo_dsl.source import Span

Expr: TypeAlias = (
    "Number | String | Boolean | Path | Alternatives | AnyOf | Selection | Call | "
    "Arithmetic | Negative | Compare | OneOf | InRange | TextMatch | Has | Exists | "
    "IsNamed | NearPoint | InZone | OrMissing | Windowed | Repeat | HeldFor | Anniversary | "
    "Regularity | InReference | Affine | No | Not | Chain | Sequence | Paren | ErrorExpr"
)
Window: TypeAlias = (
    "Within | WithinNext | Between | BeforeAgo | Since | BeforeDate | FromTo | OnPeriod | "
    "NamedPeriod | WithinCalendar"
)


def _span() -> Span:
    return field(default=Span(0, 0), compare=False, repr=False)


# ---- words -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Name:
    """A name, quoted in backticks or not: both spellings of one name are the same name."""

    text: str
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Duration:
    """A duration in milliseconds; 0 where it could not be read. `text` is how it was written."""

    millis: int
    span: Span = _span()
    text: str = field(default="", compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Date:
    """A date or an instant as written (`2026-01-15`, `2026-01-15T09:30Z`), checked when bound."""

    text: str
    span: Span = _span()


# ---- values and paths --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Number:
    """A number; `percent` where a `%` follows."""

    value: Decimal
    percent: bool = False
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class String:
    """A string, its escapes resolved."""

    value: str
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Boolean:
    """`true` or `false`."""

    value: bool
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Path:
    """One name or names joined by dots: an event, `event.property`, `user.trait`, a `let` …"""

    names: tuple[Name, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Alternatives:
    """`(purchase | af_purchase)`, with `.property` behind the parenthesis in `rest`."""

    paths: tuple[Path, ...]
    rest: tuple[Name, ...] = ()
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class AnyOf:
    """`any event`, `any event.property`, or `any products` before its brackets."""

    path: Path
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Selection:
    """`base[where]`, with `.property` behind the bracket in `rest`."""

    base: Path | Alternatives | AnyOf
    where: Expr
    rest: tuple[Name, ...] = ()
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Call:
    """`count(…)`, `sum(…)`, `first(…)`, …, with `.property` behind the parenthesis in `rest`."""

    function: Name
    argument: Expr
    rest: tuple[Name, ...] = ()
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """`left op right`."""

    op: Literal["+", "-", "*", "/"]
    left: Expr
    right: Expr
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Negative:
    """Unary minus before something that is not a plain number."""

    operand: Expr
    span: Span = _span()


# ---- predicates --------------------------------------------------------------------------------

CompareOp: TypeAlias = Literal["=", "!=", "<", "<=", ">", ">="]


@dataclass(frozen=True, slots=True)
class Compare:
    """`left op right`."""

    op: CompareOp
    left: Expr
    right: Expr
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class OneOf:
    """`x in ("a", "b")` and `x not in (…)`."""

    operand: Expr
    values: tuple[Expr, ...]
    negated: bool = False
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class InRange:
    """`x in 2..5`, both ends included, and `x not in 2..5`."""

    operand: Expr
    low: Expr
    high: Expr
    negated: bool = False
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class TextMatch:
    """`contains`, `starts with`, `ends with`, `matches`."""

    how: Literal["contains", "starts with", "ends with", "matches"]
    operand: Expr
    text: Expr
    ignore_case: bool = False
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Has:
    """`tags has "x"` (how = one), `has any (…)`, `has all (…)`."""

    how: Literal["one", "any", "all"]
    operand: Expr
    values: tuple[Expr, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Exists:
    """`x exists`, or `x is missing` where `missing` is true."""

    operand: Expr
    missing: bool = False
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class IsNamed:
    """`rfm is champions`."""

    operand: Expr
    name: Name
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class NearPoint:
    """`location within 5km of (lat, lon)` or `… of place("polanco")`; the distance in metres."""

    operand: Expr
    metres: Decimal
    centre: tuple[Decimal, Decimal] | String
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class InZone:
    """`location in zone("cdmx_centro")`."""

    operand: Expr
    zone: String
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class OrMissing:
    """A predicate followed by `or missing`."""

    operand: Expr
    span: Span = _span()


# ---- windows -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Within:
    """`within 30d`."""

    length: Duration
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class WithinNext:
    """`within next 7d`, for values that are times."""

    length: Duration
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Between:
    """`between 30d and 180d ago`; the order as written."""

    first: Duration
    second: Duration
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class BeforeAgo:
    """`before 30d ago`."""

    age: Duration
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Since:
    """`since 2026-01-15`."""

    date: Date
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class BeforeDate:
    """`before 2026-01-15`."""

    date: Date
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class FromTo:
    """`from 2026-01-15 to 2026-02-01`."""

    first: Date
    last: Date
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class OnPeriod:
    """`in 2026`, `in 2026-Q1`, `in 2026-01`, `on 2026-01-15`; the period as written."""

    period: str
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class NamedPeriod:
    """`today`, `yesterday`, `this week`, `last month`, …"""

    period: str
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class WithinCalendar:
    """`within N calendar days/weeks/months`."""

    count: int
    unit: Literal["days", "weeks", "months"]
    span: Span = _span()


# ---- conditions --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Windowed:
    """Anything with a window behind it."""

    operand: Expr
    window: Window
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Repeat:
    """An operand that is only a window: it repeats the subject of the operand before it."""

    window: Window
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class HeldFor:
    """`user.status = "onboarding" for 7d`."""

    operand: Expr
    length: Duration
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Anniversary:
    """`user.birthday anniversary WINDOW`."""

    operand: Expr
    window: Window
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Regularity:
    """`COMPARISON in K of last M periods of A`; `calendar` names days, weeks or months instead."""

    operand: Expr
    at_least: int
    periods: int
    length: Duration | Literal["days", "weeks", "months"]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class InReference:
    """`in segment NAME`, `in list NAME`."""

    kind: Literal["segment", "list"]
    name: Name
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Affine:
    """`affine to "SKU" [at least N]`."""

    product: String
    at_least: int | None = None
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class No:
    """`no SEL [window]`."""

    operand: Expr
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Not:
    """`not CONDITION`."""

    operand: Expr
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Chain:
    """Two or more operands joined by the same word. `bare` where no parentheses stood around it."""

    op: Literal["and", "or"]
    operands: tuple[Expr, ...]
    span: Span = _span()
    bare: bool = field(default=True, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a sequence; `negated` for `then no`."""

    operand: Expr
    negated: bool = False
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Sequence:
    """`SEL then SEL …`; the first step is never negated."""

    steps: tuple[Step, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Paren:
    """Parentheses around anything that they do not already shape."""

    operand: Expr
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class ErrorExpr:
    """What stands where an expression could not be read; its diagnostic is already reported."""

    span: Span = _span()


# ---- files and definitions ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Let:
    """`let NAME = …`."""

    name: Name
    value: Expr
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Header:
    """A header statement. What `value` holds by keyword:

    label, description, owner, timezone: String; client: Number; type: Name;
    refresh: Refresh; export, tags: tuple[Name | String, ...]; ttl: Duration;
    minimum: Number; require consent: tuple[Name | Number, ...].
    """

    keyword: str
    value: String | Number | Name | Refresh | Duration | tuple[Name | String | Number, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Refresh:
    """`realtime`, `hourly`, `daily at 03:00`, `weekly on monday at 03:00`, `every 6h`, `cron "…"`.

    `at` is minutes after local midnight.
    """

    how: Literal["realtime", "hourly", "daily", "weekly", "every", "cron"]
    at: int | None = None
    day: str | None = None
    every: Duration | None = None
    cron: String | None = None
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Keep:
    """`keep top N by MEASURE`, `keep bottom P% by MEASURE`."""

    which: Literal["top", "bottom"]
    amount: Number
    by: Expr
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Moment:
    """When a test record stands: `A ago`, `at DATE` or `now`."""

    ago: Duration | None = None
    at: Date | None = None
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class TestRecord:
    """`purchase(revenue: 20000, tags: ["new"]) 100d ago`, `identify(…)`, `consent(251)`.

    A value is a literal, None for `null`, or a tuple of literals; `consent` has one unnamed value.
    """

    name: Name
    fields: tuple[tuple[Name | None, TestValue], ...]
    when: Moment
    span: Span = _span()


TestValue: TypeAlias = "Number | String | Boolean | tuple[TestValue, ...] | TestObject | None"


@dataclass(frozen=True, slots=True)
class TestObject:
    """`{id: "SKU-1", price: 10}` in a test record."""

    fields: tuple[tuple[Name, TestValue], ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class GivenDevice:
    """`ana: RECORD RECORD …`."""

    device: Name
    records: tuple[TestRecord, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class GivenList:
    """`list vip: ana, beto`."""

    name: Name
    devices: tuple[Name, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Expect:
    """`expect ana, carla`, `expect not beto`, `expect dora from DATE until DATE`."""

    devices: tuple[Name, ...]
    negated: bool = False
    start: Date | None = None
    until: Date | None = None
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Test:
    """`test "…" at INSTANT, … given … expect …`."""

    __test__ = False  # not a pytest class

    title: String
    instants: tuple[Date, ...]
    given: tuple[GivenDevice | GivenList, ...]
    expect: tuple[Expect, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Definition:
    """`audience NAME …` or `segment NAME …`. `condition` is None where `match` is missing.

    Headers stand in the order of the language, whatever order they were written in.
    """

    kind: Literal["audience", "segment"]
    name: Name
    headers: tuple[Header, ...]
    lets: tuple[Let, ...]
    condition: Expr | None
    keep: Keep | None = None
    sample: Number | None = None
    holdout: Number | None = None
    tests: tuple[Test, ...] = ()
    span: Span = _span()
    match_span: Span = _span()


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment, `#` included, without trailing white space. `own_line`: nothing before it."""

    text: str
    own_line: bool
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class File:
    """A whole file: `let`s and definitions in the order of the text."""

    items: tuple[Let | Definition, ...]
    comments: tuple[Comment, ...] = field(default=(), compare=False, repr=False)
    span: Span = _span()
