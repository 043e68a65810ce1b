"""The parse tables that Lark computes from `grammar/segment.lark`, in the form the parser runs on.

Lark needs about half a second for them, so they are kept in the user's cache folder as plain JSON
under a name that changes with the grammar and with Lark.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

#: Terminals that never occur in a text; the parser puts them where it could not read something.
INSERTED = frozenset({"ERROR", "JUNK", "NO_MATCH"})
#: What may stand before any token. Possessive, so that no token is looked for inside a comment.
SKIP = r"(?:[\s\ufeff]++|#[^\n]*+)*+"
SKIP_PATTERN = re.compile(SKIP)
#: Words that join operands: never a name where an operand stands, so that `a and and b` is found.
JOINING = ("and", "or", "then")
#: The words that start a header statement, in the order of the canonical layout.
HEADERS = (
    *("label", "description", "owner", "client", "type", "refresh", "timezone", "export"),
    *("require", "ttl", "minimum", "tags"),
)
#: The words that start any statement.
STATEMENTS = frozenset(HEADERS) | frozenset(
    {
        *("audience", "segment", "let", "match", "keep", "sample", "holdout", "test"),
        *("given", "expect"),
    }
)
START_SYMBOLS = ("file", "expr")
_VERSION = 1


@dataclass(frozen=True, slots=True)
class Rule:
    """A grammar rule. `call` names the builder's method; None passes the only child through.

    `keep` are the places of the children that the method gets; `inline` the places, among those,
    of lists to be spread. A `call` of "" makes such a list.
    """

    origin: str
    size: int
    call: str | None
    keep: tuple[int, ...]
    inline: bool


@dataclass(frozen=True, slots=True)
class Terminal:
    """A terminal: a fixed text, or a pattern with a priority."""

    name: str
    text: str | None
    pattern: str
    priority: int


@dataclass(slots=True)
class Tables:
    """`actions[state][terminal]` is the next state, or -1 - rule to reduce; `gotos` the same."""

    actions: list[dict[str, int]]
    gotos: list[dict[str, int]]
    rules: list[Rule]
    terminals: list[Terminal]
    starts: dict[str, int]
    ends: dict[str, int]
    words: dict[str, str] = field(init=False)
    signs: dict[str, str] = field(init=False)
    _lexers: list[Lexer | None] = field(init=False)
    _scanners: dict[tuple[str, ...], tuple[Callable[..., Any], tuple[str, ...]]] = field(init=False)

    def __post_init__(self) -> None:
        fixed = {t.text: t.name for t in self.terminals if t.text is not None}
        self.words = {text: name for text, name in fixed.items() if text[0].isalpha()}
        self.signs = {text: name for text, name in fixed.items() if not text[0].isalpha()}
        self._lexers = [None] * len(self.actions)
        self._scanners = {}

    def lexer(self, state: int) -> Lexer:
        """How to read the next token in a state."""
        found = self._lexers[state]
        if found is None:
            found = self._lexers[state] = self._make_lexer(state)
        return found

    def _make_lexer(self, state: int) -> Lexer:
        accepted = self.actions[state]
        patterns = tuple(
            t.name
            for t in sorted(self.terminals, key=lambda t: -t.priority)
            if t.text is None and t.name != "NAME" and t.name in accepted
        )
        if patterns not in self._scanners:
            self._scanners[patterns] = self._make_scanner(patterns)
        match, kinds = self._scanners[patterns]
        words = {text: name for text, name in self.words.items() if name in accepted}
        if "NAME" in accepted and "LPAR" in accepted:  # an operand: see JOINING
            words = {**dict.fromkeys(JOINING, ""), **words}
        return Lexer(match, kinds, words, "NAME" if "NAME" in accepted else "")

    def _make_scanner(self, names: tuple[str, ...]) -> tuple[Callable[..., Any], tuple[str, ...]]:
        by_name = {t.name: t for t in self.terminals}
        signs = sorted(self.signs, key=lambda text: (-len(text), text))
        groups = [f"({by_name[name].pattern})" for name in names]
        groups.append(f"({by_name['NAME'].pattern})")
        groups.append("(" + "|".join(re.escape(sign) for sign in signs) + ")")
        groups.append(r"(\Z)")
        regex = re.compile(SKIP + "(?:" + "|".join(groups) + ")")
        return regex.match, (*names, "NAME", "", "$END")


@dataclass(frozen=True, slots=True)
class Lexer:
    """Reads one token. `match` has one group for each of `kinds`; "" stands for a sign.

    `words` are the keywords that may stand here, and "" for words that may not; any other word is
    `default`: NAME, or "" where no name may stand.
    """

    match: Callable[..., Any]
    kinds: tuple[str, ...]
    words: dict[str, str]
    default: str


def grammar_path() -> Path:
    """Where the grammar is: in the package when installed, beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "_grammar" / "segment.lark"
    return installed if installed.exists() else package.parent / "grammar" / "segment.lark"


