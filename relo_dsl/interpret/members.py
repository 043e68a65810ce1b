"""Members: consent, the condition, then ranking, sample and holdout."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from functools import cache
from math import ceil
from typing import Final

from relo_dsl.consent import ScopedPlan
from relo_dsl.interpret.conditions import Context, Lists, companions, holds
from relo_dsl.interpret.history import History
from relo_dsl.interpret.measures import quantity
from relo_dsl.interpret.visibility import DeviceView, consented, exists, view
from relo_dsl.terms import Affine, Ranking, Shares

NO_LISTS: Final[Lists] = {}
#: The key of a device, as text: what rankings and samples go by. In `relo eval` it is the id.
KeyOf = Callable[[str], str]
#: What goes with the product of an `affine to`, told from outside.
CompanionsOf = Callable[[Affine], frozenset[str]]


def itself(device: str) -> str:
    """The key of a device where none is made."""
    return device


def members(
    scoped: ScopedPlan,
    history: History,
    at: int,
    lists: Lists = NO_LISTS,
    key: KeyOf = itself,
) -> frozenset[str]:
    """The ids of the devices that are members at T = `at`; the holdout are none.

    Raises ValueError where the history is another client's.
    """
    return chosen(scoped, candidates(scoped, history, at, lists), at, key)


def holdout(
    scoped: ScopedPlan,
    history: History,
    at: int,
    lists: Lists = NO_LISTS,
    key: KeyOf = itself,
) -> frozenset[str]:
    """The ids of the devices that are split off from the members at T = `at`."""
    return chosen(scoped, candidates(scoped, history, at, lists), at, key, held_out=True)


def candidates(
    scoped: ScopedPlan, history: History, at: int, lists: Lists = NO_LISTS
) -> dict[str, DeviceView]:
    """The devices of the universe that consent and pass the condition, before any ranking."""
    if history.client != scoped.client:
        raise ValueError(f"a history of client {history.client} for a plan of {scoped.client}")
    context = context_of(scoped, history, at, lists)
    views = {
        device.id: view(scoped, device, at)
        for device in history.devices.values()
        if exists(scoped, device, at) and consented(scoped, device, at)
    }
    condition = scoped.plan.condition
    return {name: seen for name, seen in views.items() if holds(condition, seen, context)}


def context_of(
    scoped: ScopedPlan,
    history: History,
    at: int,
    lists: Lists = NO_LISTS,
    companions_of: CompanionsOf | None = None,
) -> Context:
    """What conditions over the devices of a history need beside them.

    `companions_of` tells what goes with a product where the history does not hold all devices.
    """

    @cache
    def consenting() -> tuple[DeviceView, ...]:
        return tuple(
            view(scoped, device, at)
            for device in history.devices.values()
            if exists(scoped, device, at) and consented(scoped, device, at)
        )

    @cache
    def go_with(affine: Affine) -> frozenset[str]:
        return companions(affine, consenting(), at)

    return Context(at, lists, companions_of or go_with)


def chosen(
    scoped: ScopedPlan,
    passing: Mapping[str, DeviceView],
    at: int,
    key: KeyOf = itself,
    *,
    held_out: bool = False,
) -> frozenset[str]:
    """Of the devices that consent and pass, those that ranking, sample and holdout leave."""
    keep = scoped.plan.keep
    placed = passing if keep is None else ranked(keep, passing, at, key)
    return _shared(scoped, placed, key, held_out=held_out)


def ranked(
    keep: Ranking, passing: Mapping[str, DeviceView], at: int, key: KeyOf = itself
) -> list[str]:
    """The devices that have a place in the ranking, the best first."""
    values = {name: quantity(keep.by, seen, at) for name, seen in passing.items()}
    valued = {name: value for name, value in values.items() if value is not None}
    if keep.which == "top":
        valued = {name: value.copy_negate() for name, value in valued.items()}  # `-` would round
    order = sorted(valued, key=lambda name: (valued[name], key(name).encode()))
    return order[: places(keep, len(order))]


def places(keep: Ranking, of: int) -> int:
    """How many places a ranking gives where `of` devices have a value."""
    return ceil(of * Fraction(keep.amount) / 100) if keep.share else int(keep.amount)


def _shared(
    scoped: ScopedPlan, passing: Iterable[str], key: KeyOf, *, held_out: bool
) -> frozenset[str]:
    """The part of the devices that is published under the name, or under `NAME:holdout`."""
    shares = scoped.plan.shares
    if shares is None:
        return frozenset() if held_out else frozenset(passing)
    sampled = [
        (device, drawn)
        for device in passing
        if is_sampled(shares, drawn := draw(shares, scoped.client, key(device)))
    ]
    return frozenset(device for device, drawn in sampled if is_held_out(shares, drawn) == held_out)


def draw(shares: Shares, client: int, key: str) -> int:
    """The number, of 2^64, that decides of the device with this key for good."""
    text = f"{client}|{shares.name}|{key}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def is_sampled(shares: Shares, drawn: int) -> bool:
    """Whether the sample keeps a device, the holdout's part included."""
    return shares.below is None or drawn < shares.below


def is_held_out(shares: Shares, drawn: int) -> bool:
    """Whether a device that the sample keeps goes into the holdout."""
    return shares.held_from is not None and drawn >= shares.held_from
