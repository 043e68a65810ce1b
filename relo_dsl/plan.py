"""The plan: what a definition means, as one immutable value with a canonical form.

Two definitions that mean the same by their structure have the same canonical JSON and hence the
same fingerprint, however they are laid out, commented or named inside.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass, replace
from decimal import Decimal
from enum import Enum
from functools import cached_property
from typing import Any, TypeVar, cast

from relo_dsl.numbers import plain
from relo_dsl.terms import (
    Absent,
    Affine,
    Always,
    And,
    Condition,
    Not,
    Or,
    Ranking,
    Reference,
    Selection,
    Shares,
)

N = TypeVar("N")


@dataclass(frozen=True)
class Plan:
    """A condition for one client and the consent its use needs.

    `mask` is computed from the destinations, never given. `default_flags` is the consent of a
    device without a record. Retention is in calendar months; None keeps everything visible.
    Of the devices that pass, `keep` ranks and cuts, then `shares` takes a sample and a holdout.
    """

    client: int
    condition: Condition
    mask: int
    default_flags: int = 255
    retention_months: int | None = 24
    extended_months: int | None = 60
    keep: Ranking | None = None
    shares: Shares | None = None

    @cached_property
    def canonical(self) -> str:
        """Canonical JSON: sorted keys, no white space, one text for one meaning."""
        after = {"keep": self.keep, "shares": self.shares}
        return json.dumps(
            {
                "client": self.client,
                "mask": self.mask,
                "default_flags": self.default_flags,
                "retention": [self.retention_months, self.extended_months],
                "condition": to_json(self.condition),
                **{name: to_json(part) for name, part in after.items() if part is not None},
            },
            sort_keys=True,
            separators=(",", ":"),
            ensure_ascii=False,
        )

    @cached_property
    def fingerprint(self) -> str:
        """32 hex digits of the SHA-256 of the canonical JSON."""
        return hashlib.sha256(self.canonical.encode()).hexdigest()[:32]


def to_json(node: Any) -> Any:
    """A node as plain JSON values: its class under `is`, its compared fields by name."""
    if isinstance(node, Enum):
        return node.value
    if isinstance(node, Decimal):
        return {"number": plain(node)}
    if isinstance(node, tuple):
        return [to_json(item) for item in node]
    if is_dataclass(node):
        out: dict[str, Any] = {"is": type(node).__name__}
        for item in fields(node):
            if item.compare:
                out[item.name] = to_json(getattr(node, item.name))
        return out
    return node


# ---- passes ------------------------------------------------------------------------------------
#
# Conditions and predicates are joined by the same three nodes, so each pass serves both.


def flatten(node: Any) -> Any:
    """`a and (b and c)` is `a and b and c`."""
    match node:
        case And(operands):
            return And(
                tuple(p for o in operands for p in (o.operands if isinstance(o, And) else (o,)))
            )
        case Or(operands):
            return Or(
                tuple(p for o in operands for p in (o.operands if isinstance(o, Or) else (o,)))
            )
        case _:
            return node


def drop_double_negation(node: Any) -> Any:
    """`not not a` is `a`; `not true` is `false`."""
    match node:
        case Not(Not(inner)):
            return inner
        case Not(Always(value)):
            return Always(not value)
        case Not(Absent(value)):
            return Absent(not value)
        case _:
            return node


def absorb_constants(node: Any) -> Any:
    """Operands that always hold leave an `and`; one that never holds decides it; `or` likewise."""
    match node:
        case And(operands) | Or(operands):
            deciding = isinstance(node, Or)
            constants = [o for o in operands if isinstance(o, Always | Absent)]
            decided = [o for o in constants if o.value is deciding]
            kept = tuple(o for o in operands if not isinstance(o, Always | Absent))
            if decided or not kept:
                return decided[0] if decided else constants[0]
            return kept[0] if len(kept) == 1 else type(node)(kept)
        case _:
            return node


def sort_operands(node: Any) -> Any:
    """The operands of `and` and `or` in one order, each once: neither changes what they mean."""
    match node:
        case And(operands) | Or(operands):
            unique = list(dict.fromkeys(operands))
            if len(unique) == 1:
                return unique[0]
            unique.sort(key=_sort_key)
            return type(node)(tuple(unique))
        case _:
            return node


def _sort_key(node: Any) -> str:
    return json.dumps(to_json(node), sort_keys=True, ensure_ascii=False)


#: Applied to every node, children first, in this order.
PASSES: tuple[Callable[[Any], Any], ...] = (
    drop_double_negation,
    flatten,
    absorb_constants,
    sort_operands,
)


def normalise(node: N) -> N:
    """The canonical form of a condition, predicate or quantity; it means the same."""
    changed: Any = node
    if is_dataclass(node) and not isinstance(node, type):
        updates: dict[str, Any] = {}
        for item in fields(node):
            if not item.compare:  # a reference's condition is canonical already
                continue
            before = getattr(node, item.name)
            after = (
                tuple(map(normalise, before)) if isinstance(before, tuple) else normalise(before)
            )
            if after is not before and after != before:
                updates[item.name] = after
        if updates:
            changed = replace(node, **updates)
    for one_pass in PASSES:
        changed = one_pass(changed)
    return cast(N, changed)


def affinities(condition: Condition) -> tuple[Affine, ...]:
    """Where other devices have a say in a condition: every `affine to` in it, once."""
    found: dict[Affine, None] = {}

    def visit(node: Condition) -> None:
        match node:
            case And(operands) | Or(operands):
                for operand in operands:
                    visit(operand)
            case Not(inner) | Reference(_, inner):
                visit(inner)
            case Affine():
                found[node] = None
            case _:
                pass

    visit(condition)
    return tuple(found)


def selections(plan: Plan) -> tuple[Selection, ...]:
    """The events that a plan looks at, each selection once."""
    found: dict[Selection, None] = {}

    def visit(node: object) -> None:
        if isinstance(node, Selection):
            found[node] = None
        elif isinstance(node, tuple):
            for item in node:
                visit(item)
        elif is_dataclass(node):
            for item in fields(node):
                visit(getattr(node, item.name))

    visit((plan.condition, plan.keep))
    return tuple(found)


def compares_devices(plan: Plan) -> bool:
    """Whether it takes other devices to tell of one: a ranking, or what goes with a product."""
    return plan.keep is not None or bool(affinities(plan.condition))
