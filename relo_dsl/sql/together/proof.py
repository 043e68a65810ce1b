"""The SQL of a pass is read again and proved, as each plan's own is.

Every read is guarded by client, time and retention as ever. For the rest it is proved word by word.
A word belongs to one mask: the plans that look at it need that mask, and a read gives it nothing
that a record without those flags could change: such records are kept out by WHERE, or by every
aggregate. And each plan's devices come out under its place only where the test of the consent in
force that stands beside them is that of its own mask; without it the key is blank.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from sqlglot import exp

from relo_dsl.consent import ScopedPlan
from relo_dsl.sql.proof import (
    Facts,
    ScopeError,
    conjuncts,
    consent_tests,
    flags_test,
    is_named,
    parsed,
    prove_inside,
    prove_names,
    prove_pool,
    prove_shape,
    prove_table,
    prove_values,
    read_select,
)
from relo_dsl.sql.query import SqlQuery

_COLUMNS = ("plan", "part", "device")
_AT_TOP = frozenset(_COLUMNS)
_LACKING = 65_536
_NOBODY = 2**32 - 1
_WORD = 64
_BLANK = "toFixedString('', 16)"
_PLACE = "bitAnd({code}, 65535) + 1"
_DRAWN = (
    "if({code} < {end}, reinterpretAsUInt64(reverse(substring(SHA256(concat("
    "arrayElement({{names: Array(String)}}, {place}), lower(hex({who})))), 1, 8))), 0)"
)
#: Aggregates whose last argument says which rows they take.
_SELECTIVE = frozenset(
    (
        *("countIf", "sumIf", "minIf", "maxIf", "argMaxIf", "argMinIf", "uniqExactIf"),
        *("groupArrayIf", "groupBitOrIf", "quantileExactLowIf", "quantileExactHighIf"),
    )
)
#: Tables that may be read for several masks at once.
_OPEN = frozenset(("events", "traits", "scores"))
_BLIND = (exp.AggFunc, exp.AnonymousAggFunc)
Places = Sequence[tuple[int, ScopedPlan]]


def prove_alone(query: SqlQuery, plan: ScopedPlan, index: int, now: int) -> None:
    """Raises ScopeError unless every row is the plan's, and every key that of one who consents."""
    tree = read_select(query.text)
    facts = Facts(query, plan, now)
    prove_inside(tree, facts, _AT_TOP)
    if query.params.get("plan") != index:
        raise ScopeError("the rows are not those of the plan")
    source = _source(tree)
    if tree.args.get("where") or not isinstance(source, exp.Union):
        raise ScopeError("expected the parts of one plan")
    branches = list(_branches(source))
    columns = [exp.column(one.alias) for one in branches[0].expressions]
    if [one.unalias() for one in tree.expressions] != columns:
        raise ScopeError("the result has other columns than its parts")
    if tuple(one.alias for one in tree.expressions) != _COLUMNS:
        raise ScopeError("the result has other columns than plan, part and device")
    for branch in branches:
        _prove_branch(branch, plan)


def _prove_branch(branch: exp.Select, plan: ScopedPlan) -> None:
    kept, held_back = map(parsed, consent_tests(plan))
    place, part, who = (one.unalias() for one in branch.expressions)
    if place != parsed("{plan: UInt32}"):
        raise ScopeError("a part of the result is not the plan's")
    tests = list(conjuncts(branch))
    if part in (parsed("toUInt8(0)"), parsed("toUInt8(1)")):
        if who != parsed("device") or kept not in tests:
            raise ScopeError("members are not asked for the consent in force")
    elif part != parsed("toUInt8(2)") or who != parsed(_BLANK) or tests != [held_back]:
        raise ScopeError("those who lack consent are more than counted")


# ---- passes over many plans --------------------------------------------------------------------


def prove_pass(query: SqlQuery, plans: Places, now: int) -> None:
    """Raises ScopeError unless the query answers these plans, and each of them as it may."""
    tree = read_select(query.text)
    facts = {plan.mask: Facts(query, plan, now, f"_{plan.mask}") for _, plan in plans}
    for one in facts.values():
        prove_values(one)
    named = prove_names(tree, [one.suffix for one in facts.values()])
    for node in tree.walk():
        prove_shape(node, _AT_TOP)
        if isinstance(node, exp.Select) and node.args.get("limit"):
            raise ScopeError("a pass cuts nothing off")
    found = _prove_rows(tree)
    merged = _prove_emitted(found, query, plans, facts)
    _prove_reads(merged, named, facts)


