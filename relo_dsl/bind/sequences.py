"""Sequences: `a then b within 1h then no c within 24h`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relo_dsl.syntax import nodes
from relo_dsl.terms import Absence, Always, Condition, Selection, Sequence, Step, Window

if TYPE_CHECKING:
    from relo_dsl.bind.conditions import ConditionBinder

_BROKEN = Always(False)
_MAX_STEPS = 60


def sequence_of(expr: nodes.Expr) -> nodes.Sequence | None:
    """The sequence that an expression is, in parentheses or without."""
    while isinstance(expr, nodes.Paren):
        expr = expr.operand
    return expr if isinstance(expr, nodes.Sequence) else None


def bind_sequence(
    binder: ConditionBinder, expr: nodes.Sequence, outer: Window | None = None
) -> Condition:
    """The sequence; `outer` is the window behind its parentheses, which every step lies in."""
    if len(expr.steps) > _MAX_STEPS:
        binder.found.report(
            "number-out-of-range", expr.span, f"a sequence has at most {_MAX_STEPS} steps"
        )
    around = () if outer is None else (outer,)
    steps: list[Step] = []
    absence: Absence | None = None
    for index, step in enumerate(expr.steps):
        if absence is not None:
            binder.found.report(
                "step-after-no",
                step.operand.span,
                "nothing can follow `then no`: there is no event it could come after",
                help="`then no … within …` stands last",
            )
            return _BROKEN
        selection, window = _parts(binder, step.operand)
        if step.negated:
            absence = Absence(selection, _length(binder, step, window))
        elif index == 0:
            own = () if window is None else (binder.window(window),)
            steps.append(Step(selection, own + around))
        else:
            steps.append(Step(selection, around, _gap(binder, window)))
    return Sequence(tuple(steps), absence)


def _parts(binder: ConditionBinder, operand: nodes.Expr) -> tuple[Selection, nodes.Window | None]:
    """What a step selects, and the window behind it."""
    selections = binder.selections
    if isinstance(operand, nodes.Windowed) and not selections.is_selection(operand):
        return selections.bind(operand.operand), operand.window
    return selections.bind(operand), None


def _gap(binder: ConditionBinder, window: nodes.Window | None) -> int | None:
    """How long after the step before it a later step may come."""
    match window:
        case None:
            return None
        case nodes.Within(length):
            return length.millis
    binder.found.report(
        "window-not-allowed",
        window.span,
        "only `within A` can stand behind a later step: the time since the step before it",
        help="a window for all steps stands behind parentheses: `(a then b) within 7d`",
    )
    return None


def _length(binder: ConditionBinder, step: nodes.Step, window: nodes.Window | None) -> int:
    """How long after the last step nothing may come."""
    match window:
        case nodes.Within(length):
            return length.millis
        case None:
            text = binder.found.source.slice(step.operand.span)
            binder.found.report(
                "expected-window",
                step.operand.span,
                f"`then no {text}` needs the time in which nothing came",
                help=f"write `then no {text} within 24h`",
                replacement=f"{text} within 24h",
            )
            return 1
    return _gap(binder, window) or 1
