"""Why a device is a member at an instant, or is not, clause by clause."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import ROUND_FLOOR, Decimal
from typing import Any, Literal

from relo_dsl.bind import BoundDefinition
from relo_dsl.catalog import CONSENT_FLAGS
from relo_dsl.consent import ScopedPlan
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
    holds,
    quantity,
    view,
)
from relo_dsl.interpret.history import current_flags
from relo_dsl.interpret.members import (
    KeyOf,
    draw,
    is_held_out,
    is_sampled,
    itself,
    places,
    ranked,
)
from relo_dsl.numbers import plain
from relo_dsl.terms import Affine, And, Condition, Not, Or, Reference
from relo_dsl.times import format_duration, format_instant

How = Literal["all", "any", "not all", "none", "clause"]
#: What decided that a device is no member, or that it is one.
Verdict = Literal["member", "universe", "consent", "condition", "ranking", "sample", "holdout"]
#: What the next change by time alone leaves out: other devices, as far as they are not followed.
Taken = Literal["ranking", "affinity"]


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
class Standing:
    """Where a device that passes stands: by which value (None: it has none), in which place of how
    many, counted from 1, and how many places of them are kept.
    """

    by: str
    value: str | None
    place: int | None = None
    of: int | None = None
    kept: int | None = None

    @property
    def is_kept(self) -> bool:
        return self.place is not None and self.kept is not None and self.place <= self.kept

    def to_json(self) -> dict[str, Any]:
        return {"value": self.value, "place": self.place, "of": self.of, "kept": self.kept}


@dataclass(frozen=True, slots=True)
class Share:
    """What a device drew, from 0 up to 1, and what the sample and the holdout make of it; None
    where the definition has no such thing. Only a device of the sample can be held out.
    """

    drawn: Decimal
    sample: bool | None
    holdout: bool | None

    def to_json(self) -> dict[str, Any]:
        drawn = plain(self.drawn)
        return {"drawn": drawn, "sample": self.sample, "holdout": self.holdout}


@dataclass(frozen=True, slots=True)
class Others:
    """What all devices say, where the history holds one alone: what goes with a product, and the
    place in the ranking and of how many, None where the device has none.
    """

    companions: Mapping[Affine, frozenset[str]]
    place: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Answer:
    """The whole answer. `ranking` is None without a `keep`, and for a device that is not ranked
    because it does not consent or pass. `hidden` is the number of records up to T that the
    definition may not see. `taken` names what `next_flip` takes as it is at T.
    """

    name: str
    device: str
    at: int
    verdict: Verdict
    consent: Consent
    visible: int
    hidden: int
    clauses: tuple[Clause, ...]
    ranking: Standing | None
    share: Share | None
    next_flip: int | None
    taken: tuple[Taken, ...]
    ids: Mapping[tuple[int, int], str]

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
            "ranking": None if self.ranking is None else self.ranking.to_json(),
            "share": None if self.share is None else self.share.to_json(),
            "next_flip": flip,
            "next_flip_without": list(self.taken),
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
    others: Others | None = None,
) -> Answer:
    """Why a device of the history is a member at T = `at`, or is not.

    `ids` gives the ids of events by (time, tie), where they are known, `key` what samples and
    ranks go by. With `others` the history holds that one device. Raises KeyError for a device
    without records.
    """
    device = history.devices[device_id]
    seen = view(scoped, device, at)
    go_with = None if others is None else others.companions.__getitem__
    context = context_of(scoped, history, at, lists, go_with)
    texts = {id(part.condition): part.text for part in (*bound.parts, *bound.clauses)}
    teller = _Teller(seen, context, says, texts)
    known = [r for r in (*device.events, *device.identifies) if r.time <= at]
    visible = len(seen.events) + len(seen.identifies)
    verdict, ranking = _lacking(scoped, device, seen, context), None
    share = _share(scoped, key(device_id))
    if verdict is None:
        place = others.place if others else _place(scoped, history, device_id, at, lists, key)
        ranking = _standing(scoped, seen, at, place, says)
        verdict = _left_out(ranking, share)
    return Answer(
        bound.name,
        device_id,
        at,
        verdict,
        _consent(scoped, device, at),
        visible,
        len(known) - visible,
        tuple(teller.clause(part.condition) for part in bound.clauses),
        ranking,
        share,
        next_flip(scoped, history, device_id, at, lists, go_with),
        _taken(scoped, others),
        ids or {},
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


def _lacking(
    scoped: ScopedPlan, device: Device, seen: DeviceView, context: Context
) -> Verdict | None:
    """What a device lacks before any ranking; None where it passes."""
    if not exists(scoped, device, context.at):
        return "universe"
    if not consented(scoped, device, context.at):
        return "consent"
    return None if holds(scoped.plan.condition, seen, context) else "condition"


def _left_out(ranking: Standing | None, share: Share | None) -> Verdict:
    """What becomes of a device that passes."""
    if ranking is not None and not ranking.is_kept:
        return "ranking"
    if share is None:
        return "member"
    if share.sample is False:
        return "sample"
    return "holdout" if share.holdout else "member"


def _taken(scoped: ScopedPlan, others: Others | None) -> tuple[Taken, ...]:
    taken: list[Taken] = []
    if scoped.plan.keep is not None:
        taken.append("ranking")
    if others is not None and others.companions:
        taken.append("affinity")
    return tuple(taken)


def _place(
    scoped: ScopedPlan, history: History, device: str, at: int, lists: Lists, key: KeyOf
) -> tuple[int, int] | None:
    """The place of a device that passes, and of how many."""
    keep = scoped.plan.keep
    if keep is None:
        return None
    everyone = replace(keep, amount=Decimal(100), share=True)
    order = ranked(everyone, candidates(scoped, history, at, lists), at, key)
    return (order.index(device) + 1, len(order)) if device in order else None


def _standing(
    scoped: ScopedPlan, seen: DeviceView, at: int, place: tuple[int, int] | None, says: Narrator
) -> Standing | None:
    keep = scoped.plan.keep
    if keep is None:
        return None
    value = quantity(keep.by, seen, at)
    by, said = says.amount(keep.by), None if value is None else plain(value)
    if place is None:
        return Standing(by, said)
    return Standing(by, said, *place, places(keep, place[1]))


def _share(scoped: ScopedPlan, key: str) -> Share | None:
    shares = scoped.plan.shares
    if shares is None:
        return None
    drawn = draw(shares, scoped.client, key)
    sampled = is_sampled(shares, drawn)
    return Share(
        (Decimal(drawn) / 2**64).quantize(Decimal("1e-9"), ROUND_FLOOR),
        None if shares.sample is None else sampled,
        None if shares.holdout is None else sampled and is_held_out(shares, drawn),
    )
