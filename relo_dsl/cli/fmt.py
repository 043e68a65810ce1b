"""`relo fmt`: definitions in their one canonical layout."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from relo_dsl.cli.options import json_option, with_settings
from relo_dsl.cli.project import EXIT_DEFINITION

if TYPE_CHECKING:
    from relo_dsl.diagnostics import Diagnostic
    from relo_dsl.settings import Settings


@dataclass(frozen=True, slots=True)
class _File:
    """A file before and after; `after` is None where its syntax has errors."""

    path: Path
    before: str
    after: str | None
    errors: list[Diagnostic]

    @property
    def changes(self) -> bool:
        return self.after is not None and self.after != self.before


@click.command("fmt")
@click.argument("paths", nargs=-1, type=click.Path(exists=True, path_type=Path), metavar="[PATHS]…")
@click.option(
    "--check",
    "only_check",
    is_flag=True,
    help="Change nothing; exit with 1 if a file would change.",
)
@click.option("--diff", is_flag=True, help="Change nothing; show what would change.")
@json_option
@with_settings("segments")
@click.pass_context
def command(
    context: click.Context, paths: tuple[Path, ...], only_check: bool, diff: bool, as_json: bool,
    settings: Settings,
) -> None:  # fmt: skip
    """Put definitions into their one layout. Comments stay, and what they mean does not change.

    PATHS are files or folders; without any it is the project's folder of definitions. A file with
    syntax errors is left alone and reported.

    \b
    Example:
      relo fmt
      relo fmt --check segments
    """
    files = [_read(path) for path in _seg_files(paths or (settings.segments,))]
    if not (only_check or diff):
        for file in files:
            if file.changes:
                _replace(file.path, file.after or "")
    if as_json:
        _print_json(files)
    else:
        _print(files, diff=diff, would="would be " if only_check or diff else "")
    changed = (only_check or diff) and any(file.changes for file in files)
    if changed or any(file.errors for file in files):
        context.exit(EXIT_DEFINITION)


def _seg_files(paths: tuple[Path, ...]) -> Iterator[Path]:
    from relo_dsl.cli.output import fail
    from relo_dsl.cli.project import shown_path

    for path in paths:
        path = Path(shown_path(path))
        if path.is_dir():
            yield from sorted(path.rglob("*.seg"))
        elif path.exists():
            yield path
        else:
            fail(f"there is no folder {path}", "`relo init` makes one")


def _read(path: Path) -> _File:
    from relo_dsl.diagnostics import Severity
    from relo_dsl.syntax import format_file, parse, read_source

    source = read_source(path)
    parsed = parse(source)
    errors = [item for item in parsed.diagnostics if item.severity is Severity.ERROR]
    return _File(path, source.text, None if errors else format_file(parsed.file), errors)


def _replace(path: Path, text: str) -> None:
    """Writes a file whole or not at all, its permissions kept."""
    target = path.resolve()
    handle, draft = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        Path(draft).chmod(target.stat().st_mode & 0o7777)
        Path(draft).replace(target)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise


def _print(files: list[_File], *, diff: bool, would: str) -> None:
    from relo_dsl.cli.draw import draw, size_of

    for file in files:
        if file.changes:
            click.echo(_difference(file) if diff else f"{would}formatted: {file.path}", nl=not diff)
    errors = [item for file in files for item in file.errors]
    if errors:
        click.echo(draw(errors), err=True)
    changed = sum(file.changes for file in files)
    left = sum(bool(file.errors) for file in files)
    parts = [f"{size_of(changed, 'file')} {would}formatted"]
    parts.append(f"{len(files) - changed - left:,} unchanged")
    if left:
        parts.append(f"{left:,} left alone")
    click.echo(", ".join(parts), err=diff)


def _difference(file: _File) -> str:
    from difflib import unified_diff

    lines = unified_diff(
        file.before.splitlines(keepends=True),
        (file.after or "").splitlines(keepends=True),
        str(file.path),
        f"{file.path} (formatted)",
    )
    colours = {"+": "green", "-": "red", "@": "cyan"}
    drawn = []
    for line in lines:
        if not line.endswith("\n"):
            line += "\n\\ No newline at end of file\n"
        heading = line.startswith(("+++", "---"))
        drawn.append(click.style(line, fg=None if heading else colours.get(line[0]), bold=heading))
    return "".join(drawn)


def _print_json(files: list[_File]) -> None:
    from relo_dsl.cli.output import emit_json

    emit_json(
        {
            "changed": [str(file.path) for file in files if file.changes],
            "unchanged": [str(f.path) for f in files if not f.changes and not f.errors],
            "diagnostics": [item.to_json() for file in files for item in file.errors],
        }
    )
