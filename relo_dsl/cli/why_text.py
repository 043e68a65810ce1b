"""How `relo why` is printed."""

from __future__ import annotations

from collections.abc import Iterator

import click

from relo_dsl.explain.evidence import shown
from relo_dsl.explain.why import Answer, Clause, Share, Standing, flag_names
from relo_dsl.interpret import Event
from relo_dsl.numbers import plain
from relo_dsl.times import UNITS, format_duration, format_instant

_REASONS = {
    "universe": "it has no event and no `identify` that the definition may see",
    "consent": "it has not given the consent that is needed",
    "condition": "the condition does not hold",
    "ranking": "it has no place in the ranking",
    "sample": "it is not in the sample",
    "holdout": "it is in the holdout",
}
_MARKS = {True: ("yes", "green"), False: ("no ", "red")}
#: What is said of other devices, as far as the next change does not follow them.
_APART = {
    "ranking": "; its place in the ranking apart, which depends on others",
    "affinity": "; if what goes with the product stays as it is, which depends on others",
}
_PROPERTIES = 5


def print_answer(answer: Answer) -> None:
    """Prints an answer; colours are left out where stdout is no terminal."""
    for line in _lines(answer):
        click.echo(line)


def _lines(answer: Answer) -> Iterator[str]:
    name = click.style(answer.name, bold=True)
    moment = format_instant(answer.at)
    if answer.is_member:
        word = click.style("a member", fg="green")
        yield f"{answer.device} is {word} of {name} at {moment}"
    else:
        word = click.style("not a member", fg="red")
        yield f"{answer.device} is {word} of {name} at {moment}: {_REASONS[answer.verdict]}"
    yield ""
    yield f"{_mark(answer.visible > 0)} exists: {_visible(answer)}"
    yield f"{_mark(answer.consent.given)} consents: {_consent(answer)}"
    for clause in answer.clauses:
        yield from _clause(clause, answer, 0)
    if answer.ranking is not None:
        yield f"{_mark(answer.ranking.is_kept)} ranked: {_standing(answer.ranking)}"
        yield f"      {answer.ranking.by}: {answer.ranking.value or 'missing'}"
    if answer.share is not None:
        yield from _share(answer.share)
    yield ""
    yield _next(answer)


def _standing(ranking: Standing) -> str:
    if ranking.place is None:
        return "it has no value to be ranked by"
    return f"place {ranking.place:,} of {ranking.of:,}; the first {ranking.kept:,} are kept"


def _share(share: Share) -> Iterator[str]:
    if share.sample is not None:
        word = "in the sample" if share.sample else "not in the sample"
        yield f"{_mark(share.sample)} {word}: it drew {plain(share.drawn)}"
    if share.holdout is not None:
        word = "in the holdout" if share.holdout else "not in the holdout"
        yield f"{_mark(not share.holdout)} {word}: it drew {plain(share.drawn)}"


def _mark(value: bool) -> str:
    word, colour = _MARKS[value]
    return click.style(word, fg=colour)


def _visible(answer: Answer) -> str:
    count = answer.visible
    said = f"{count:,} record{'' if count == 1 else 's'} that the definition may see"
    return f"{said}, {answer.hidden:,} that it may not" if answer.hidden else said


def _consent(answer: Answer) -> str:
    consent = answer.consent
    needed = " and ".join(f"{name}" for name in flag_names(consent.needed))
    since = (
        "the client's default"
        if consent.since is None
        else f"since {format_instant(consent.since)}"
    )
    said = f"needs {needed} ({consent.needed}), has {consent.flags}, {since}"
    if consent.given:
        return said
    return f"{said}; lacks {' and '.join(flag_names(consent.lacking))}"


def _clause(clause: Clause, answer: Answer, depth: int) -> Iterator[str]:
    indent = "  " * depth
    yield f"{indent}{_mark(clause.holds)} {clause.text}"
    for part in clause.parts:
        yield from _clause(part, answer, depth + 1)
    found, inner = clause.evidence, f"{indent}      "
    for name, value in found.values:
        yield f"{inner}{name}: {value}"
    if found.note:
        yield f"{inner}{found.note}"
    if found.total > len(found.events):
        yield f"{inner}{found.total:,} in all, the last ones:"
    for event in found.events:
        yield inner + click.style(_event(event, answer), dim=True)


def _event(event: Event, answer: Answer) -> str:
    parts = [format_instant(event.time), f"{_roughly(answer.at - event.time)} ago"]
    parts.append(event.type)
    known = answer.ids.get((event.time, event.tie))
    if known is not None:
        parts.append(known if len(known) <= 12 else f"{known[:11]}…")
    values = [f"{name}={shown(value)}" for name, value in event.values.items()]
    parts += values[:_PROPERTIES]
    if len(values) > _PROPERTIES:
        parts.append("…")
    return "  ".join(parts)


def _next(answer: Answer) -> str:
    apart = "".join(_APART[what] for what in answer.taken)
    if answer.next_flip is None:
        return f"time alone never changes this{apart}"
    change = "meets all this" if not answer.holds_now else "no longer meets all this"
    moment = format_instant(answer.next_flip)
    left = _roughly(answer.next_flip - answer.at)
    return f"next change by time alone: in {left}, at {moment}: it {change}{apart}"


def _roughly(millis: int) -> str:
    """A duration, what is small beside it cut off: `106d2h`, `3h20min`."""
    for size, kept in (("d", "h"), ("h", "min"), ("min", "s")):
        if millis >= UNITS[size]:
            return format_duration(millis - millis % UNITS[kept])
    return format_duration(millis)