def _prove_rows(tree: exp.Select) -> exp.Select:
    """The outermost SELECTs: what comes out is what the codes say. Gives the one that has codes."""
    found = _inner(tree)
    emitted = found if len(found.expressions) == 2 else _inner(found)
    if len(emitted.expressions) != 2:
        raise ScopeError("expected devices and codes")
    who, code = (one.alias_or_name for one in emitted.expressions)
    place = _PLACE.format(code=code)
    lacks = f"{code} >= {_LACKING}"
    part, where = "0", None
    if emitted is not found:
        drawn = found.expressions[-1].alias
        part = f"if({drawn} > arrayElement({{kept: Array(Int128)}}, {place}), 1, 0)"
        where = parsed(f"({lacks} OR {drawn} <= arrayElement({{sampled: Array(Int128)}}, {place}))")
        below = found.expressions[-1].find(exp.LT)
        end = below.expression.name if below is not None else ""
        number = _DRAWN.format(code=code, who=who, place=place, end=end)
        columns = [exp.column(who), exp.column(code), parsed(number)]
        if [one.unalias() for one in found.expressions] != columns or found.args.get("where"):
            raise ScopeError("samples are not drawn as they should be")
    wanted = {
        "plan": f"arrayElement({{plans: Array(UInt32)}}, {place})",
        "part": f"if({lacks}, 2, {part})",
        "device": f"if({lacks}, {_BLANK}, {who})",
    }
    columns = [exp.alias_(parsed(text), name) for name, text in wanted.items()]
    asked = tree.args.get("where")
    if [*tree.expressions] != columns or (asked and asked.this) != where:
        raise ScopeError("the rows are not what their codes say")
    if emitted.args.get("where"):
        raise ScopeError("the devices are not those of the words")
    return emitted


