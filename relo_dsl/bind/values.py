"""Names and literals inside predicates: which property, of what type, against what value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Protocol

from relo_dsl.catalog import Catalog, PropertySpec, PropertyType
from relo_dsl.diagnostics import Diagnostics, did_you_mean
from relo_dsl.source import Span
from relo_dsl.syntax import nodes
from relo_dsl.terms import Property, Value


@dataclass(frozen=True, slots=True)
class Found:
    """A resolved property with what the catalog says of it (the field's spec for elements)."""

    property: Property
    spec: PropertySpec


class Resolver(Protocol):
    """Finds the property that a path names, in the events, traits or element at hand."""

    @property
    def allow_unknown(self) -> bool:
        """Whether an unknown name is simply absent."""

    @property
    def absent(self) -> list[str]:
        """The unknown names that were taken for absent so far."""

    def property(self, path: nodes.Path) -> Found | None:
        """The property; None, with a diagnostic, where there is none."""

    def is_property(self, path: nodes.Path) -> bool:
        """Whether the path names one, without reporting."""


#: What paths with a first name of their own lead to.
_ROOTS = {"user": "a trait", "score": "a score"}


@dataclass(frozen=True)
class SpecResolver:
    """Properties by their dotted name in one or several mappings (one an event type)."""

    specs: tuple[Mapping[str, PropertySpec], ...]
    found: Diagnostics
    code: str  # unknown-property or unknown-trait
    owner: str  # "event `purchase`", for messages
    allow_unknown: bool = False
    prefix: str = ""  # "user" for traits, "score" for scores: the first name of every path
    absent: list[str] = field(default_factory=list)

    def is_property(self, path: nodes.Path) -> bool:
        return bool(self._lookup(self._dotted(path)))

    def property(self, path: nodes.Path) -> Found | None:
        name = self._dotted(path)
        matches = self._lookup(name)
        if not matches:
            if self.allow_unknown:
                self.absent.append(name)
            else:
                self._report_unknown(name, path)
            return None
        types = {match.property.type for match in matches}
        if len(types) > 1:
            shown = " and ".join(sorted(f"a {kind}" for kind in types))
            self.found.report(
                "ambiguous-name",
                path.span,
                f"`{name}` is {shown}, depending on the event",
                help="select one event type at a time",
            )
            return None
        # Where types were guessed, one event may tell more of the property than another.
        return max(matches, key=lambda match: len(match.spec.readable))

    def _dotted(self, path: nodes.Path) -> str:
        names = path.names
        if self.prefix:
            if names[0].text != self.prefix:
                return ""
            names = names[1:]
        return ".".join(name.text for name in names)

    def lookup(self, name: str) -> Found | None:
        """The property of that dotted name, nothing reported; None where there is none."""
        return next(iter(self._lookup(name)), None)

    def _lookup(self, name: str) -> list[Found]:
        return [match for specs in self.specs if (match := _in_specs(name, specs)) is not None]

    def _report_unknown(self, name: str, path: nodes.Path) -> None:
        if self.prefix and (path.names[0].text != self.prefix or len(path.names) == 1):
            self.found.report(
                self.code,
                path.span,
                f"expected {_ROOTS[self.prefix]}, found `{path.names[0].text}`",
                help=f"{_ROOTS[self.prefix].split()[-1]}s are written `{self.prefix}.NAME`",
            )
            return
        known = sorted({known for specs in self.specs for known in _dotted_names(specs)})
        help_text, best = did_you_mean(name, known, "property")
        span = Span(path.names[1 if self.prefix else 0].span.start, path.span.end)
        self.found.report(
            self.code, span, f"{self.owner} has no `{name}`", help=help_text, replacement=best
        )


def _in_specs(name: str, specs: Mapping[str, PropertySpec]) -> Found | None:
    spec = specs.get(name)
    if spec is not None:
        return Found(Property(name, spec.type), spec)
    parent, _, field = name.rpartition(".")
    while parent:
        array = specs.get(parent)
        if array is not None and array.type is PropertyType.OBJECTS and field in array.fields:
            inner = array.fields[field]
            return Found(Property(field, inner.type, parent), inner)
        parent, _, head = parent.rpartition(".")
        field = f"{head}.{field}"
    return None


def _dotted_names(specs: Mapping[str, PropertySpec]) -> list[str]:
    names = list(specs)
    for name, spec in specs.items():
        names.extend(f"{name}.{field}" for field in spec.fields)
    return names


_LITERALS: dict[PropertyType, type] = {
    PropertyType.STRING: str,
    PropertyType.NUMBER: Decimal,
    PropertyType.BOOLEAN: bool,
}
_WORDS = {str: "a string", Decimal: "a number", bool: "true or false"}


@dataclass(frozen=True)
class ValueBinder:
    """Literals, and names of numbers, as values of a given property; and what else predicates
    need of the definition and the catalog.
    """

    found: Diagnostics
    number_let: Callable[[nodes.Path], Decimal | None]
    zone: str  # of the definition, for local dates
    catalog: Catalog

    def literal(self, expr: nodes.Expr) -> Value | None:
        """The value of a literal or of a `let` number; None, reported, for anything else."""
        match expr:
            case nodes.String(text):
                return text
            case nodes.Boolean(value):
                return value
            case nodes.Number(value, percent):
                if percent:
                    self.found.report("expected-value", expr.span, "a `%` cannot stand here")
                return value
            case nodes.Path():
                number = self.number_let(expr)
                if number is None:
                    self._report_name(expr)
                return number
            case nodes.ErrorExpr():
                return None
            case _:
                self.found.report(
                    "expected-value", expr.span, "expected a string, a number, `true` or `false`"
                )
                return None

    def of(self, expr: nodes.Expr, target: Found) -> Value | None:
        """The value, checked against the property's element type and its list of values."""
        value = self.literal(expr)
        if value is None:
            return None
        wanted = _LITERALS.get(target.spec.type.element)
        name = target.property.name
        if wanted is None or not isinstance(value, wanted):
            self.found.report(
                "type-mismatch",
                expr.span,
                f"`{name}` is {_a(target.property)}, and this is {_WORDS[type(value)]}",
                help=_type_help(value, wanted),
            )
            return None
        if target.spec.enum is not None and value not in target.spec.enum:
            help_text, best = did_you_mean(str(value), target.spec.enum, "value")
            self.found.report(
                "unknown-value",
                expr.span,
                f"`{name}` is never `{value}`",
                help=help_text,
                replacement=f'"{best}"' if best else None,
            )
            return None
        return value

    def number(self, expr: nodes.Expr) -> Decimal | None:
        """A number literal or `let` number; None, reported, for anything else."""
        value = self.literal(expr)
        if value is None:
            return None
        if not isinstance(value, Decimal):
            self.found.report("expected-number", expr.span, "expected a number")
            return None
        return value

    def _report_name(self, path: nodes.Path) -> None:
        name = ".".join(part.text for part in path.names)
        self.found.report(
            "expected-value",
            path.span,
            f"`{name}` is neither a property here nor the name of a number",
            help=f'a text needs quotes: "{name}"',
            replacement=f'"{name}"',
        )


def _a(target: Property) -> str:
    if target.is_array:
        return f"an array of {target.type.element.value}s"
    return f"a {target.type.value}"


def _type_help(value: Value, wanted: type | None) -> str | None:
    if wanted is Decimal and isinstance(value, str):
        return "numbers stand without quotes"
    if wanted is str and isinstance(value, Decimal):
        return "strings stand in double quotes"
    if wanted is bool:
        return "write `true` or `false`"
    return None
