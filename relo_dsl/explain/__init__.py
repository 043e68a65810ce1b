"""Explanations: what a definition says, needs and reads, in plain sentences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from relo_dsl.bind import BoundDefinition, Refresh
from relo_dsl.catalog import CONSENT_FLAGS, Catalog
from relo_dsl.explain.english import English
from relo_dsl.explain.predicates import Speaker
from relo_dsl.explain.reading import Reads, reads
from relo_dsl.explain.sentences import Narrator, Sentence
from relo_dsl.explain.spanish import Spanish
from relo_dsl.explain.words import Words
from relo_dsl.freshness import Freshness, freshness_of
from relo_dsl.plan import Plan
from relo_dsl.workspace import Workspace

__all__ = ["LANGUAGES", "Consent", "Explanation", "Narrator", "Sentence", "explain", "narrator"]

LANGUAGES: Final[dict[str, type[Words]]] = {"en": English, "es": Spanish}


@dataclass(frozen=True, slots=True)
class Consent:
    """A consent that a definition needs, and why: destinations, or None for `require consent`.

    Without reasons it is the one that every definition needs.
    """

    name: str
    bit: int
    reasons: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """All there is to say of one definition. `words` is the language it is said in."""

    bound: BoundDefinition
    plan: Plan
    speaker: Speaker
    clauses: tuple[Sentence, ...]
    afterwards: tuple[str, ...]
    consents: tuple[Consent, ...]
    freshness: Freshness
    reads: Reads

    @property
    def words(self) -> Words:
        return self.speaker.words

    def to_json(self) -> dict[str, Any]:
        """For `relo explain --json`."""
        back = None if self.reads.back is None else self.speaker.end(self.reads.back)
        return {
            "name": self.bound.name,
            "kind": self.bound.kind,
            "client": self.bound.client,
            "label": self.bound.header.label,
            "lang": self.words.code,
            "clauses": [
                {"written": clause.text, **sentence.to_json()}
                for clause, sentence in zip(self.bound.clauses, self.clauses, strict=True)
            ],
            "afterwards": list(self.afterwards),
            "consent": {
                "mask": self.bound.header.mask,
                "flags": [
                    {"name": one.name, "bit": one.bit, "because": self._reasons(one)}
                    for one in self.consents
                ],
            },
            "freshness": self.freshness.kind,
            "refresh": self._refreshed(),
            "reads": {
                "events": None if self.reads.any_event else list(self.reads.events),
                "traits": list(self.reads.traits),
                "lists": list(self.reads.lists),
                "scores": list(self.reads.scores),
                "back": back,
            },
        }

    def lines(self) -> Iterator[tuple[str, str]]:
        """What is printed, line by line, each with its kind: `title`, `label`, `head` or ``."""
        words = self.words
        yield "title", words.heading(self.bound.name, self.bound.kind, self.bound.client)
        if self.bound.header.label:
            yield "label", self.bound.header.label
        yield "", ""
        yield "head", _capital(words.opening(single=len(self.clauses) == 1))
        for number, sentence in enumerate(self.clauses, 1):
            mark = "-" if len(self.clauses) == 1 else f"{number}."
            yield from (("", line) for line in sentence.lines("  ", mark))
        if self.afterwards:
            yield from (("", ""), ("head", f"{_capital(words.label('after'))}:"))
            yield from (("", f"  - {text}") for text in self.afterwards)
        yield from (("", ""), ("head", f"{_capital(words.label('consent'))}:"))
        for one in self.consents:
            said = words.consent(words.flag(one.name), one.bit, self._reasons(one))
            yield "", f"  - {said}"
        yield from (("", ""), ("head", f"{_capital(words.label('fresh'))}:"))
        yield from (("", line) for line in self._fresh())
        yield from (("", ""), ("head", f"{_capital(words.label('reads'))}:"))
        yield from (("", line) for line in self._read())

    def _reasons(self, consent: Consent) -> list[str]:
        if not consent.reasons:
            return [self.words.ordinary()]
        return [self.words.reason(reason) for reason in consent.reasons]

    def _fresh(self) -> Iterator[str]:
        """One line where all clauses are alike, else one for each kind."""
        words = self.words
        kinds: dict[str, list[str]] = {}
        for number, sentence in enumerate(self.clauses, 1):
            kinds.setdefault(sentence.freshness.kind, []).append(str(number))
        if self.plan.keep is not None:
            kinds.setdefault("batch", [])
        for kind, numbers in kinds.items():
            if len(kinds) == 1 or not numbers:
                yield f"  - {words.fresh(kind)}"
            else:
                which = words.listed(numbers, words.both)
                label = words.label("clause" if len(numbers) == 1 else "clauses")
                yield f"  - {label} {which}: {words.fresh(kind)}"
        if self.bound.kind == "audience":
            yield f"  - {words.label('refresh')} {self._refreshed()}"

    def _refreshed(self) -> str:
        refresh: Refresh = self.bound.header.refresh
        clock = f"{refresh.at // 60:02}:{refresh.at % 60:02}"
        detail = {
            "daily": clock,
            "weekly": f"{refresh.day or 'monday'} {clock}",
            "every": self.words.duration(refresh.every or 0),
            "cron": refresh.cron or "",
        }.get(refresh.how, "")
        return self.words.refreshed(refresh.how, detail)

    def _read(self) -> Iterator[str]:
        words, found = self.words, self.reads
        if found.has_events:
            names = [f"`{name}`" for name in found.events]
            named = words.label("every event") if found.any_event else ", ".join(names)
            end = None if found.back is None else self.speaker.end(found.back)
            back = words.label("everything") if end is None else f"{words.label('back')} {end}"
            yield f"  - {words.label('events')}: {named}; {back}"
        for kind, listed in (
            ("traits", found.traits),
            ("lists", found.lists),
            ("scores", found.scores),
        ):
            if listed:
                yield f"  - {words.label(kind)}: {', '.join(f'`{name}`' for name in listed)}"


def narrator(catalog: Catalog, zone: str, language: str = "en") -> Narrator:
    """Says terms in a language of `LANGUAGES`, fixed instants in a zone, places by the catalog."""
    return Narrator(Speaker(LANGUAGES[language](), zone, _areas(catalog), _places(catalog)))


def explain(workspace: Workspace, name: str, now: int, language: str = "en") -> Explanation:
    """Explains a definition without errors; `now`, in epoch milliseconds, tells which of its
    windows reaches farthest back. Raises KeyError for an unknown name or language.
    """
    bound, plan = workspace.bound(name), workspace.plan(name)
    says = narrator(workspace.catalog, bound.header.timezone, language)
    quantities = () if plan.keep is None else (plan.keep.by,)
    return Explanation(
        bound,
        plan,
        says.speaker,
        tuple(says.sentence(clause.condition) for clause in bound.clauses),
        tuple(says.afterwards(plan)),
        tuple(_consents(bound, workspace.catalog)),
        freshness_of(plan),
        reads((plan.condition,), quantities, now),
    )


def _consents(bound: BoundDefinition, catalog: Catalog) -> Iterator[Consent]:
    for name, bit in CONSENT_FLAGS.items():
        if not bound.header.mask & bit:
            continue
        reasons: list[str | None] = []
        for export in bound.header.exports:
            destination = catalog.destination(export)
            if destination is not None and destination.mask & bit:
                reasons.append(export)
        if not reasons and (bit != 1 or bound.header.exports):
            reasons.append(None)
        yield Consent(name, bit, tuple(reasons))


def _areas(catalog: Catalog) -> dict[Any, str]:
    return {tuple(tuple(corner) for corner in area): n for n, area in catalog.zones.items()}


def _places(catalog: Catalog) -> dict[Any, str]:
    return {tuple(place): name for name, place in catalog.places.items()}


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
