"""Writes the generated parts of docs/diagnostics: `python -m tests.docs.update`.

Generated are what `relo check` prints for each example, and the tables of the index. What people
wrote is left as it is.
"""

from __future__ import annotations

import itertools
import re
from pathlib import Path

from relo_dsl.diagnostics import CODES, Severity, render_all
from tests.docs.examples import CLIENT, DOCS, Block, blocks, check, text_of

PAGES = DOCS / "diagnostics"
OUTPUT = "relo check"
_TABLE = re.compile(r"<!-- codes -->\n.*?<!-- end -->\n", re.DOTALL)
_HEADINGS = {
    Severity.ERROR: ("Errors", "The definition cannot be used until it is right."),
    Severity.WARNING: (
        "Warnings",
        "The definition works, and probably does not say what it means.",
    ),
    Severity.HINT: ("Hints", "The definition is right; there is something to know about it."),
}


def client_of(code: str) -> int | None:
    """The client that is configured around the examples of a code."""
    return None if code == "missing-client" else CLIENT


def rendered(code: str, block: Block) -> str:
    """What `relo check` prints for an example."""
    text = render_all(check(text_of(block), client_of(code))) + "\n"
    # A byte that is not UTF-8 is shown the way that terminals show it.
    return re.sub("[\ud800-\udfff]", "\ufffd", text)


def page_with_output(code: str, text: str) -> str:
    """A page with the output of each wrong example in the block behind it."""
    found = blocks(text)
    for wrong, shown in reversed(list(itertools.pairwise(found))):
        if wrong.title == "wrong" and shown.title == OUTPUT:
            text = text[: shown.start] + rendered(code, wrong) + text[shown.end :]
    return text


def index_with_table(text: str) -> str:
    """The index with its table of all codes."""
    rows: list[str] = []
    for severity, (heading, what) in _HEADINGS.items():
        rows += [f"## {heading}", "", what, "", "| code | what it is about |", "|---|---|"]
        for code, (weight, about) in sorted(CODES.items()):
            if weight is severity:
                rows.append(f"| [`{code}`]({code}.md) | {about} |")
        rows.append("")
    table = "<!-- codes -->\n" + "\n".join(rows) + "<!-- end -->\n"
    return _TABLE.sub(lambda _: table, text)


def updated(path: Path) -> str:
    """The text that a page should have."""
    text = path.read_text(encoding="utf-8")
    return index_with_table(text) if path.stem == "index" else page_with_output(path.stem, text)


def main() -> None:
    """Rewrites every page of the diagnostics that is not up to date."""
    for path in sorted(PAGES.glob("*.md")):
        text = updated(path)
        if text != path.read_text(encoding="utf-8"):
            path.write_text(text, encoding="utf-8")
            print(f"updated {path.name}")


if __name__ == "__main__":
    main()
