"""From a place in a text to what is said of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from relo_dsl.hover import english, spanish
from relo_dsl.hover.locate import nodes_at, token_at
from relo_dsl.hover.names import Names
from relo_dsl.hover.topics import TOPICS, topic_of
from relo_dsl.hover.windows import covered, instant, step_of_window, window_in
from relo_dsl.hover.words import Language, in_plain_words, word
from relo_dsl.numbers import plain
from relo_dsl.source import SourceFile, Span
from relo_dsl.syntax import nodes, parse_tokens
from relo_dsl.syntax.tokens import Token
from relo_dsl.workspace import Workspace

_TEXTS = {"en": english.TEXTS, "es": spanish.TEXTS}
#: Literals, of which by themselves nothing is said.
_LITERALS = frozenset({"NUMBER", "PERCENT", "TIME"})
#: Records of tests that are no events.
_RECORDS = {"identify": "identify", "consent": "consent", "score": "score_record"}


@dataclass(frozen=True, slots=True)
class Hover:
    """An explanation in Markdown, and the stretch of text that it is about."""

    markdown: str
    span: Span


def hover(
    workspace: Workspace, source: SourceFile, offset: int, now: int, language: Language = "en"
) -> Hover | None:
    """What stands at `offset` (in code points) of a text; None where there is nothing to say.

    `workspace` holds the catalog and the definitions that names are looked up in, the text's own
    among them. Windows are worked out for T = `now`, in epoch milliseconds. Never raises for what
    the text says.
    """
    parsed, tokens = parse_tokens(source)
    token = token_at(tokens, offset)
    if token is None:
        return None
    stack = nodes_at(parsed.file, token.span.start)
    return _Reader(workspace, source, token, stack, now, language).read()


@dataclass(frozen=True)
class _Reader:
    """One place: its token, and the nodes around it from the file inwards."""

    workspace: Workspace
    source: SourceFile
    token: Token
    stack: list[object]
    now: int
    language: Language

    def read(self) -> Hover | None:
        kind = self.token.kind
        if kind in ("NAME", "QUOTED"):
            return self._made(self._name())
        if kind == "STRING":
            return self._made(self._string())
        if kind == "QUANTITY":
            return self._quantity()
        if kind == "PERIOD" or (kind == "NUMBER" and self.token.rule == "in_year"):
            return self._window("in_period")
        if kind == "DATE":
            return self._date()
        return None if kind in _LITERALS else self._keyword()

    # ---- keywords and windows ------------------------------------------------------------------

    def _keyword(self) -> Hover | None:
        words = " ".join(re.sub(r"#[^\n]*", " ", self.token.text).split())
        topic = topic_of(self.token.rule, words)
        if topic == "any_event" and isinstance(node := self._inner(nodes.AnyOf), nodes.AnyOf):
            topic = "any_event" if node.path.names[0].text == "event" else "any_element"
        if topic is None:
            return None
        if window_in(self.stack) is not None and self.token.rule != "near":
            return self._window(topic)
        return self._made(self._topic(topic))

    def _window(self, topic: str) -> Hover | None:
        """A window is explained as a whole; that of a step, by what it does to the step."""
        window = window_in(self.stack)
        step = step_of_window(self.stack)
        if step is not None:
            topic = "then no" if step.negated else "then"
        span = self.token.span if window is None else window.span
        repeated = _TEXTS[self.language]["repeat"] if self._inner(nodes.Repeat) else None
        about = "\n\n".join(part for part in (repeated, self._covered()) if part)
        return self._made(self._topic(topic, about), span)

    def _covered(self) -> str | None:
        return covered(
            self.stack,
            of_property=self._names.inside() is not None,
            source=self.source,
            now=self.now,
            zone=self._zone,
            language=self.language,
        )

    def _quantity(self) -> Hover | None:
        node = self._inner(nodes.Duration, nodes.NearPoint)
        if isinstance(node, nodes.NearPoint) and self.token.rule == "near":
            metres = word("metres", self.language).format(plain(node.metres))
            return self._made(f"**`{self.token.text}`** — {metres}")
        if not isinstance(node, nodes.Duration) or not node.millis:
            return None
        length = in_plain_words(node.millis, self.language)
        parts = [f"**`{self.token.text}`** — {length}", self._covered()]
        return self._made("\n\n".join(part for part in parts if part))

    def _date(self) -> Hover | None:
        if window_in(self.stack) is not None:
            topic = topic_of(self.token.rule, self.token.text)
            return None if topic is None else self._window(topic)
        text = instant(self.token.text, self._zone, self.language)
        return self._made(text and f"**`{self.token.text}`**\n\n{text}")

    # ---- names ---------------------------------------------------------------------------------

    def _string(self) -> str | None:
        node = self._inner(nodes.String)
        owner = self.stack[-2] if node is self.stack[-1] else None
        if not isinstance(node, nodes.String):
            return None
        if isinstance(owner, nodes.NearPoint) and owner.centre is node:
            return self._names.place(node.value)
        if isinstance(owner, nodes.InZone) and owner.zone is node:
            return self._names.zone(node.value)
        return None

    def _name(self) -> str | None:
        """A name by the smallest node around it that knows what it names."""
        name = self.stack[-1]
        if not isinstance(name, nodes.Name):
            return self._given_up()
        text, names = name.text, self._names
        match self.stack[-2]:
            case nodes.Definition():
                return names.definition(text)
            case nodes.Let():
                return names.let(text)
            case nodes.Header(keyword):
                return self._in_header(keyword, text)
            case nodes.InReference("segment"):
                return names.definition(text)
            case nodes.InReference("list") | nodes.GivenList():
                return names.uploaded(text) if self.token.rule != "names" else None
            case nodes.IsNamed():
                return names.pattern(text)
            case nodes.Call(function, argument, rest):
                if name is function:
                    return self._topic(text) if text in TOPICS else None
                return names.property_of(argument, _up_to(rest, name))
            case nodes.Selection(base, _, rest):
                return names.property_of(base, _up_to(rest, name))
            case nodes.Alternatives(_, rest) as all_of:
                return names.property_of(all_of, _up_to(rest, name))
            case nodes.Path(path):
                return self._in_path(_up_to(path, name), tuple(each.text for each in path))
            case nodes.TestRecord() | nodes.TestObject():
                return self._in_record(name)
        return None

    def _given_up(self) -> str | None:
        """A name in a part that could not be read: by the words before it."""
        before = self.source.text[: self.token.span.start]
        text, names = self.token.text.strip("`"), self._names
        if found := re.search(r"([\w.`]+)\.$", before):
            path = (*found[1].replace("`", "").split("."), text)
            if path[0] in ("user", "score", "rfm"):
                return self._of_device(path[0], path[1:])
            return names.property_of(nodes.Path((nodes.Name(path[0]),)), path[1:])
        if found := re.search(r"\bin\s+(segment|list)\s+$", before):
            return names.definition(text) if found[1] == "segment" else names.uploaded(text)
        return names.let(text) or names.event(text)

    def _in_header(self, keyword: str, text: str) -> str | None:
        match keyword:
            case "type":
                return self._names.audience_type(text)
            case "export":
                return self._names.destination(text)
            case "require consent":
                return self._names.flag(text)
        return None

    def _in_path(self, path: tuple[str, ...], whole: tuple[str, ...]) -> str | None:
        names = self._names
        known = names.inside()
        if known is not None:
            return names.property(known, path) or names.property(known, whole)
        head, rest = path[0], path[1:]
        if not rest and (found := names.let(head) or names.event(head)):
            return found
        if isinstance(self.stack[-3], nodes.AnyOf) and head == "event":
            return names.property_of(self.stack[-3], rest) if rest else self._topic("any_event")
        if len(whole) > 1 and head in ("user", "score", "rfm"):
            return self._of_device(head, rest)
        if not rest:
            return None
        event = nodes.Path((nodes.Name(head),))
        return names.property_of(event, rest) or names.property_of(event, whole[1:])

    def _of_device(self, head: str, rest: tuple[str, ...]) -> str | None:
        """What follows `user.`, `score.` or `rfm.`."""
        if not rest:
            return self._topic(head)
        if head == "user":
            return self._names.trait(".".join(rest))
        if head == "score" and (found := self._names.score(".".join(rest))):
            return found
        topic = "score" if head == "score" else rest[0]
        return self._topic(topic) if topic in TOPICS else None

    def _in_record(self, name: nodes.Name) -> str | None:
        """The name of a test's record, or of a value in it."""
        record = next(node for node in self.stack if isinstance(node, nodes.TestRecord))
        what, names = record.name.text, self._names
        if name is record.name:
            return self._topic(_RECORDS[what]) if what in _RECORDS else names.event(what)
        if what == "identify":
            return names.trait(name.text)
        if what == "score":
            return names.score(name.text)
        if what in _RECORDS:
            return None
        for field, value in record.fields:
            if field is name:
                return names.property_of_event(what, tuple(name.text.split(".")))
            if field is not None and _holds(value, self.stack):
                return names.property(names.fields_of_event(what, field.text), (name.text,))
        return None

    # ---- what all need -------------------------------------------------------------------------

    @property
    def _names(self) -> Names:
        return Names(self.workspace, self.source, self.stack, self.language)

    @property
    def _zone(self) -> str:
        """The time zone of the definition around the cursor, if it names one that exists."""
        for node in self.stack:
            for header in node.headers if isinstance(node, nodes.Definition) else ():
                if header.keyword == "timezone" and isinstance(header.value, nodes.String):
                    try:
                        return ZoneInfo(header.value.value).key
                    except (ValueError, OSError, KeyError):
                        pass
        return self.workspace.timezone

    def _inner(self, *kinds: type) -> object | None:
        return next((node for node in reversed(self.stack) if isinstance(node, kinds)), None)

    def _topic(self, name: str, about: str | None = None) -> str:
        """A construct's form, meaning, example and page; `about` is what it is right here."""
        topic = TOPICS[name]
        parts = [
            f"**`{topic.form}`**",
            _TEXTS[self.language][name],
            about,
            f"{word('example', self.language)}: `{topic.example}`",
            f"{word('more', self.language)} docs/language/{topic.page}",
        ]
        return "\n\n".join(part for part in parts if part)

    def _made(self, markdown: str | None, span: Span | None = None) -> Hover | None:
        return None if markdown is None else Hover(markdown, span or self.token.span)


def _up_to(names: tuple[nodes.Name, ...], name: nodes.Name) -> tuple[str, ...]:
    """The texts of some names up to the one under the cursor."""
    place = next(i for i, each in enumerate(names) if each is name)
    return tuple(each.text for each in names[: place + 1])


def _holds(value: object, stack: list[object]) -> bool:
    """Whether a value of a record contains the cursor, inside an array or not."""
    if isinstance(value, tuple):
        return any(_holds(part, stack) for part in value)
    return any(value is node for node in stack)
