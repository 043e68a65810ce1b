"""Selections: which events, passing which predicate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from relo_dsl.bind.lets import Bound, Lets
from relo_dsl.bind.predicates import PredicateBinder
from relo_dsl.bind.shapes import Test, is_any_event, rooted
from relo_dsl.bind.values import SpecResolver, ValueBinder
from relo_dsl.catalog import Catalog
from relo_dsl.diagnostics import Diagnostics, did_you_mean
from relo_dsl.syntax import nodes
from relo_dsl.terms import And, Predicate, Selection

#: What stands for a selection that could not be bound; its diagnostic is an error.
BROKEN = Selection(("",))


@dataclass(frozen=True)
class SelectionBinder:
    """Binds selections; `let` tells what a `let` name is."""

    catalog: Catalog
    lets: Lets
    let: Callable[[nodes.Path], Bound | None]
    values: ValueBinder
    found: Diagnostics
    allow_unknown: bool

    def bind(self, expr: nodes.Expr) -> Selection:
        """The events that an expression selects; what is wrong is reported."""
        match expr:
            case nodes.Paren(operand):
                return self.bind(operand)
            case nodes.Path(names) if len(names) == 1:
                return self._named(names[0], expr)
            case nodes.Alternatives(paths, ()):
                return self._alternatives(paths)
            case nodes.AnyOf(path) if is_any_event(path):
                return Selection(())
            case nodes.Selection(base, where, ()):
                outer = self.bind(base)
                return _narrowed(outer, self.properties(outer).bind(where))
        if isinstance(expr, Test):
            return self._shorthand(expr)
        if not isinstance(expr, nodes.ErrorExpr):
            self.found.report(
                "expected-selection",
                expr.span,
                "expected events, such as `purchase` or `purchase[revenue > 100]`",
            )
        return BROKEN

    def _alternatives(self, paths: tuple[nodes.Path, ...]) -> Selection:
        parts = [self.bind(path) for path in paths]
        if any(part.where is not None or not part.events for part in parts):
            narrowed = next(
                p
                for p, part in zip(paths, parts, strict=True)
                if part != Selection(part.events) or not part.events
            )
            self.found.report(
                "expected-selection",
                narrowed.span,
                "expected the plain name of an event between `|`",
                help="put what they have in common in brackets behind the parenthesis",
            )
        return Selection(tuple(sorted({event for part in parts for event in part.events})))

    def _named(self, name: nodes.Name, path: nodes.Path) -> Selection:
        if name.text in self.lets:
            if name.text in self.catalog.events:
                self.ambiguous(name)
            value = self.let(path)
            if isinstance(value, Selection):
                return value
            if value is not None:
                self.found.report(
                    "expected-selection", path.span, f"`{name.text}` does not name events"
                )
            return BROKEN
        if name.text not in self.catalog.events and not self.allow_unknown:
            self.unknown_event(name)
        return Selection((name.text,))

    def unknown_event(self, name: nodes.Name) -> None:
        known = [*self.catalog.events, *self.lets.names()]
        help_text, best = did_you_mean(name.text, known, "event")
        self.found.report(
            "unknown-event",
            name.span,
            f"there is no event `{name.text}`",
            help=help_text,
            replacement=best,
        )

    def ambiguous(self, name: nodes.Name) -> None:
        self.found.report(
            "ambiguous-name",
            name.span,
            f"`{name.text}` is an event and the name of a `let`",
            help="give the `let` another name",
        )

    def is_selection(self, expr: nodes.Expr) -> bool:
        """Whether an expression has the shape of a selection, known names or not."""
        match expr:
            case nodes.Paren(operand):
                return self.is_selection(operand)
            case nodes.Path(names) if len(names) == 1:
                name = names[0].text
                if name in self.lets:
                    return isinstance(self.let(expr), Selection)
                return True  # an unknown event is reported where it is bound
            case nodes.Alternatives() | nodes.Selection():
                return not expr.rest
            case nodes.AnyOf(path):
                return is_any_event(path)
        return isinstance(expr, Test) and rooted(expr) is not None

    def _shorthand(self, expr: Test) -> Selection:
        """`purchase.revenue > 15000` is `purchase[revenue > 15000]`."""
        split = rooted(expr)
        if split is None:
            self.found.report("expected-selection", expr.span, "expected a test of an event")
            return BROKEN
        base, predicate = split
        outer = self.bind(base)
        if outer == BROKEN:
            return outer
        return _narrowed(outer, self.properties(outer).bind(predicate))

    def properties(self, selection: Selection) -> PredicateBinder:
        events = self.catalog.events
        names = selection.events or tuple(events)
        specs = tuple(events[name].properties for name in names if name in events)
        owner = f"event `{names[0]}`" if len(selection.events) == 1 else "none of these events"
        if owner.startswith("none"):
            owner = "an event here"
        resolver = SpecResolver(
            specs, self.found, "unknown-property", owner, self.allow_unknown or not specs
        )
        return PredicateBinder(resolver, self.values, self.found)


def _narrowed(selection: Selection, where: Predicate) -> Selection:
    if selection.where is not None:
        where = And((selection.where, where))
    return Selection(selection.events, where)
