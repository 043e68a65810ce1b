"""Audiences that mean the same, or of which one is a part of another.

Only audiences of one client, consent and retention are compared: with another mask they see other
events, so that nothing would follow from their conditions. Texts apart, only those that go to the
same places are: to publish a part of an audience elsewhere is what audiences are for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

from relo_dsl.analysis.chains import Operand
from relo_dsl.review import Reviewed

#: Pairs whose conditions are compared by proof, at the most: a large project costs no more.
_PAIRS = 150
#: Audiences with the same destinations that are looked at pair by pair.
_MANY = 150


@dataclass
class _Compared:
    item: Reviewed

    @cached_property
    def operand(self) -> Operand:
        return Operand(self.item.bound.span, self.item.plan.condition)

    @property
    def is_whole(self) -> bool:
        """Whether all that meet the condition are members."""
        node = self.item.node
        return node.keep is None and node.sample is None and node.holdout is None

    def implies(self, other: _Compared) -> bool:
        """Whether every member is a member of the other."""
        return other.is_whole and self.operand.never(self.operand.true, other.operand.false)


def check_overlaps(items: Iterable[Reviewed]) -> None:
    """Reports audiences that mean the same, and parts of another that go to the same places."""
    groups: defaultdict[tuple[object, ...], list[Reviewed]] = defaultdict(list)
    for item in items:
        plan = item.plan
        key = (plan.client, plan.mask, plan.retention_months, plan.extended_months)
        groups[key].append(item)
    pairs = _PAIRS
    for group in groups.values():
        told = _same_text(group)
        by_exports: defaultdict[frozenset[str], list[_Compared]] = defaultdict(list)
        for item in group:
            if item.bound.name not in told and item.bound.header.exports:
                by_exports[frozenset(item.bound.header.exports)].append(_Compared(item))
        for compared in by_exports.values():
            pairs = _compare(compared, pairs)


def _same_text(group: Sequence[Reviewed]) -> set[str]:
    """Reports those that have the same canonical form as one before."""
    first: dict[str, str] = {}
    told = set()
    for item in group:
        name = item.bound.name
        other = first.setdefault(item.plan.fingerprint, name)
        if other != name:
            told.add(name)
            _report_same(item, other)
    return told


def _report_same(item: Reviewed, other: str) -> None:
    name = item.bound.name
    item.found.report("same-meaning", item.node.name.span, f"`{name}` and `{other}` mean the same")


def _compare(group: Sequence[_Compared], pairs: int) -> int:
    """Compares up to so many pairs; gives how many are left."""
    told: set[str] = set()
    if len(group) > _MANY:
        return pairs
    for first, second in combinations(group, 2):
        one, other = first.operand.subjects, second.operand.subjects
        # A part of what speaks of something else altogether would be luck.
        if pairs and (one <= other or other <= one):
            pairs -= 1
            _compare_pair(first, second, told)
    return pairs


def _compare_pair(first: _Compared, second: _Compared, told: set[str]) -> None:
    forward, backward = first.implies(second), second.implies(first)
    if forward and backward and first.is_whole and second.is_whole:
        _report_same(second.item, first.item.bound.name)
        return
    if not forward and not backward:
        return
    part, whole = (first.item, second.item) if forward else (second.item, first.item)
    if part.bound.name in told:
        return
    told.add(part.bound.name)
    part.found.report(
        "contained-definition",
        part.node.name.span,
        f"every member of `{part.bound.name}` is also in `{whole.bound.name}`, "
        "and both go to the same places",
    )
