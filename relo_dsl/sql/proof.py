"""The finished SQL is read again and proved scoped, whatever wrote it.

Every table that the text reads must be one we know, must stand in a SELECT of its own, and that
SELECT must ask, at the top of its WHERE and in the words that stand here, for the client, for
nothing after T, for no event past its retention, and for the consent each record carried. The
outermost SELECT must ask for the consent in force. No clause, function or alias stands anywhere
that the compiler does not use: an alias could take a column's name, a function or `IN table` could
read unseen.
Whatever fails here is a defect of the compiler, never of the definition.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError

from relo_dsl.consent import ScopedPlan
from relo_dsl.sql.build import DIALECT, Parameters
from relo_dsl.sql.query import SqlQuery
from relo_dsl.times import subtract_months

#: The tables a segment may read, and the guards each must carry.
GUARDS: dict[str, frozenset[str]] = {
    "events": frozenset({"client", "time", "flags", "retention"}),
    "traits": frozenset({"client", "time", "flags"}),
    "consent": frozenset({"client", "time"}),
    "scores": frozenset({"client", "time", "flags"}),
    "lists": frozenset({"client"}),
}
#: The clauses of a SELECT and the functions that the compiler uses, as sqlglot calls them.
_CLAUSES = frozenset({"expressions", "distinct", "from_", "where", "group", "having", "with_"})
#: Only inside, and only together: what is cut off at the outermost SELECT is not counted there.
_PLACES = frozenset({"order", "limit"})
FUNCTIONS = frozenset(
    name
    for line in (
        "AND OR IF COALESCE NULLIF GREATEST COUNT COUNT_IF SUM MIN MAX ARG_MAX",
        "ARRAY_CONTAINS REGEXP_LIKE STARTS_WITH ENDS_WITH STR_POSITION",
        "countIf sumIf minIf maxIf argMaxIf uniqExact uniqExactIf",
        "arrayExists hasAll hasAny assumeNotNull isNotNull bitAnd bitShiftLeft divideDecimal",
        "toDate32 toDateTime64 toTimeZone toMonth toDayOfMonth reinterpretAsInt64",
        "SIN COS arrayCount arrayElement notEmpty",
        "toDecimal256 toInt128 toUnixTimestamp64Milli lowerUTF8 replaceAll",
        # local days, medians, first and last, sequences, many periods
        "toDate32 toInt32 toYYYYMM intDiv roundDown argMinIf ARG_MIN notEmpty",
        "quantileExactLow quantileExactLowIf quantileExactHigh quantileExactHighIf",
        "groupArray groupArrayIf arraySort arrayMap TRANSFORM arrayFill arrayReverseFill bitTest",
        "arrayPushFront arrayPushBack arrayPopFront arrayPopBack bitShiftRight",
        "toInt64 toInt256 toUInt64 toUInt128 toUInt256",
        "EXPLODE",  # arrayJoin: a row for each product
        # traits held, samples, places in a ranking
        "arrayAll arrayLast tuple STRUCT LENGTH ARRAY_LENGTH ARRAY_SIZE toUInt8 tupleElement",
        # many plans together: bits of words, and the plans that they stand for
        "bitOr BITWISE_OR_AGG groupBitOrIf bitPositionsToArray ARRAY_CONCAT toFixedString UNHEX",
        "reinterpretAsUInt64 REVERSE SUBSTRING SHA256 SHA2 CONCAT LOWER HEX LOWER_HEX ROW_NUMBER",
    )
    for name in line.split()
)
_OF_CONSENT = (
    "SELECT device FROM consent "
    "WHERE client_id = {{client: UInt32}} AND time <= {{t: DateTime64(3, 'UTC')}} GROUP BY device "
    "HAVING bitAnd(max(toUnixTimestamp64Milli(time) * 2 + (bitAnd(flags, {0}) <> {0})), 1) = {1}"
)
ALIAS = re.compile(r"x[0-9]+")


def _names_of_consent(suffix: str) -> Iterator[tuple[str, str]]:
    """What the names in the guards must stand for: devices by the latest of their consent at T."""
    mask = f"{{mask{suffix}: UInt8}}"
    yield f"withheld{suffix}", _OF_CONSENT.format(mask, 1)
    yield f"consented{suffix}", _OF_CONSENT.format(mask, 0)
    yield "extended", _OF_CONSENT.format("64", 0)


class ScopeError(Exception):
    """SQL that reads a table without a guard. It was not run."""


def prove(query: SqlQuery, plan: ScopedPlan, now: int) -> None:
    """Raises ScopeError unless every table is bound to client, T and consent."""
    tree = read_select(query.text)
    prove_inside(tree, Facts(query, plan, now))
    _prove_consent(tree, plan)


def prove_inside(
    tree: exp.Select, facts: Facts, named_at_top: frozenset[str] = frozenset()
) -> None:
    """All but what the outermost SELECT keeps; `named_at_top` are aliases that it may give."""
    plan = facts.plan
    prove_values(facts)
    named = prove_names(tree, [facts.suffix])
    for node in tree.walk():
        prove_shape(node, named_at_top)
        if isinstance(node, exp.Table) and not is_named(node, named):
            prove_table(node, facts)
        if isinstance(node, exp.Select):
            prove_pool(node, plan, facts.suffix)
            prove_places(node, plan)
    for cte in tree.ctes:
        if cte.alias == "passing" and not all_consent(cte.this, consent_tests(plan)[0]):
            raise ScopeError("`passing` is not asked for the consent in force")


@lru_cache(maxsize=8)
def read_select(text: str) -> exp.Select:
    """The one SELECT of a text; nothing here changes it.

    Remembered, because one definition at many instants differs in what its parameters carry alone,
    and reading is most of a proof.
    """
    try:
        statements = sqlglot.parse(text, dialect=DIALECT)
    except ParseError as error:
        raise ScopeError("this cannot be read") from error
    if len(statements) != 1 or not isinstance(statements[0], exp.Select):
        raise ScopeError("expected exactly one SELECT")
    return statements[0]


class Facts:
    """What the guards of tables are compared with."""

    def __init__(self, query: SqlQuery, plan: ScopedPlan, now: int, suffix: str = "") -> None:
        self.query = query
        self.suffix = suffix
        self.plan = plan
        self.now = now
        self.months = plan.plan.retention_months
        longer = plan.plan.extended_months
        self.oldest = None if self.months is None else subtract_months(now, self.months)
        self.oldest_longer = None if longer is None else subtract_months(now, longer)

    def value(self, operand: exp.Expr) -> str:
        """What a placeholder carries; empty, older than anything, where it is none."""
        if not isinstance(operand, exp.Placeholder):
            return ""
        return str(self.query.params.get(operand.name, ""))


def travelling(instant: int) -> str:
    """An instant (epoch milliseconds) as it travels beside a query: equal lengths, UTC."""
    params = Parameters()
    params.time(instant, "t")
    return str(params.values["t"])


def prove_shape(node: exp.Expr, named_at_top: frozenset[str] = frozenset()) -> None:
    """Only what the compiler writes: nothing else could be judged here."""
    match node:
        case exp.Select():
            extra = {name for name, value in node.args.items() if value} - _CLAUSES
            if extra == _PLACES and node.parent is not None:
                extra = set()
            if extra:
                raise ScopeError(f"unexpected clause {', '.join(sorted(extra))}")
        case exp.Func():
            given = isinstance(node, exp.Anonymous | exp.AnonymousAggFunc)
            name = node.name if given else node.sql_name()
            if name not in FUNCTIONS:
                raise ScopeError(f"unexpected function {name}")
        case exp.Alias():
            at_top = isinstance(node.parent, exp.Select) and node.parent.parent is None
            known = node.alias in named_at_top and at_top
            if not known and not ALIAS.fullmatch(node.alias):
                raise ScopeError(f"unexpected alias {node.alias}")
        case exp.In():
            # `IN (name)` is `IN name`, and that reads a table.
            values = all(isinstance(v, exp.Placeholder | exp.Boolean) for v in node.expressions)
            if not values or node.args.get("field") or node.args.get("unnest"):
                raise ScopeError("IN reads something that is no SELECT")


def prove_values(facts: Facts) -> None:
    """The client, the mask and T travel under their own names with their own values."""
    plan = facts.plan
    wanted = {
        "client": plan.client,
        f"mask{facts.suffix}": plan.mask,
        "t": travelling(facts.now),
    }
    for name, value in wanted.items():
        found = facts.query.params.get(name)
        if found != value:
            raise ScopeError(f"the parameter {name} is {found!r}, not {value!r}")


def prove_names(tree: exp.Select, suffixes: Iterable[str]) -> set[str]:
    """The names that WITH gives: the consent in force is what it must be, no name hides a table."""
    named = {cte.alias: cte for cte in tree.find_all(exp.CTE)}
    known = {name: text for suffix in suffixes for name, text in _names_of_consent(suffix)}
    for name, cte in named.items():
        if name in known:
            whole, span = _apart_from_span(cte.this)
            if whole != parsed(known[name]):
                raise ScopeError(f"`{name}` is not what it should be")
            if span and not _asked_for(tree, name, span):
                raise ScopeError(f"`{name}` knows some devices only, and others are asked for")
        elif not re.fullmatch(r"passing|reference_[0-9]+", name):
            raise ScopeError(f"unexpected name {name}")
    if len(tree.ctes) != len(named):
        raise ScopeError("a name is given twice, or away from the top")
    return set(named)


def _apart_from_span(query: exp.Expr) -> tuple[exp.Expr, list[exp.Expr]]:
    """A SELECT without its tests for a span of devices, and these tests."""
    if not isinstance(query, exp.Select):
        return query, []
    parts = list(conjuncts(query))
    span = [part for part in parts if _is_span(part)]
    if not span:
        return query, []
    bare = query.copy()
    kept = [part.copy() for part in reversed(parts) if part not in span]
    bare.set("where", exp.Where(this=exp.and_(*kept, copy=False, wrap=False)))
    return bare, span


def _is_span(part: exp.Expr) -> bool:
    if not isinstance(part, exp.GTE | exp.LT) or part.this != parsed("device"):
        return False
    held = part.expression.find(exp.Placeholder)
    if held is None:
        return False
    bound = parsed(f"toFixedString(unhex({{{held.name}: String}}), 16)")
    return bool(part.expression == bound)


def _asked_for(tree: exp.Select, name: str, span: Sequence[exp.Expr]) -> bool:
    """Whether every SELECT that looks devices up under a name is about the devices of the span."""
    for table in tree.find_all(exp.Table):
        looks = table.parent_select if table.name == name else None
        asking = looks.parent_select if looks is not None else None
        if looks is not None and (
            asking is None or not all(part in list(conjuncts(asking)) for part in span)
        ):
            return False
    return True


def is_named(table: exp.Table, named: set[str]) -> bool:
    """Whether a source is one of the names that WITH gives. Raises ScopeError for an odd source."""
    if table.db or table.catalog or not isinstance(table.this, exp.Identifier):
        raise ScopeError(f"unexpected source {table.sql(dialect=DIALECT)}")
    return table.name in named


def prove_table(table: exp.Table, facts: Facts, without: frozenset[str] = frozenset()) -> None:
    """Raises ScopeError unless a table carries its guards, those that are asked elsewhere aside."""
    wanted = GUARDS.get(table.name)
    if wanted is None:
        raise ScopeError(f"unexpected table {table.name}")
    select = table.parent_select
    if select is None or not isinstance(table.parent, exp.From):
        raise ScopeError(f"the table {table.name} does not stand alone in its SELECT")
    parts = list(conjuncts(select))
    found = {_guard_of(part, facts) for part in parts} | without
    if _is_retained(parts, facts):
        found.add("retention")
    missing = wanted - found
    if missing:
        raise ScopeError(f"the table {table.name} is read without: {', '.join(sorted(missing))}")


def conjuncts(select: exp.Select) -> Iterator[exp.Expr]:
    """The tests that every row of a SELECT passes."""
    where = select.args.get("where")
    pending = [where.this] if where is not None else []
    while pending:
        part = pending.pop()
        if isinstance(part, exp.And):
            pending += [part.this, part.expression]
        else:
            yield part


def _guard_of(part: exp.Expr, facts: Facts) -> str | None:
    """Which guard a conjunct is, read by its shape."""
    query = facts.query
    match part:
        case exp.EQ() if part == parsed("client_id = {client: UInt32}"):
            return "client"
        case exp.EQ() if part == flags_test(facts.suffix):
            return "flags"
        case exp.LTE() if isinstance(part.expression, exp.Placeholder):
            # A window may end before T; its end is a value, and values can be compared.
            ends = query.params.get(part.expression.name)
            limit = query.params["t"]
            if part == parsed(f"time <= {{{part.expression.name}: DateTime64(3, 'UTC')}}"):
                return "time" if str(ends) <= str(limit) else None
    return None


def flags_test(suffix: str) -> exp.Expr:
    """The test of a record that it carried every flag of the mask."""
    mask = f"{{mask{suffix}: UInt8}}"
    return parsed(f"bitAnd(flags, {mask}) = {mask}")


def _is_retained(parts: list[exp.Expr], facts: Facts) -> bool:
    """Whether the conjuncts keep out what is past its retention."""
    if facts.oldest is None or _starts_at(parts, facts.oldest, facts):
        return True
    kept_longer = any(
        isinstance(part, exp.GT)
        and part.this == parsed("retain_months")
        and facts.value(part.expression) == str(facts.months)
        for part in parts
    )
    granted = any(part == parsed("device IN (SELECT device FROM extended)") for part in parts)
    within = facts.oldest_longer is None or _starts_at(parts, facts.oldest_longer, facts)
    return kept_longer and granted and within


def _starts_at(parts: list[exp.Expr], oldest: int, facts: Facts) -> bool:
    """Whether a conjunct lets nothing before `oldest` (epoch milliseconds) pass."""
    for part in parts:
        # Texts of times compare as times do; `time > x` starts a millisecond later.
        if isinstance(part, exp.GTE | exp.GT) and part.this == parsed("time"):
            limit = oldest if isinstance(part, exp.GTE) else oldest - 1
            if facts.value(part.expression) >= travelling(limit):
                return True
    return False


@lru_cache(maxsize=4096)
def parsed(text: str) -> exp.Expr:
    """SQL as a tree, to be compared and never changed: the same text gives the same tree."""
    return sqlglot.parse_one(text, dialect=DIALECT)


def prove_pool(select: exp.Select, plan: ScopedPlan, suffix: str = "") -> None:
    """What many devices have in common is told of those who consent alone."""
    group = select.args.get("group")
    if group is None or any(part == parsed("device") for part in group.expressions):
        return
    kept, _ = consent_tests(plan, suffix)
    if not any(part == parsed(kept) for part in conjuncts(select)):
        raise ScopeError("devices are counted together without the consent in force")


def prove_places(select: exp.Select, plan: ScopedPlan) -> None:
    """Places in a ranking are given to those who consent alone: others would take some of them."""
    kept, _ = consent_tests(plan)
    numbered = any(item.find(exp.Window) for item in select.expressions)
    if (numbered or select.args.get("limit")) and not all_consent(select, kept):
        raise ScopeError("devices are ranked together without the consent in force")


def all_consent(query: exp.Expr, kept: str) -> bool:
    """Whether every device of a query consents: by a test of its own, or by where it is from."""
    match query:
        case exp.Subquery():
            return all_consent(query.this, kept)
        case exp.Union():
            return all_consent(query.left, kept) and all_consent(query.right, kept)
        case exp.Table():
            return query.name == "passing"
        case exp.Select():
            tests = (parsed(kept), parsed("device IN (SELECT device FROM passing)"))
            if any(part in tests for part in conjuncts(query)):
                return True
            source = query.args.get("from_")
            return source is not None and all_consent(source.this, kept)
        case _:
            return False


def consent_tests(plan: ScopedPlan, suffix: str = "") -> tuple[str, str]:
    """The tests of a device that keep those who consent, and those who do not."""
    by_default = plan.plan.default_flags & plan.mask == plan.mask
    named = f"{'withheld' if by_default else 'consented'}{suffix}"
    among = f"(SELECT device FROM {named})"  # noqa: S608 - one of our own four names
    tests = f"device IN {among}", f"device NOT IN {among}"
    return tests[::-1] if by_default else tests


def _prove_consent(tree: exp.Select, plan: ScopedPlan) -> None:
    """The outermost SELECT keeps those who consent; or counts, no more, those who do not."""
    where = tree.args.get("where")
    kept, held_back = consent_tests(plan)
    # Whatever else is asked for can only leave more devices out.
    if any(part == parsed(kept) for part in conjuncts(tree)):
        return
    counts = all(isinstance(item, exp.Count) for item in tree.expressions)
    if counts and where is not None and where.this == parsed(held_back):
        return
    raise ScopeError("the result is not asked for the consent in force")
