"""A catalog from the data itself, for evaluation without one: what occurs, and of which type.

Types are those of JSON: string, number, boolean and arrays of strings, numbers or objects; a text
that looks like a time stays a string. An array that is empty wherever it occurs is a `string[]`.
What has no one type gets the first that was seen and is noted as a conflict, so that only a
definition that uses it has to fail.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from relo_dsl.catalog import Catalog, EventSpec, PropertySpec, PropertyType
from relo_dsl.records import Record, kind_of
from relo_dsl.terms import AnyElement, Condition, Measure, Property, Reference, Selection, Trait

#: The owner of traits in `Key`, beside the names of events. No event has an empty name.
TRAITS = ""
#: (event, property), or (TRAITS, trait); `products.id` for a field of an array of objects.
Key = tuple[str, str]

_TYPES = {kind.value: kind for kind in PropertyType if kind is not PropertyType.TIME}


@dataclass(frozen=True, slots=True)
class Inferred:
    """The catalog, and for each name without one type a text that says which types it has."""

    catalog: Catalog
    conflicts: Mapping[Key, str]


@dataclass
class _Seen:
    """What was seen of one property: each type's name with the place of its first value."""

    kinds: dict[str, str] = field(default_factory=dict)
    parts: dict[str, _Seen] = field(default_factory=dict)
    empty: bool = False

    def add(self, value: Any, place: str) -> None:
        if value == ():
            self.empty = True
            return
        self.kinds.setdefault(kind_of(value), place)
        if isinstance(value, tuple) and isinstance(value[0], Mapping):
            for element in value:
                for name, part in element.items():
                    self.parts.setdefault(name, _Seen()).add(part, place)


def infer_catalog(records: Iterable[tuple[str, Record]]) -> Inferred:
    """The events, properties and traits that occur in these (place, record) pairs."""
    events: dict[str, dict[str, _Seen]] = {}
    traits: dict[str, _Seen] = {}
    for place, record in records:
        if record.kind == "event":
            owner = events.setdefault(record.type, {})
        elif record.kind == "identify":
            owner = traits
        else:
            continue
        for name, value in record.values.items():
            if value is not None:
                owner.setdefault(name, _Seen()).add(value, place)
    conflicts: dict[Key, str] = {}
    catalog = Catalog(
        events={
            event: EventSpec(properties=_specs(event, seen, conflicts))
            for event, seen in events.items()
        },
        traits=_specs(TRAITS, traits, conflicts),
    )
    return Inferred(catalog, conflicts)


def _specs(
    owner: str, seen: Mapping[str, _Seen], conflicts: dict[Key, str]
) -> dict[str, PropertySpec]:
    return {name: _spec((owner, name), what, conflicts) for name, what in seen.items()}


def _spec(key: Key, seen: _Seen, conflicts: dict[Key, str]) -> PropertySpec:
    usable = [kind for kind in seen.kinds if kind in _TYPES]
    scalars_too = seen.empty and any(not kind.endswith("[]") for kind in usable)
    if len(seen.kinds) > 1 or len(usable) < len(seen.kinds) or scalars_too:
        conflicts[key] = _conflict(seen)
    kind = _TYPES[usable[0]] if usable else PropertyType.STRINGS
    if kind is not PropertyType.OBJECTS:
        return PropertySpec(type=kind)
    owner, name = key
    parts = {
        part: _spec((owner, f"{name}.{part}"), what, conflicts) for part, what in seen.parts.items()
    }
    if not parts:  # only `{}`: there is nothing to ask of it but whether it exists
        parts = {"": PropertySpec(type=PropertyType.STRING)}
    return PropertySpec(type=kind, fields=parts)


def _conflict(seen: _Seen) -> str:
    kinds = [f"{kind} in {place}" for kind, place in seen.kinds.items()]
    if seen.empty:
        kinds.append("an empty array elsewhere")
    return " and ".join(kinds)


def without_conflicts(inferred: Inferred) -> Catalog:
    """The catalog without the names that have no one type: their values are of any."""

    def kept(owner: str, specs: Mapping[str, PropertySpec]) -> dict[str, PropertySpec]:
        mixed = {name for key, name in inferred.conflicts if key == owner}
        return {
            name: spec
            for name, spec in specs.items()
            if name not in mixed and not any(f"{name}.{part}" in mixed for part in spec.fields)
        }

    catalog = inferred.catalog
    if not inferred.conflicts:
        return catalog
    events = {
        name: event.model_copy(update={"properties": kept(name, event.properties)})
        for name, event in catalog.events.items()
    }
    return catalog.model_copy(update={"events": events, "traits": kept(TRAITS, catalog.traits)})


# ---- what a condition uses ---------------------------------------------------------------------


def conflicts_in(condition: Condition, inferred: Inferred) -> list[tuple[Key, str]]:
    """The conflicts among the properties and traits that a condition uses, each once."""
    if not inferred.conflicts:
        return []
    used: dict[Key, str] = {}
    for owners, name in _used(condition, (), "", set()):
        for owner in owners or tuple(inferred.catalog.events):
            if (owner, name) in inferred.conflicts:
                used[owner, name] = inferred.conflicts[owner, name]
    return list(used.items())


def _used(
    node: Any, owners: tuple[str, ...], parent: str, seen: set[str]
) -> Iterator[tuple[tuple[str, ...], str]]:
    """(events, dotted name) of every property below a node; no events stand for all of them.

    `seen` holds the references already gone into.
    """
    match node:
        case Property(name):
            inside = parent or (f"{node.parent}." if node.parent else "")
            yield owners, inside + name
        case Selection(events, where):
            yield from _used(where, events, "", seen)
        case Measure():
            yield from _used(node.selection, (), "", seen)
            yield from _used(node.property, node.selection.events, "", seen)
        case Trait(predicate):
            yield from _used(predicate, (TRAITS,), "", seen)
        case AnyElement(prop, where):
            yield from _used(prop, owners, parent, seen)
            yield from _used(where, owners, f"{prop.name}.", seen)
        case Reference(_, referred):
            if node.digest not in seen:
                seen.add(node.digest)
                yield from _used(referred, (), "", seen)
        case tuple():
            for item in node:
                yield from _used(item, owners, parent, seen)
        case _ if is_dataclass(node):
            for item in fields(node):
                yield from _used(getattr(node, item.name), owners, parent, seen)