@cache
def load_tables() -> Tables:
    """The tables, from the cache where it has them."""
    grammar = grammar_path().read_text(encoding="utf-8")
    path = _cache_path(grammar)
    try:
        return _from_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, TypeError):
        tables = compute_tables(grammar)
        _write_cache(path, tables)
        return tables


def _cache_path(grammar: str) -> Path:
    from importlib.metadata import version

    key = f"{_VERSION}\n{version('lark')}\n{sys.version_info[:2]}\n{grammar}"
    digest = hashlib.sha256(key.encode()).hexdigest()[:24]
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111
    return Path(base) / "relo" / f"grammar-{digest}.json"


def _write_cache(path: Path, tables: Tables) -> None:
    """Best effort: without the file the next start is slower, nothing else."""
    text = json.dumps(
        {
            "actions": tables.actions,
            "gotos": tables.gotos,
            "rules": [asdict(rule) for rule in tables.rules],
            "terminals": [asdict(terminal) for terminal in tables.terminals],
            "starts": tables.starts,
            "ends": tables.ends,
        }
    )
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _from_json(text: str) -> Tables:
    data = json.loads(text)
    rules = [Rule(**{**rule, "keep": tuple(rule["keep"])}) for rule in data["rules"]]
    terminals = [Terminal(**terminal) for terminal in data["terminals"]]
    return Tables(data["actions"], data["gotos"], rules, terminals, data["starts"], data["ends"])


def compute_tables(grammar: str) -> Tables:
    """Has Lark compute the LALR tables of a grammar text."""
    from lark import Lark
    from lark.parsers.lalr_analysis import Shift

    # The basic lexer is never used: each state reads its tokens with a `Lexer` of this module.
    lark = Lark(grammar, parser="lalr", lexer="basic", start=list(START_SYMBOLS))
    table: Any = lark.parser.parser._parse_table
    numbers: dict[Any, int] = {}
    rules: list[Rule] = []
    actions: list[dict[str, int]] = []
    gotos: list[dict[str, int]] = []
    terminals = {t.name for t in lark.terminals} | INSERTED | {"$END"}
    for state in range(len(table.states)):
        row: dict[str, int] = {}
        targets: dict[str, int] = {}
        for symbol, (action, argument) in table.states[state].items():
            if action is Shift:
                (row if symbol in terminals else targets)[symbol] = argument
            else:
                if argument not in numbers:
                    numbers[argument] = len(rules)
                    rules.append(_rule(argument))
                row[symbol] = -1 - numbers[argument]
        actions.append(row)
        gotos.append(targets)
    return Tables(
        actions,
        gotos,
        rules,
        [_terminal(t) for t in lark.terminals if t.name not in lark.ignore_tokens],
        dict(table.start_states),
        dict(table.end_states),
    )


def _rule(rule: Any) -> Rule:
    """Lark's conventions: `_rules` are spread into their parents, `?rules` of one child vanish."""
    origin = str(rule.origin.name)
    symbols = rule.expansion
    keep = tuple(i for i, s in enumerate(symbols) if not (s.is_term and s.filter_out))
    inline = any(not s.is_term and s.name.startswith("_") for s in symbols)
    call: str | None = rule.alias or origin
    if origin.startswith("_"):
        call = ""
    elif rule.options.expand1 and not rule.alias and len(keep) == 1 and not inline:
        call = None
    return Rule(origin, len(symbols), call, keep, inline)


def _terminal(terminal: Any) -> Terminal:
    pattern = terminal.pattern
    text = pattern.value if pattern.type == "str" else None
    return Terminal(terminal.name, text, pattern.to_regexp(), terminal.priority)
