"""Drawing for people: diagnostics in colour, bars, sizes. Only click is imported here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from relo_dsl.diagnostics import Diagnostic

_COLOURS = {"error": "red", "warning": "yellow", "hint": "cyan"}
_EIGHTHS = " ▏▎▍▌▋▊▉"


def draw(diagnostics: Iterable[Diagnostic]) -> str:
    """All of them with their source lines, and a closing count; colours, which click.echo strips
    where the stream is no terminal.
    """
    from relo_dsl.diagnostics import in_order, render, render_all

    ordered = in_order(diagnostics)
    if not ordered:
        return ""
    total = render_all(ordered).rpartition("\n\n")[2]
    drawn = [_coloured(render(item), _COLOURS[item.severity.value]) for item in ordered]
    return "\n\n".join([*drawn, click.style(total, bold=True)])


def _coloured(text: str, colour: str) -> str:
    head, *rows = text.split("\n")
    label, colon, message = head.partition(": ")
    lines = [click.style(label, fg=colour, bold=True) + click.style(colon + message, bold=True)]
    for row in rows:
        if row.strip(" |^") == "" and "^" in row:
            gutter, _, _ = row.partition("^")
            row = gutter + click.style(row[len(gutter) :], fg=colour, bold=True)
        elif row.lstrip().startswith("= help:"):
            row = row.replace("help:", click.style("help:", fg="cyan", bold=True), 1)
        elif row.lstrip().startswith("--> "):
            row = click.style(row, dim=True)
        lines.append(row)
    return "\n".join(lines)


def bar(share: float, width: int = 20) -> str:
    """A horizontal bar for a share from 0 to 1, `width` characters at 1, in eighths."""
    eighths = round(max(0.0, min(share, 1.0)) * width * 8)
    full, part = divmod(eighths, 8)
    if not eighths and share > 0:
        return _EIGHTHS[1]
    return "█" * full + (_EIGHTHS[part] if part else "")


def percent(part: int, whole: int) -> str:
    """`part` of `whole` as a percentage; a dash where there is nothing to share."""
    if not whole:
        return "–"
    share = 100 * part / whole
    return f"{share:.1f}%" if share >= 0.1 or not part else "<0.1%"


def size_of(count: int, what: str = "device") -> str:
    """`1 device`, `1,234 devices`."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def in_bytes(count: int) -> str:
    """`812 B`, `3.4 MB`: powers of 1000."""
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{count} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def in_seconds(seconds: float) -> str:
    """`8 ms`, `1.24 s`, `2 min 5 s`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


def ago(millis: int) -> str:
    """A length of time to its two largest units: `3d4h`, `12min`, `8s`."""
    from relo_dsl.times import UNITS, format_duration

    for unit, smaller in (("d", "h"), ("h", "min"), ("min", "s")):
        if millis >= UNITS[unit]:
            return format_duration(millis // UNITS[smaller] * UNITS[smaller])
    return f"{millis // 1000}s"
