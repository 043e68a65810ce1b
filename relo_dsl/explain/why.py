"""Why a device is a member at an instant, or is not, clause by clause."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Literal

from relo_dsl.bind import BoundDefinition
from relo_dsl.catalog import CONSENT_FLAGS
from relo_dsl.consent import ScopedPlan, scope
from relo_dsl.explain.evidence import Evidence, evidence, shown
from relo_dsl.explain.sentences import Narrator, as_range
from relo_dsl.flip import next_flip
from relo_dsl.interpret import (
    Context,
    Device,
    DeviceView,
    History,
    Lists,
    candidates,
    consented,
    context_of,
    exists,
    holdout,
    holds,
    members,
    quantity,
    view,
)
from relo_dsl.interpret.history import current_flags
from relo_dsl.interpret.members import KeyOf, itself, ranked
from relo_dsl.numbers import plain
from relo_dsl.terms import And, Condition, Not, Or, Reference
from relo_dsl.times import format_duration, format_instant

How = Literal["all", "any", "not all", "none", "clause"]
#: What decided that a device is no member, or that it is one.
Verdict = Literal["member", "universe", "consent", "condition", "ranking", "sample", "holdout"]


@dataclass(frozen=True, slots=True)
class Clause:
    """A part of the condition, as written or said, its answer and what decided it."""

    text: str
    holds: bool
    how: How
    evidence: Evidence
    parts: tuple[Clause, ...] = ()


@dataclass(frozen=True, slots=True)
class Consent:
    """The bits that are needed, those in force, and since when (None: the client's default)."""

    needed: int
    flags: int
    since: int | None

    @property
    def lacking(self) -> int:
        return self.needed & ~self.flags

    @property
    def given(self) -> bool:
        return not self.lacking


@dataclass(frozen=True, slots=True)
class Answer:
    """The whole answer. `rank` is the place in the ranking and of how many, counted from 1;
    both None, where `is_ranked`, because other devices are not known. `hidden` is the number of
    records up to T that the definition may not see.
    """

    name: str
    device: str
    at: int
    verdict: Verdict
    consent: Consent
    visible: int
    hidden: int
    clauses: tuple[Clause, ...]
    value: str | None
    rank: tuple[int, int] | None
    next_flip: int | None
    ids: Mapping[tuple[int, int], str]
    is_ranked: bool = False

    @property
    def holds_now(self) -> bool:
        """Whether the device exists, consents and meets the condition, whatever its rank."""
        return self.verdict not in ("universe", "consent", "condition")

    @property
    def is_member(self) -> bool:
        return self.verdict == "member"

    def to_json(self) -> dict[str, Any]:
        """For `relo why --json`."""
        consent = self.consent
        flip = None if self.next_flip is None else format_instant(self.next_flip)
        return {
            "name": self.name,
            "device": self.device,
            "at": format_instant(self.at),
            "member": self.is_member,
            "verdict": self.verdict,
            "universe": self.visible > 0,
            "visible": self.visible,
            "hidden": self.hidden,
            "consent": {
                "needed": consent.needed,
                "in_force": consent.flags,
                "since": None if consent.since is None else format_instant(consent.since),
                "lacking": flag_names(consent.lacking),
            },
            "clauses": [self._clause(clause) for clause in self.clauses],
            "ranking": {"value": self.value, "rank": self.rank} if self.value else None,
            "next_flip": flip,
        }

    def _clause(self, clause: Clause) -> dict[str, Any]:
        found = clause.evidence
        out: dict[str, Any] = {"text": clause.text, "how": clause.how, "holds": clause.holds}
        if clause.parts:
            out["parts"] = [self._clause(part) for part in clause.parts]
            return out
        out["values"] = dict(found.values)
        out["note"] = found.note
        out["total"] = found.total
        out["events"] = [
            {
                "type": event.type,
                "time": format_instant(event.time),
                "age": format_duration(self.at - event.time),
                "id": self.ids.get((event.time, event.tie)),
                "values": {name: shown(value) for name, value in event.values.items()},
            }
            for event in found.events
        ]
        return out


def why(
    bound: BoundDefinition,
    scoped: ScopedPlan,
    history: History,
    device_id: str,
    at: int,
    lists: Lists,
    says: Narrator,
    *,
    ids: Mapping[tuple[int, int], str] | None = None,
    key: KeyOf = itself,
    alone: bool = False,
) -> Answer:
    """Why a device of the history is a member at T = `at`, or is not.

    `ids` gives the ids of events by (time, tie), where they are known, `key` what samples and
    ranks go by. With `alone` the history
    holds that one device, and rankings are left out. Raises KeyError for a device without records.
    """
    device = history.devices[device_id]
    seen = view(scoped, device, at)
    context = context_of(scoped, history, at, lists)
    texts = {id(part.condition): part.text for part in (*bound.parts, *bound.clauses)}
    teller = _Teller(seen, context, says, texts)
    known = [r for r in (*device.events, *device.identifies) if r.time <= at]
    visible = len(seen.events) + len(seen.identifies)
    rank, value = (None, None) if alone else _ranked(scoped, history, device_id, at, lists)
    return Answer(
        bound.name,
        device_id,
        at,
        _verdict(scoped, history, device, at, lists, key, alone=alone),
        _consent(scoped, device, at),
        visible,
        len(known) - visible,
        tuple(teller.clause(part.condition) for part in bound.clauses),
        value,
        rank,
        next_flip(scoped, history, device_id, at, lists),
        ids or {},
        scoped.plan.keep is not None,
    )


def flag_names(mask: int) -> list[str]:
    """The consents of a mask by their names."""
    return [name for name, bit in CONSENT_FLAGS.items() if mask & bit]


@dataclass(frozen=True)
class _Teller:
    """Answers the clauses of one device; `texts` are those of conditions that stand in the file."""

    device: DeviceView
    context: Context
    says: Narrator
    texts: Mapping[int, str]

    def clause(self, condition: Condition) -> Clause:
        text = self.texts.get(id(condition))
        answer = holds(condition, self.device, self.context)
        if _is_leaf(condition):
            return self._leaf(condition, text, answer)
        match condition:
            case Not(And() | Or() as inner):
                how: How = "not all" if isinstance(inner, And) else "none"
                parts = inner.operands
            case And(parts):
                how = "all"
            case Or(parts):
                how = "any"
            case Reference(name, inner_condition):
                how, parts = "all", (inner_condition,)
                text = text or f"in segment {name}"
            case Not(Reference(name, inner_condition)):
                how, parts = "not all", (inner_condition,)
                text = text or f"not in segment {name}"
            case _:
                return self._leaf(condition, text, answer)
        said = text or self.says.speaker.words.group(
            {"all": "all", "any": "some", "not all": "not all", "none": "none"}[how]  # type: ignore[arg-type]
        ).rstrip(":")
        return Clause(
            _one_line(said), answer, how, Evidence(), tuple(self.clause(part) for part in parts)
        )

    def _leaf(self, condition: Condition, text: str | None, answer: bool) -> Clause:
        inner, negative = condition, False
        while isinstance(inner, Not):
            inner, negative = inner.operand, not negative
        said = text or self.says.leaf(inner, negative=negative)
        found = evidence(inner, self.device, self.context, self.says)
        return Clause(_one_line(said), answer, "clause", found)


def _is_leaf(condition: Condition) -> bool:
    """Whether a clause is shown in one line: a range of a number is two comparisons."""
    while isinstance(condition, Not):
        condition = condition.operand
    return as_range(condition) is not None


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _consent(scoped: ScopedPlan, device: Device, at: int) -> Consent:
    since = max((r.time for r in device.consents if r.time <= at), default=None)
    return Consent(scoped.mask, current_flags(device, at, scoped.plan.default_flags), since)


def _verdict(
    scoped: ScopedPlan,
    history: History,
    device: Device,
    at: int,
    lists: Lists,
    key: KeyOf,
    *,
    alone: bool,
) -> Verdict:
    if not exists(scoped, device, at):
        return "universe"
    if not consented(scoped, device, at):
        return "consent"
    context = context_of(scoped, history, at, lists)
    if not holds(scoped.plan.condition, view(scoped, device, at), context):
        return "condition"
    if alone and scoped.plan.keep is not None:
        scoped = scope(replace(scoped.plan, keep=None))
    if device.id in members(scoped, history, at, lists, key):
        return "member"
    if device.id in holdout(scoped, history, at, lists, key):
        return "holdout"
    whole = scope(replace(scoped.plan, shares=None))
    return "sample" if device.id in members(whole, history, at, lists, key) else "ranking"


def _ranked(
    scoped: ScopedPlan, history: History, device: str, at: int, lists: Lists
) -> tuple[tuple[int, int] | None, str | None]:
    """The place of a device that passes, and the value it is ranked by."""
    keep = scoped.plan.keep
    if keep is None:
        return None, None
    everyone = replace(keep, amount=Decimal(100), share=True)
    passing = candidates(scoped, history, at, lists)
    order = ranked(everyone, passing, at)
    if device not in order:
        return None, "missing" if device in passing else None
    value = quantity(keep.by, passing[device], at)
    return (order.index(device) + 1, len(order)), _number(value)


def _number(value: Decimal | None) -> str | None:
    return None if value is None else plain(value)
