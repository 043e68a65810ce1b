"""Conditions, selections and measures: from syntax to resolved terms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property

from relo_dsl.analysis.chains import has_error
from relo_dsl.bind.affinity import bind_affinity
from relo_dsl.bind.checks import Chain, check_chains, check_condition, check_windows
from relo_dsl.bind.extremes import bind_extreme, is_extreme
from relo_dsl.bind.held import bind_held
from relo_dsl.bind.lets import Bound, Lets
from relo_dsl.bind.measures import QuantityBinder, Taken
from relo_dsl.bind.predicates import PredicateBinder
from relo_dsl.bind.regularity import bind_regularity
from relo_dsl.bind.rfm import bind_rfm
from relo_dsl.bind.selections import SelectionBinder
from relo_dsl.bind.sequences import bind_sequence, sequence_of
from relo_dsl.bind.shapes import (
    is_time_test,
    repeated_window,
    root_of,
    split_property,
    with_window,
)
from relo_dsl.bind.values import SpecResolver, ValueBinder
from relo_dsl.bind.windows import bind_window
from relo_dsl.catalog import Catalog, PropertySpec, PropertyType, Retention
from relo_dsl.diagnostics import Diagnostics, did_you_mean
from relo_dsl.plan import normalise
from relo_dsl.source import Span
from relo_dsl.syntax import nodes
from relo_dsl.syntax.writing import AT_OPERAND, write_name
from relo_dsl.terms import (
    ALL_TIME,
    Always,
    And,
    Arithmetic,
    Comparison,
    Condition,
    Constant,
    Did,
    InList,
    Measure,
    Not,
    Or,
    Reference,
    Score,
    Selection,
    Trait,
    Window,
)

#: What stands for a condition that could not be bound; its diagnostic is an error.
BROKEN = Always(False)


@dataclass(frozen=True)
class ConditionBinder:
    """Binds the expressions of one definition."""

    catalog: Catalog
    zone: str
    lets: Lets
    found: Diagnostics
    reference: Callable[[nodes.Name], Condition | None]
    known_lists: frozenset[str] | None
    allow_unknown: bool = False
    #: Every `and` and `or` that was bound, at any depth.
    chains: list[Chain] = field(default_factory=list)

    # ---- conditions ----------------------------------------------------------------------------

    def condition(self, expr: nodes.Expr) -> Condition:
        """The condition that an expression writes; BROKEN, reported, where it writes none."""
        match expr:
            case nodes.Chain(op):
                bound = tuple(condition for _, condition in self.operands(expr))
                return And(bound) if op == "and" else Or(bound)
            case nodes.Not(operand):
                return Not(self.condition(operand))
            case nodes.Paren(operand):
                return self.condition(operand)
            case nodes.No(operand):
                return self._no(operand)
            case nodes.Windowed() if not is_time_test(expr):
                return self._windowed(expr)
            case nodes.Repeat():
                return self._nothing_to_repeat(expr.span)
            case nodes.InReference():
                return self._reference(expr)
            case nodes.Path() if self.is_let(expr):
                return self._let_condition(expr)
            case nodes.Sequence():
                return bind_sequence(self, expr)
            case nodes.Regularity():
                return bind_regularity(self, expr)
            case nodes.HeldFor():
                return bind_held(self, expr)
            case nodes.Affine():
                return bind_affinity(self, expr)
            case nodes.ErrorExpr():
                return BROKEN
        if is_extreme(expr):
            return bind_extreme(self, expr)
        if self.is_measured(expr):
            return self.measured(expr, ALL_TIME)
        if self._is_of_device(expr):
            return self._of_device(expr)
        if self.selections.is_selection(expr):
            return Did(self.selections.bind(expr))
        return self._no_condition(expr)

    def operands(self, chain: nodes.Chain) -> list[tuple[nodes.Expr, Condition]]:
        """The operands of a chain, bound, each with the syntax it came from; repeats expanded."""
        bound: list[tuple[nodes.Expr, Condition]] = []
        subject: nodes.Expr | None = None
        for operand in chain.operands:
            window = repeated_window(operand)
            if window is None:
                bound.append((operand, self.condition(operand)))
                subject = self._subject(operand)
            elif subject is None:
                bound.append((operand, self._nothing_to_repeat(window.span)))
            else:
                negated = isinstance(operand, nodes.Not)
                if negated:
                    self._hint_repeat(subject, operand)
                repeated = self.condition(with_window(subject, window, operand.span))
                bound.append((operand, Not(repeated) if negated else repeated))
        spans = [(operand.span, condition) for operand, condition in bound]
        self.chains.append((chain.op, spans))
        return bound

    @staticmethod
    def joined(parts: tuple[Condition, ...]) -> Condition:
        """All parts together."""
        return parts[0] if len(parts) == 1 else And(parts)

    def _subject(self, operand: nodes.Expr) -> nodes.Expr | None:
        """What a window after this operand would repeat: it without window, `not` and `no`."""
        if (steps := sequence_of(operand)) is not None:
            return steps
        match operand:
            case nodes.Windowed(inner) if is_time_test(operand):
                return inner
            case nodes.Anniversary():
                return operand
            case nodes.Windowed(nodes.Windowed() as inner, _) if is_time_test(inner):
                return inner  # the second window, that of the events, is repeated
            case nodes.Windowed(nodes.Windowed() as inner, _) if is_extreme(inner):
                return inner  # its window tests a property
            case nodes.Not(inner) | nodes.No(inner) | nodes.Windowed(inner, _):
                return self._subject(inner)
            case nodes.Chain() | nodes.Paren() | nodes.InReference() | nodes.Repeat():
                return None
            case nodes.Path() if self.is_let(operand) and not self.selections.is_selection(operand):
                return None
        if self._is_of_device(operand):
            return None
        if is_extreme(operand):
            return operand
        if self.is_measured(operand) or self.selections.is_selection(operand):
            return operand
        return None

    def _hint_repeat(self, subject: nodes.Expr, operand: nodes.Expr) -> None:
        if isinstance(subject, nodes.Sequence) or is_extreme(subject) or self.is_measured(subject):
            return
        if isinstance(subject, nodes.Anniversary) or split_property(subject)[0] is not None:
            return  # a time, tested once more
        selection = self.selections.bind(subject)
        if selection.where is None:
            return
        text = self.found.source.slice(operand.span)
        window = text.removeprefix("not").strip()
        events = " | ".join(selection.events) or "any event"
        named = [
            write_name(nodes.Name(name, subject.span), AT_OPERAND) for name in selection.events
        ]
        all_of_them = " | ".join(named) or "any event"
        if len(named) > 1:
            events, all_of_them = f"({events})", f"({all_of_them})"
        self.found.report(
            "repeated-selection",
            operand.span,
            f"this repeats `{self.found.source.slice(subject.span)}`: "
            f"another `{events}` in that time does not count against it",
            help=f"`no {all_of_them} {window}` rules out every one",
            replacement=f"no {events} {window}",
        )

    def _nothing_to_repeat(self, span: Span) -> Condition:
        self.found.report(
            "nothing-to-repeat",
            span,
            "a window alone repeats the operand before it, and there is none it could repeat",
            help="write the events in front of the window",
        )
        return BROKEN

    def _no(self, operand: nodes.Expr) -> Condition:
        window = ALL_TIME
        inner = operand
        if isinstance(inner, nodes.Windowed) and not is_time_test(inner):
            window = self.window(inner.window)
            inner = inner.operand
        if isinstance(inner, nodes.Repeat):
            return self._nothing_to_repeat(inner.span)
        if (
            isinstance(inner, nodes.InReference | nodes.Regularity | nodes.HeldFor | nodes.Affine)
            or sequence_of(inner) is not None
            or is_extreme(inner)
            or self._is_of_device(inner)
            or self.is_measured(inner)
        ):
            self.found.report(
                "expected-selection",
                inner.span,
                "expected events behind `no`, such as `no purchase`",
                help="any other condition is negated with `not`",
            )
            return BROKEN
        return Not(Did(self.selections.bind(inner), window))

    def _windowed(self, expr: nodes.Windowed) -> Condition:
        operand = expr.operand
        if is_extreme(expr):
            return bind_extreme(self, expr)
        if (steps := sequence_of(operand)) is not None:
            return bind_sequence(self, steps, self.window(expr.window))
        if isinstance(operand, nodes.Paren):
            operand = operand.operand
        if isinstance(operand, nodes.Windowed) and not is_time_test(operand):
            return self._window_misplaced(expr.window)
        if isinstance(operand, nodes.Not | nodes.No):
            # `not` binds tighter than nothing else: only parentheses bring it under a window.
            return self._window_misplaced(expr.window)
        window = self.window(expr.window)
        if self.is_measured(operand):
            return self.measured(operand, window, expr.window)
        if self._is_of_device(operand):
            return self._window_misplaced(expr.window)
        if self.selections.is_selection(operand):
            return Did(self.selections.bind(operand), window)
        if isinstance(operand, nodes.ErrorExpr):
            return BROKEN
        if isinstance(operand, nodes.Call | nodes.Arithmetic | nodes.Negative | nodes.Number):
            return self._no_condition(operand)
        return self._window_misplaced(expr.window)

    def _window_misplaced(self, window: nodes.Window) -> Condition:
        self.found.report(
            "window-not-allowed",
            window.span,
            "this already has its own windows, or takes none",
            help="a window follows events, or a comparison of measures",
        )
        return BROKEN

    def _reference(self, expr: nodes.InReference) -> Condition:
        if expr.kind == "segment":
            condition = self.reference(expr.name)
            return BROKEN if condition is None else Reference(expr.name.text, normalise(condition))
        name = expr.name.text
        if self.known_lists is not None and name not in self.known_lists:
            help_text, best = did_you_mean(name, self.known_lists, "list")
            self.found.report(
                "unknown-list",
                expr.name.span,
                f"there is no list `{name}`",
                help=help_text,
                replacement=best,
            )
        return InList(name)

    def _no_condition(self, expr: nodes.Expr) -> Condition:
        match expr:
            case nodes.Path(names) if len(names) == 1:
                self.selections.unknown_event(names[0])
            case nodes.Path(names):
                text = self.found.source.slice(expr.span)
                self.found.report(
                    "expected-condition",
                    expr.span,
                    f"`{text}` is a value; say what about it",
                    help=f"such as `{text} exists`",
                    replacement=f"{text} exists",
                )
            case nodes.Number() | nodes.Arithmetic() | nodes.Call() | nodes.Negative():
                self.found.report(
                    "expected-condition",
                    expr.span,
                    "expected a condition, found a number",
                    help="compare it, such as `count(purchase) >= 3`",
                )
            case nodes.String() | nodes.Boolean():
                self.found.report(
                    "expected-condition", expr.span, "expected a condition, found a value"
                )
            case _:
                self.found.report(
                    "expected-condition", expr.span, "expected events, or a test of them"
                )
        return BROKEN

    def window(self, written: nodes.Window) -> Window:
        """The ends of a window, with a hint where it reaches beyond retention."""
        window = bind_window(written, self.zone, self.found)
        months = (self.catalog.retention or Retention()).months
        check_windows(window, months, written.span, self.found)
        return window

    # ---- traits --------------------------------------------------------------------------------

    @staticmethod
    def _is_of_device(expr: nodes.Expr) -> bool:
        """Whether an expression asks about traits, scores or RFM."""
        return root_of(expr) is not None

    def _of_device(self, expr: nodes.Expr) -> Condition:
        match root_of(expr):
            case "score":
                return Score(self._scores.bind(expr))
            case "rfm":
                return bind_rfm(self, expr)
            case _:
                return Trait(self.traits.bind(expr))

    @cached_property
    def _scores(self) -> PredicateBinder:
        number = PropertySpec(type=PropertyType.NUMBER)
        resolver = SpecResolver(
            (dict.fromkeys(self.catalog.scores, number),),
            self.found,
            "unknown-score",
            "the catalog",
            self.allow_unknown,
            prefix="score",
        )
        return PredicateBinder(resolver, self.values, self.found)

    @cached_property
    def traits(self) -> PredicateBinder:
        resolver = SpecResolver(
            (self.catalog.traits,),
            self.found,
            "unknown-trait",
            "the catalog",
            self.allow_unknown,
            prefix="user",
        )
        return PredicateBinder(resolver, self.values, self.found)

    @cached_property
    def selections(self) -> SelectionBinder:
        return SelectionBinder(
            self.catalog, self.lets, self.let, self.values, self.found, self.allow_unknown
        )

    @cached_property
    def values(self) -> ValueBinder:
        return ValueBinder(self.found, self._number_let, self.zone, self.catalog)

    # ---- measures ------------------------------------------------------------------------------

    def is_measured(self, expr: nodes.Expr) -> bool:
        """Whether an expression compares measures (rather than properties)."""
        match expr:
            case nodes.Compare(_, left, right):
                return self._is_quantity(left) or self._is_quantity(right)
            case nodes.OneOf(operand, _, _) | nodes.InRange(operand, _, _, _):
                return self._is_quantity(operand)
        return False

    def _is_quantity(self, expr: nodes.Expr) -> bool:
        match expr:
            case nodes.Call(function):
                return function.text not in ("first", "last")
            case nodes.Arithmetic() | nodes.Negative():
                return True
            case nodes.Paren(operand) | nodes.Windowed(operand, _):
                return self._is_quantity(operand)
            case nodes.Path() if self.is_let(expr):
                return isinstance(self.let(expr), Measure | Arithmetic)
        return False

    def measured(
        self,
        expr: nodes.Expr,
        window: Window,
        written: nodes.Window | None = None,
        *,
        alone: bool = True,
    ) -> Condition:
        """A comparison of measures; not `alone` where only a comparison can stand."""
        taken, before = Taken(), len(self.found.items)
        binder = QuantityBinder(self, window, taken)
        match expr:
            case nodes.Compare(op, left, right):
                result: Condition = Comparison(binder.quantity(left), op, binder.quantity(right))
            case nodes.OneOf(operand, values, negated):
                result = binder.one_of(operand, values, negated)
            case nodes.InRange(operand, low, high, negated):
                result = binder.in_range(operand, low, high, negated)
            case _:
                return self._no_condition(expr)
        if written is not None and not taken.window and not self.is_wrong(expr.span):
            return self._window_misplaced(written)
        if len(self.found.items) == before:  # else it may hold a zero that nobody wrote
            check_condition(result, expr.span, self.found)
        if alone:
            self._hint_count(expr)
        return result

    def _hint_count(self, expr: nodes.Expr) -> None:
        match expr:
            case nodes.Compare(
                ">=" | ">" as op, nodes.Call(nodes.Name("count"), argument), nodes.Number(value)
            ) if value == (1 if op == ">=" else 0):
                text = self.found.source.slice(argument.span)
                self.found.report(
                    "count-at-least-one",
                    expr.span,
                    f"`{text}` alone says the same",
                    help=f"write `{text}`",
                    replacement=text,
                )

    # ---- lets ----------------------------------------------------------------------------------

    def is_let(self, path: nodes.Path) -> bool:
        return len(path.names) == 1 and path.names[0].text in self.lets

    def let(self, path: nodes.Path) -> Bound | None:
        """What a let is, bound at its first use; None where it cannot be bound."""
        name = path.names[0].text
        if self.lets.known(name):
            return self.lets.value(name)
        if not self.lets.enter(name, path):
            return None
        value = self._bind_let(self.lets.node(name).value)
        self.lets.leave(name, value)
        return value

    def _bind_let(self, expr: nodes.Expr) -> Bound | None:
        match expr:
            case nodes.Path() if self.is_let(expr):
                return self.let(expr)
            case nodes.Number() | nodes.Call() | nodes.Arithmetic() | nodes.Negative():
                return QuantityBinder(self, ALL_TIME, Taken()).quantity(expr)
            case nodes.Paren(operand):
                return self._bind_let(operand)
            case nodes.ErrorExpr():
                return None
        if not (
            self.is_measured(expr) or self._is_of_device(expr)
        ) and self.selections.is_selection(expr):
            return self.selections.bind(expr)
        return self.condition(expr)

    def _let_condition(self, path: nodes.Path) -> Condition:
        name = path.names[0]
        if name.text in self.catalog.events:
            self.selections.ambiguous(name)
        match self.let(path):
            case None:
                return BROKEN
            case Selection() as selection:
                return Did(selection)
            case Constant() | Measure() | Arithmetic():
                self.found.report(
                    "expected-condition",
                    path.span,
                    f"expected a condition, and `{name.text}` is a number",
                )
                return BROKEN
            case condition:
                return condition

    def _number_let(self, path: nodes.Path) -> Decimal | None:
        if not self.is_let(path):
            return None
        value = self.let(path)
        return value.value if isinstance(value, Constant) else None

    def is_wrong(self, span: Span) -> bool:
        """Whether there is an error in what stands there, or in a let that the definition uses: it
        means nothing certain.
        """
        lets = (self.lets.node(name).span for name in self.lets.reached)
        return any(has_error(self.found, where) for where in (span, *lets))

    def check_lets(self) -> None:
        """Binds every let of the definition, so that mistakes in unused ones show too."""
        for name in self.lets.names():
            if not self.lets.known(name):
                self.let(nodes.Path((self.lets.node(name).name,)))

    def check_chains(
        self, chains: list[Chain], written: nodes.Expr | None, whole: Condition
    ) -> None:
        """Reports what the operands of these chains say of one another."""
        span = written.span if written is not None else Span(0, 0)
        lets = [self.lets.node(name).span for name in self.lets.reached]
        check_chains(chains, (span, whole), lets, self.found)
