"""The plan: what a definition means, as one immutable value with a canonical form.

Two definitions that mean the same by their structure have the same canonical JSON and hence the
same fingerprint, however they are laid out, commented or named inside.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from decimal import Decimal
from enum import Enum
from functools import cached_property
from typing import Any

from relo_dsl.numbers import plain
from relo_dsl.terms import (
    Always,
    And,
    Condition,
    Not,
    Or,
    Reference,
)


@dataclass(frozen=True)
class Plan:
    """A condition for one client and the consent its use needs.

    `mask` is computed from the destinations, never given. `default_flags` is the consent of a
    device without a record. Retention is in calendar months; None keeps everything visible.
    """

    client: int
    condition: Condition
    mask: int
    default_flags: int = 255
    retention_months: int | None = 24
    extended_months: int | None = 60

    @cached_property
    def canonical(self) -> str:
        """Canonical JSON: sorted keys, no white space, one text for one meaning."""
        return json.dumps(
            {
                "client": self.client,
                "mask": self.mask,
                "default_flags": self.default_flags,
                "retention": [self.retention_months, self.extended_months],
                "condition": to_json(self.condition),
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


def flatten(condition: Condition) -> Condition:
    """`a and (b and c)` is `a and b and c`."""
    match condition:
        case And(operands):
            return And(_spliced(operands, And))
        case Or(operands):
            return Or(_spliced(operands, Or))
        case _:
            return condition


def _spliced(operands: tuple[Condition, ...], kind: type) -> tuple[Condition, ...]:
    flat: list[Condition] = []
    for operand in operands:
        flat.extend(operand.operands if isinstance(operand, kind) else (operand,))  # type: ignore[attr-defined]
    return tuple(flat)


def drop_double_negation(condition: Condition) -> Condition:
    """`not not a` is `a`; `not true` is `false`."""
    match condition:
        case Not(Not(inner)):
            return inner
        case Not(Always(value)):
            return Always(not value)
        case _:
            return condition


def absorb_constants(condition: Condition) -> Condition:
    """Operands that always hold leave an `and`; one that never holds decides it; `or` likewise."""
    match condition:
        case And(operands) | Or(operands):
            deciding = isinstance(condition, Or)
            if Always(deciding) in operands:
                return Always(deciding)
            kept = tuple(o for o in operands if o != Always(not deciding))
            if not kept:
                return Always(not deciding)
            return kept[0] if len(kept) == 1 else type(condition)(kept)
        case _:
            return condition


def sort_operands(condition: Condition) -> Condition:
    """The operands of `and` and `or` in one order, each once: neither changes what they mean."""
    match condition:
        case And(operands) | Or(operands):
            unique = list(dict.fromkeys(operands))
            if len(unique) == 1:
                return unique[0]
            unique.sort(key=_sort_key)
            return type(condition)(tuple(unique))
        case _:
            return condition


def _sort_key(node: Condition) -> str:
    return json.dumps(to_json(node), sort_keys=True, ensure_ascii=False)


#: Applied to every node, children first, in this order.
PASSES: tuple[Callable[[Condition], Condition], ...] = (
    drop_double_negation,
    flatten,
    absorb_constants,
    sort_operands,
)


def normalise(condition: Condition) -> Condition:
    """The canonical form of a condition; it holds for the same devices at every instant."""
    match condition:
        case And(operands):
            condition = And(tuple(normalise(o) for o in operands))
        case Or(operands):
            condition = Or(tuple(normalise(o) for o in operands))
        case Not(operand):
            condition = Not(normalise(operand))
        case Reference(name, inner):
            condition = Reference(name, normalise(inner))
    for one_pass in PASSES:
        condition = one_pass(condition)
    return condition
