"""What the catalog and the definitions say of a name."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from textwrap import dedent

from relo_dsl.bind.headers import REFRESH_BY_TYPE
from relo_dsl.bind.shapes import is_any_event, split_property
from relo_dsl.catalog import CONSENT_FLAGS, PropertySpec
from relo_dsl.hover.words import Language, described, flag_text, flags, quoted, word
from relo_dsl.source import SourceFile
from relo_dsl.syntax import nodes
from relo_dsl.workspace import Workspace

#: The properties that a name may stand for: under each name its owners and what they say of it.
Fields = dict[str, list[tuple[str, PropertySpec]]]
#: More lines of a condition than these are cut off.
_MOST_LINES = 12


@dataclass(frozen=True)
class Names:
    """Describes names as they are meant at one place of a file; None for what nobody knows."""

    workspace: Workspace
    source: SourceFile
    stack: list[object]
    language: Language

    # ---- catalog -------------------------------------------------------------------------------

    def event(self, name: str) -> str | None:
        spec = self.workspace.catalog.events.get(name)
        if spec is None:
            return None
        listed = f"{self._word('properties')}: {quoted(spec.properties)}"
        about = described(spec.description, self.language)
        return self._card(name, self._word("event"), about, listed if spec.properties else None)

    def trait(self, name: str) -> str | None:
        spec = self.workspace.catalog.traits.get(name)
        return None if spec is None else self._of_type(name, self._word("trait"), spec)

    def uploaded(self, name: str) -> str | None:
        catalog = self.workspace.catalog
        if name not in catalog.lists and name not in (self.workspace.lists or ()):
            return None
        spec = catalog.lists.get(name)
        about = described(spec.description, self.language) if spec else None
        return self._card(name, self._word("list"), about)

    def place(self, name: str) -> str | None:
        point = self.workspace.catalog.places.get(name)
        if point is None:
            return None
        where = self._word("latitude").format(*(f"{part.normalize():f}" for part in point))
        return self._card(name, self._word("place"), where)

    def zone(self, name: str) -> str | None:
        corners = self.workspace.catalog.zones.get(name)
        if corners is None:
            return None
        return self._card(name, self._word("zone"), self._word("corners").format(len(corners)))

    def destination(self, name: str) -> str | None:
        spec = self.workspace.catalog.destination(name)
        if spec is None:
            return None
        needs = f"{self._word('needs')}: {flags(spec.mask)}."
        least = self._word("minimum").format(spec.minimum) + "." if spec.minimum else None
        about = described(spec.description, self.language)
        return self._card(name, self._word("destination"), about, needs, least)

    def score(self, name: str) -> str | None:
        spec = self.workspace.catalog.scores.get(name)
        if spec is None:
            return None
        return self._card(name, self._word("score"), described(spec.description, self.language))

    def pattern(self, name: str) -> str | None:
        """An RFM pattern: the scores that fit it."""
        fits = self.workspace.catalog.rfm.pattern(name)
        if fits is None:
            return None
        grades = (("recency", fits.recency), ("frequency", fits.frequency))
        shown = [
            f"`rfm.{part} = {low}`" if low == high else f"`rfm.{part} in {low}..{high}`"
            for part, (low, high) in (*grades, ("monetary", fits.monetary))
        ]
        return self._card(name, self._word("pattern"), ", ".join(shown))

    def flag(self, name: str) -> str | None:
        if name not in CONSENT_FLAGS:
            return None
        kind = f"{self._word('consent flag')} ({CONSENT_FLAGS[name]})"
        return self._card(name, kind, flag_text(name, self.language))

    def audience_type(self, name: str) -> str | None:
        if name not in REFRESH_BY_TYPE:
            return None
        how = self._word("refreshed").format(self._word(REFRESH_BY_TYPE[name])) + "."
        return self._card(name, self._word("type"), how)

    # ---- definitions ---------------------------------------------------------------------------

    def definition(self, name: str) -> str | None:
        """A segment or audience: what it is for, the consent it needs, and its condition."""
        if name not in self.workspace:
            return None
        node = self.workspace.syntax(name)
        said = {header.keyword: header.value for header in node.headers}
        texts = [
            v.value for k in ("label", "description") if isinstance(v := said.get(k), nodes.String)
        ]
        bound = self.workspace.bound(name)
        needs = f"{self._word('needs')}: {flags(bound.header.mask)}."
        source = self.workspace.source(name)
        shown = None if node.condition is None else _code(source, node.condition)
        needed = needs if node.kind == "audience" else None
        return self._card(name, self._word(node.kind), *texts, needed, shown)

    def let(self, name: str) -> str | None:
        found = self._let(name)
        return (
            None
            if found is None
            else self._card(name, self._word("let"), _code(self.source, found.value))
        )

    def _let(self, name: str) -> nodes.Let | None:
        """As the binder: the definition's own `let`s, then the file's, then those of the others."""
        file = self.stack[0]
        assert isinstance(file, nodes.File)
        around = [node for node in self.stack if isinstance(node, nodes.Definition)]
        every = [
            *(let for node in around for let in node.lets),
            *(item for item in file.items if isinstance(item, nodes.Let)),
            *(
                let
                for item in file.items
                if isinstance(item, nodes.Definition)
                for let in item.lets
            ),
        ]
        return next((let for let in every if let.name.text == name), None)

    # ---- paths ---------------------------------------------------------------------------------

    def inside(self) -> Fields | None:
        """What can be named where the cursor is, if that is inside brackets."""
        known: Fields | None = None
        for outer, inner in pairwise(self.stack):
            if not isinstance(outer, nodes.Selection) or inner is not outer.where:
                continue
            base = outer.base
            if isinstance(base, nodes.AnyOf) and not is_any_event(base.path):
                base = base.path
                if known is not None:
                    known = _fields_of(known, _texts(base.names))
                    continue
            root, names = split_property(base)
            known = self._properties(self.events_of(base if root is None else root))
            if names:
                known = _fields_of(known, _texts(names))
        return known

    def property(self, known: Fields, names: tuple[str, ...]) -> str | None:
        """A property by its dotted name; `products.id` is a field of the elements of `products`."""
        for size in range(len(names), 0, -1):
            found = known.get(".".join(names[:size]))
            if found and size < len(names):
                deeper = _fields_of(known, names[:size])
                return self.property(deeper, names[size:])
            if found:
                return self._property(".".join(names), found)
        return None

    def property_of(self, expr: nodes.Expr, names: tuple[str, ...]) -> str | None:
        """A property of the events that an expression selects."""
        return self.property(self._properties(self.events_of(expr)), names)

    def property_of_event(self, event: str, names: tuple[str, ...]) -> str | None:
        return self.property(self._properties((event,)), names)

    def fields_of_event(self, event: str, name: str) -> Fields:
        """The fields of an array of objects of an event."""
        return _fields_of(self._properties((event,)), (name,))

    def events_of(self, expr: object, seen: frozenset[str] = frozenset()) -> tuple[str, ...]:
        """The events that an expression is about; none where that cannot be told."""
        match expr:
            case nodes.Path(names):
                name = names[0].text
                let = None if name in seen else self._let(name)
                if let is not None:
                    return self.events_of(let.value, seen | {name})
                return (name,) if name in self.workspace.catalog.events else ()
            case nodes.Alternatives(paths):
                return tuple(event for path in paths for event in self.events_of(path, seen))
            case nodes.AnyOf():
                return tuple(self.workspace.catalog.events)
            case nodes.Selection(base):
                return self.events_of(base, seen)
            case nodes.Call(_, argument):
                return self.events_of(argument, seen)
            case nodes.Compare(_, left):
                return self.events_of(left, seen)
        operand = getattr(expr, "operand", None)
        return () if operand is None else self.events_of(operand, seen)

    def _properties(self, events: tuple[str, ...]) -> Fields:
        known: Fields = {}
        for event in events:
            spec = self.workspace.catalog.events.get(event)
            for name, prop in spec.properties.items() if spec else ():
                known.setdefault(name, []).append((event, prop))
        return known

    def _property(self, name: str, found: list[tuple[str, PropertySpec]]) -> str:
        """One card for all the events that say the same of it."""
        cards: dict[str, list[str]] = {}
        for owner, spec in found:
            kind = self._word("property of") if owner else self._word("field")
            cards.setdefault(self._of_type(name, kind, spec), []).append(owner)
        return "\n\n".join(card.replace("{}", quoted(owners), 1) for card, owners in cards.items())

    # ---- cards ---------------------------------------------------------------------------------

    def _of_type(self, name: str, kind: str, spec: PropertySpec) -> str:
        unit = f", {self._word('in unit').format(spec.unit)}" if spec.unit else ""
        values = f"{self._word('one of')}: {quoted(spec.enum)}." if spec.enum else None
        parts = [
            f"`{field}` ({self._word(each.type.value)})" for field, each in spec.fields.items()
        ]
        inner = f"{self._word('fields')}: {', '.join(parts)}." if parts else None
        kind = f"{kind}: {self._word(spec.type.value)}{unit}"
        return self._card(name, kind, described(spec.description, self.language), values, inner)

    def _card(self, name: str, kind: str, *parts: str | None) -> str:
        return "\n\n".join((f"**`{name}`** — {kind}", *(part for part in parts if part)))

    def _word(self, name: str) -> str:
        return word(name, self.language)


def _fields_of(known: Fields, names: tuple[str, ...]) -> Fields:
    """The fields of the elements of an array of objects."""
    inner: Fields = {}
    for _, spec in known.get(".".join(names), ()):
        for name, field in spec.fields.items():
            if all(field != other for _, other in inner.get(name, ())):
                inner.setdefault(name, []).append(("", field))
    return inner


def _texts(names: tuple[nodes.Name, ...]) -> tuple[str, ...]:
    return tuple(name.text for name in names)


def _code(source: SourceFile, expr: nodes.Expr) -> str:
    """An expression as it is written, in a block; of a very long one the beginning."""
    first, _, rest = source.slice(expr.span).partition("\n")
    lines = [first, *dedent(rest).splitlines()]
    if len(lines) > _MOST_LINES:
        lines[_MOST_LINES:] = ["…"]
    return "```seg\n" + "\n".join(lines) + "\n```"
