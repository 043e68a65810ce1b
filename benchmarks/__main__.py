"""`python -m benchmarks NAME`: measures, and prints one JSON object or tables."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

Figures = dict[str, object]

NAMES = (
    "compile", "query", "storage", "refresh", "publish", "estimate", "api", "ingest", "click",
    "withdraw",
)  # fmt: skip
#: The most that ours over theirs may be.
LIMITS = {
    "compile": 2.5, "query": 1.1, "storage": 1 / 8, "refresh": 0.12, "publish": 1.3,
    "estimate": 1.0, "api": 2.0, "click": 4.0, "withdraw": 1.0,
}  # fmt: skip


#: The least that it may be, where more is better.
LEAST = {"ingest": {"bare": 0.8, "loop": 0.25}}


#: What can be made smaller, where that is not events and devices.
_SIZES = {
    "compile": ("number",),
    "refresh": ("number", "events", "devices"),
    "publish": ("members",),
    "estimate": ("number", "events", "devices"),
    "api": (),
    "ingest": (),
    "click": (),
    "withdraw": (),
}


def default_store() -> Path:
    """Where generated data stay between runs."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "relo" / "benchmarks"


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("name", type=click.Choice([*NAMES, "all"]))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option(
    "--store", type=click.Path(file_okay=False, path_type=Path), default=default_store,
    help="Where generated data are, and stay.  [default: ~/.cache/relo/benchmarks]",
)  # fmt: skip
@click.option("--definitions", type=click.IntRange(10), help="compile: how many.  [1000]")
@click.option("--events", type=click.IntRange(1000), help="query, storage: how many.  [20 M, 2 M]")
@click.option(
    "--members", type=click.IntRange(1000), multiple=True,
    help="publish: how many, once for each size.  [12 k, 1 M, 10 M]",
)  # fmt: skip
@click.option(
    "--devices", type=click.IntRange(10), help="query, storage: of how many.  [1 M, 100 k]"
)
@click.option(
    "--picture", type=click.Path(dir_okay=False, path_type=Path),
    help="refresh, publish: draw seconds by how many into this SVG file.",
)  # fmt: skip
def main(
    name: str,
    as_json: bool,
    store: Path,
    definitions: int | None,
    events: int | None,
    devices: int | None,
    members: tuple[int, ...],
    picture: Path | None,
) -> None:
    """Measure ours beside the best that there is: in one run, taking turns.

    \b
    compile: a thousand definitions from text to proved SQL, beside sqlglot's share of that alone
    query:   definitions on 20 M events, one a construct, beside the best SQL written by hand
    storage: bytes an event on disk, beside JSON lines
    refresh: an account's audiences together, beside one by one and one great scan
    publish: a set filled and published, beside a loader that only fills one
    estimate: sizes from a part of the devices, beside the exact counts
    api:     look-ups over HTTP, beside a bare redis client behind the same server
    ingest:  events taken in until the engine has them, beside INSERTs behind a bare ASGI server
    click:   clicks while events come in and audiences are refreshed, beside a bare redirect
    withdraw: until a withdrawal has left its sets, alone and while events come in
    all:     each of them
    """
    sizes = {
        "number": definitions,
        "events": events,
        "devices": devices,
        "members": members or None,
    }
    names = NAMES if name == "all" else (name,)
    found = {}
    for one in names:
        click.echo(f"{one} …", err=True)
        found[one] = measure(one, store, sizes)
    if picture and name in _DRAWN:
        _DRAWN[name](found[name], picture)
    if as_json:
        click.echo(json.dumps(found[name] if name != "all" else together(found)))
    else:
        for figures in found.values():
            show(figures)


def measure(name: str, store: Path, sizes: Mapping[str, object]) -> Figures:
    """The figures of one benchmark; sizes that are None are its own."""
    # Imported here: each brings its own heavy parts.
    run: Callable[..., Figures] = import_module(f"benchmarks.{name}").run
    wanted = _SIZES.get(name, ("events", "devices"))
    chosen = {key: sizes[key] for key in wanted if sizes[key] is not None}
    if name == "query":  # stores of different sizes stay apart
        size = "-".join(str(value) for value in chosen.values()) or "full"
        store = store / f"query-{size}"
    return run(store, **chosen)


def together(found: Mapping[str, Figures]) -> Figures:
    """All benchmarks as one object; a ratio is named after its benchmark: `query.winback`."""
    ratios = {
        f"{name}.{key}": value
        for name, figures in found.items()
        for key, value in _ratios(figures).items()
    }
    return {"benchmark": "all", **found, "ratios": ratios}


def _ratios(figures: Figures) -> dict[str, float]:
    ratios = figures["ratios"]
    assert isinstance(ratios, dict)
    return ratios


def draw_growth(figures: Figures, path: Path) -> None:
    """Seconds by how many definitions, together and one by one."""
    from benchmarks.pictures import lines

    growth = figures["growth"]
    assert isinstance(growth, list)
    ways = {"together": "ours", "one by one": "one_by_one"}
    drawn = {way: [(one["definitions"], one[name]) for one in growth] for way, name in ways.items()}
    lines(path, "definitions", drawn, upright="seconds")


def draw_sizes(figures: Figures, path: Path) -> None:
    """Seconds by how many members, ours and the raw loader's."""
    from benchmarks.pictures import lines

    sizes = [one for one in figures.values() if isinstance(one, dict) and "seconds" in one]
    ways = {"published by relo": "ours", "raw SADD": "raw"}
    drawn = {
        way: [(one["members"], one["seconds"][name]) for one in sizes] for way, name in ways.items()
    }
    lines(path, "members", drawn, upright="seconds")


_DRAWN: dict[str, Callable[[Figures, Path], None]] = {
    "refresh": draw_growth,
    "publish": draw_sizes,
}


# ---- for people --------------------------------------------------------------------------------


def show(figures: Figures) -> None:
    """The figures as tables: what was measured, then the ratios and their limit."""
    name = str(figures["benchmark"])
    console = Console()
    plain = {k: v for k, v in figures.items() if k not in ("benchmark", "ratios", "limits")}
    console.print(f"\n[bold]{name}[/bold]")
    for key, value in _flat(plain):
        console.print(f"  {key:<44} {_shown(value):>16}", highlight=False)
    limits = figures.get("limits", {})
    assert isinstance(limits, dict)
    least = LEAST.get(name, {})
    table = Table("ours over theirs", "ratio", "at least" if least else "at most", "kept")
    for key, ratio in _ratios(figures).items():
        limit = least[key] if least else limits.get(key, LIMITS[name])
        good = ratio >= limit if least else ratio <= limit
        kept = "[green]yes[/green]" if good else "[red]no[/red]"
        table.add_row(key, f"{ratio:.3f}", f"{limit}", kept)
    console.print(table)


def _flat(values: Mapping[str, object], prefix: str = "") -> list[tuple[str, object]]:
    rows: list[tuple[str, object]] = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            rows += _flat(value, f"{prefix}{key}.")
        else:
            rows.append((f"{prefix}{key}", value))
    return rows


def _shown(value: object) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main(prog_name="python -m benchmarks")