def _prove_emitted(
    emitted: exp.Select, query: SqlQuery, plans: Places, facts: Mapping[int, Facts]
) -> tuple[exp.Select, dict[str, int]]:
    """Each plan stands once, under the consent and over the words of its mask.

    Gives the SELECT that makes the words, and the mask of each word that is looked at.
    """
    codes = emitted.expressions[1].unalias()
    if not isinstance(codes, exp.Explode):
        raise ScopeError("the codes are no array")
    joined = codes.this
    parts = [joined.this, *joined.expressions] if isinstance(joined, exp.ArrayConcat) else [joined]
    places = query.params.get("plans")
    masks = {index: plan.mask for index, plan in plans}
    if not isinstance(places, list) or -(-len(places) // _WORD) != len(parts):
        raise ScopeError("the places of plans are not those of the words")
    if sorted(place for place in places if place != _NOBODY) != sorted(masks):
        raise ScopeError("the plans are not those that were asked")
    met = _inner(emitted)
    named = {one.alias: one.unalias() for one in met.expressions}
    if named.get(emitted.expressions[0].name) != parsed("device") or met.args.get("where"):
        raise ScopeError("the devices are not those of the words")
    words: dict[str, int] = {}
    for number, part in enumerate(parts):
        own = places[number * _WORD : (number + 1) * _WORD]
        of_word = {masks[place] for place in own if place != _NOBODY}
        if len(of_word) != 1:
            raise ScopeError("plans of several masks share a word")
        (mask,) = of_word
        bits = _bits_of(part, number * _WORD, facts[mask], named)
        if bits.find(exp.Query):
            raise ScopeError("a formula reads")
        for column in bits.find_all(exp.Column):
            if words.setdefault(column.name, mask) != mask:
                raise ScopeError("a word is looked at under several masks")
    return _inner(met), words


def _bits_of(part: exp.Expr, start: int, facts: Facts, named: Mapping[str, exp.Expr]) -> exp.Expr:
    """The bits whose places are told, each under the consent that it needs."""
    bits = part.args["this"] if isinstance(part, exp.Transform) else None
    places = bits.expressions if isinstance(bits, exp.Anonymous) else []
    if bits is None or bits.name != "bitPositionsToArray" or len(places) != 1:
        raise ScopeError("the codes are not those of bits")
    body = part.args["expression"].this
    base = body.expression.name if isinstance(body, exp.Add) else ""
    told = parsed(f"arrayMap(b -> b + {base or 0}, bits)")
    kept, _ = consent_tests(facts.plan, facts.suffix)
    raised = parsed(f"if({kept}, {start}, {start + _LACKING})")
    if part.args["expression"] != told.args["expression"] or named.get(base) != raised:
        raise ScopeError("a code is told without the consent in force")
    found = named.get(places[0].name)
    if found is None:
        raise ScopeError("the codes are not those of bits")
    return found


# ---- reads -------------------------------------------------------------------------------------


def _prove_reads(
    made: tuple[exp.Select, dict[str, int]], named: set[str], facts: Mapping[int, Facts]
) -> None:
    """Every read gives each word only what records that the word's mask may see have told."""
    merged, looked_at = made
    source = _source(merged)
    reads = list(_branches(source))
    names = [one.alias for one in reads[0].expressions[1:]]
    group = merged.args.get("group")
    words = [parsed(f"groupBitOr({name})") for name in names]
    if (
        merged.args.get("where")
        or group is None
        or group.expressions != [parsed("device")]
        or [one.unalias() for one in merged.expressions] != [parsed("device"), *words]
    ):
        raise ScopeError("the words are not put together by device")
    masks = [looked_at.get(one.alias) for one in merged.expressions[1:]]
    for read in reads:
        _prove_read(read, masks, named, facts)


def _prove_read(
    read: exp.Select, masks: Sequence[int | None], named: set[str], facts: Mapping[int, Facts]
) -> None:
    who, *words = (one.unalias() for one in read.expressions)
    if who != parsed("device") or len(words) != len(masks):
        raise ScopeError("a read gives something other than a device and its words")
    told = [
        (word, mask)
        for word, mask in zip(words, masks, strict=True)
        if word != parsed("toUInt64(0)")
    ]
    if any(mask is None for _, mask in told):
        raise ScopeError("a word is read that no plan looks at")
    apart = _rows_of(read)
    for mask in {mask for _, mask in told if mask is not None}:
        own = facts[mask]
        for table in read.find_all(exp.Table):
            if is_named(table, named):
                continue
            open_ = table.name in _OPEN and any(table is one for one in apart)
            flags = flags_test(own.suffix)
            if open_ and not any(part == flags for part in conjuncts(_select_of(table))):
                prove_table(table, own, frozenset({"flags"}))
                for word, of_mask in told:
                    if of_mask == mask:
                        _prove_selective(word, flags)
            else:
                prove_table(table, own)
        for select in read.find_all(exp.Select):
            if select is not read:
                prove_pool(select, own.plan, own.suffix)
    grouped = read.args.get("group")
    by = [] if grouped is None else grouped.expressions
    if by != [parsed("device")] and (by or any(word.find(*_BLIND) for word in words)):
        raise ScopeError("a read is not by device")


def _rows_of(read: exp.Select) -> list[exp.Table]:
    """The tables whose rows the words of a read are made of directly, if there are such."""
    source = read.args["from_"].this
    if isinstance(source, exp.Table):
        return [source]
    found = []
    for branch in _branches(_source(read)):
        table = branch.args["from_"].this
        plain = all(isinstance(one, exp.Column) for one in branch.expressions)
        if not isinstance(table, exp.Table) or not plain or branch.args.get("group"):
            return []
        found.append(table)
    return found


def _prove_selective(word: exp.Expr, flags: exp.Expr) -> None:
    """Each bit of a word comes from aggregates, and every one of them asks for the flags."""
    pending = [word]
    while pending:
        part = pending.pop()
        if isinstance(part, exp.Anonymous) and part.name in ("bitOr", "bitShiftLeft", "toUInt64"):
            pending += [one for one in part.expressions if not isinstance(one, exp.Literal)]
            continue
        aggregates = list(part.find_all(*_BLIND))
        if not aggregates:
            raise ScopeError("a bit is told without a look at what records carried")
        for one in aggregates:
            if not _asks(_taken(one), flags):
                raise ScopeError("records are counted without the flags that they carried")


def _taken(aggregate: exp.Expr) -> exp.Expr | None:
    """Which rows an aggregate takes; None for all."""
    taken: exp.Expr | None = None
    if isinstance(aggregate, exp.CountIf):
        taken = aggregate.this
    elif isinstance(aggregate, exp.AnonymousAggFunc) and aggregate.name in _SELECTIVE:
        taken = aggregate.expressions[-1]
    return taken


def _asks(test: exp.Expr | None, flags: exp.Expr) -> bool:
    """Whether only rows with the flags pass a test."""
    match test:
        case exp.Paren():
            return _asks(test.this, flags)
        case exp.And():
            return _asks(test.this, flags) or _asks(test.expression, flags)
        case exp.Or():
            return _asks(test.this, flags) and _asks(test.expression, flags)
        case _:
            return test == flags


# ---- shapes ------------------------------------------------------------------------------------


def _source(select: exp.Select) -> exp.Expr:
    """What stands in parentheses behind FROM."""
    source = select.args["from_"].this if select.args.get("from_") else None
    if not isinstance(source, exp.Subquery) or source.alias:
        raise ScopeError("expected a SELECT in parentheses")
    found: exp.Expr = source.this
    return found


def _inner(select: exp.Select) -> exp.Select:
    found = _source(select)
    if not isinstance(found, exp.Select) or found.args.get("distinct"):
        raise ScopeError("expected a SELECT in parentheses")
    return found


def _branches(source: exp.Expr) -> Iterator[exp.Select]:
    """The SELECTs of a UNION ALL, left to right."""
    pending = [source]
    while pending:
        part = pending.pop()
        if isinstance(part, exp.Union) and not part.args.get("distinct"):
            pending += [part.expression, part.this]
        elif isinstance(part, exp.Select):
            yield part
        else:
            raise ScopeError("expected SELECTs joined by UNION ALL")


def _select_of(table: exp.Table) -> exp.Select:
    found = table.parent_select
    if not isinstance(found, exp.Select):
        raise ScopeError(f"the table {table.name} does not stand in a SELECT")
    return found
