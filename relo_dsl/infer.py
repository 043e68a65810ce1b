"""A catalog from the data itself, for evaluation without one: what occurs, and of which type.

Types are those of JSON: string, number, boolean and arrays of strings, numbers or objects; a text
that looks like a time stays a string. An array that is empty wherever it occurs is a `string[]`.
What has no one type gets the first that was seen and is noted as a conflict, so that only a
definition that uses it has to fail.

Times and points are what a definition takes for such: a text or a number under a window, a pair of
numbers near a place. `retyped` makes the catalog that says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any

from relo_dsl.catalog import Catalog, EventSpec, PropertySpec, PropertyType, ScoreSpec
from relo_dsl.geo import SPELLINGS, coordinates, part_names, spelled
from relo_dsl.interpret import typed
from relo_dsl.records import Record, Value, kind_of
from relo_dsl.terms import (
    Affine,
    AnyElement,
    Condition,
    Extreme,
    Held,
    Measure,
    Property,
    Reference,
    Score,
    Selection,
    Trait,
)

#: The owner of traits in `Key`, beside the names of events. No event has an empty name.
TRAITS = ""
#: (event, property), or (TRAITS, trait); `products.id` for a field of an array of objects.
Key = tuple[str, str]

#: Types that no value has by itself: a definition takes it for one.
_TAKEN = (PropertyType.TIME, PropertyType.POINT)
_TYPES = {kind.value: kind for kind in PropertyType if kind not in _TAKEN}


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
    readable: set[PropertyType] = field(default_factory=set)

    def add(self, value: Any, place: str) -> None:
        if PropertyType.TIME not in self.readable and typed(PropertyType.TIME, value) is not None:
            self.readable.add(PropertyType.TIME)
        if PropertyType.POINT not in self.readable and coordinates(value) is not None:
            self.readable.add(PropertyType.POINT)
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
    scores: dict[str, ScoreSpec] = {}
    for place, record in records:
        if record.kind == "event":
            owner = events.setdefault(record.type, {})
        elif record.kind == "identify":
            owner = traits
        else:
            scores.update(dict.fromkeys(record.values, ScoreSpec()))
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
        scores=scores,
    )
    return Inferred(catalog, conflicts)


def _specs(
    owner: str, seen: Mapping[str, _Seen], conflicts: dict[Key, str]
) -> dict[str, PropertySpec]:
    specs = {name: _spec((owner, name), what, conflicts) for name, what in seen.items()}
    for name in [name.rpartition(".")[0] for name in specs if "." in name]:
        pairs = [[seen.get(f"{name}.{part}") for part in pair] for pair in SPELLINGS]
        if name not in specs and any(_is_point(pair) for pair in pairs):
            specs[name] = PropertySpec(type=PropertyType.POINT)
    return specs


def _is_point(parts: list[_Seen | None]) -> bool:
    return all(part is not None and PropertyType.NUMBER in part.kinds for part in parts)


def _spec(key: Key, seen: _Seen, conflicts: dict[Key, str]) -> PropertySpec:
    usable = [kind for kind in seen.kinds if kind in _TYPES]
    scalars_too = seen.empty and any(not kind.endswith("[]") for kind in usable)
    if len(seen.kinds) > 1 or len(usable) < len(seen.kinds) or scalars_too:
        conflicts[key] = _conflict(seen)
    kind = _TYPES[usable[0]] if usable else PropertyType.STRINGS
    if kind is not PropertyType.OBJECTS:
        return PropertySpec(type=kind).also(*seen.readable)
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
    for owners, name, kind in _used(condition, (), "", set()):
        if kind in _TAKEN:
            continue  # values of other types are absent
        for owner in owners or tuple(inferred.catalog.events):
            if (owner, name) in inferred.conflicts:
                used[owner, name] = inferred.conflicts[owner, name]
    return list(used.items())


def taken_in(condition: Condition, catalog: Catalog) -> dict[Key, PropertyType]:
    """What a condition takes for a time or a point, and the catalog does not say to be one."""
    taken: dict[Key, PropertyType] = {}
    for owners, name, kind in _used(condition, (), "", set()):
        if kind in _TAKEN:
            for owner in owners or tuple(catalog.events):
                spec = _find(catalog, (owner, name))
                if spec is not None and spec.type is not kind:
                    taken[owner, name] = kind
    return taken


def _specs_of(catalog: Catalog, owner: str) -> Mapping[str, PropertySpec]:
    if owner == TRAITS:
        return catalog.traits
    event = catalog.events.get(owner)
    return {} if event is None else event.properties


def _find(catalog: Catalog, key: Key) -> PropertySpec | None:
    """The spec of a property, or of a field of an array of objects."""
    owner, name = key
    specs = _specs_of(catalog, owner)
    if name in specs:
        return specs[name]
    array, _, part = name.partition(".")
    return specs[array].fields.get(part) if array in specs else None


def retyped(inferred: Inferred, taken: Mapping[Key, PropertyType]) -> Inferred:
    """The same with other types for some properties, whose conflicts are over."""
    events = dict(inferred.catalog.events)
    traits = dict(inferred.catalog.traits)
    for (owner, name), kind in taken.items():
        specs = traits if owner == TRAITS else dict(events[owner].properties)
        if name in specs:
            specs[name] = PropertySpec(type=kind)
        else:
            array, _, part = name.partition(".")
            fields_ = {**specs[array].fields, part: PropertySpec(type=kind)}
            specs[array] = PropertySpec(type=PropertyType.OBJECTS, fields=fields_)
        if owner != TRAITS:
            events[owner] = EventSpec(properties=specs)
    catalog = inferred.catalog.model_copy(update={"events": events, "traits": traits})
    conflicts = {key: text for key, text in inferred.conflicts.items() if key not in taken}
    return Inferred(catalog, conflicts)


def with_absent(catalog: Catalog, conditions: Iterable[Condition]) -> Catalog:
    """The catalog with the properties that measures name and it lacks (`--allow-unknown`).

    Nothing ever had them, but a place to look for them has to be there.
    """
    events = dict(catalog.events)
    for condition in conditions:
        for owners, name, kind in _used(condition, (), "", set()):
            for owner in owners or tuple(events)[:1]:
                if owner != TRAITS and _find(catalog, (owner, name)) is None:
                    known = events.get(owner, EventSpec()).properties
                    spec = PropertySpec(type=kind)
                    events[owner] = EventSpec(properties={**known, name: spec})
    return catalog if events == catalog.events else catalog.model_copy(update={"events": events})


def as_taken(record: Record, catalog: Catalog) -> Record:
    """The record without the values that are no times and no points where the catalog has such.

    A trait that is set to one of them is missing from then on. Points in parts are put together.
    """
    owner = record.type if record.kind == "event" else TRAITS
    if record.kind not in ("event", "identify"):
        return record
    values = dict(record.values)
    for name, spec in _specs_of(catalog, owner).items():
        if spec.type is PropertyType.POINT:
            _put_point(values, name, missing=record.kind == "identify")
        elif spec.type is PropertyType.TIME and values.get(name) is not None:
            if typed(spec.type, values[name]) is None:
                _drop(values, name, missing=record.kind == "identify")
        elif spec.type is PropertyType.OBJECTS and isinstance(values.get(name), tuple):
            values[name] = _elements_as_taken(values[name], spec)
    return record if values == record.values else replace(record, values=values)


def _put_point(values: dict[str, Value | None], name: str, *, missing: bool) -> None:
    parts = [part for part in part_names(name) if part in values]
    point = coordinates(values.get(name)) or spelled(name, values)
    if point is not None:
        values[name] = point
    elif name in values or parts:
        _drop(values, name, missing=missing)
        for part in () if missing else parts:
            del values[part]


def _drop(values: dict[str, Value | None], name: str, *, missing: bool) -> None:
    if missing:
        values[name] = None
    else:
        values.pop(name, None)


def _elements_as_taken(elements: Any, spec: PropertySpec) -> Any:
    times = [name for name, part in spec.fields.items() if part.type is PropertyType.TIME]
    if not times or not all(isinstance(item, Mapping) for item in elements):
        return elements
    return tuple(
        {
            name: value
            for name, value in item.items()
            if name not in times or typed(PropertyType.TIME, value) is not None
        }
        for item in elements
    )


def _used(
    node: Any, owners: tuple[str, ...], parent: str, seen: set[str]
) -> Iterator[tuple[tuple[str, ...], str, PropertyType]]:
    """(events, dotted name, type) of every property below a node; no events stand for all.

    `seen` holds the references already gone into.
    """
    match node:
        case Property(name):
            inside = parent or (f"{node.parent}." if node.parent else "")
            yield owners, inside + name, node.type
        case Selection(events, where):
            yield from _used(where, events, "", seen)
        case Measure():
            yield from _used(node.selection, (), "", seen)
            yield from _used(node.property, node.selection.events, "", seen)
        case Trait(predicate) | Held(predicate):
            yield from _used(predicate, (TRAITS,), "", seen)
        case Score():
            return  # its names are of scores, not of properties
        case Extreme(_, selection, _, where):
            yield from _used(selection, (), "", seen)
            yield from _used(where, selection.events, "", seen)
        case Affine(selection, prop):
            yield from _used(selection, (), "", seen)
            yield from _used(prop, selection.events, "", seen)
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
