"""`relo init`: the first files of a project."""

from __future__ import annotations

from pathlib import Path

import click

from relo_dsl.cli.options import json_option

_SETTINGS = """\
# What this project is about. Every setting can also be a variable (RELO_CLIENT=2) or, for most
# commands, an option (--client 2).
client = {client}
timezone = "{timezone}"

# Where events and published sets live: `embedded` keeps both in .relo/, for one process at a time.
events = "embedded" # or the URL of a ClickHouse server: "https://user:password@host:8443"
sets = "embedded"   # or the URL of a Redis, Valkey or Dragonfly: "redis://host:6379"
"""

_CATALOG = """\
# What your events and traits are called, and of which type they are. Definitions can name nothing
# else, so a misspelt name is found before anything runs.
events:
  purchase:
    description: A paid order
    properties:
      revenue: {type: number, unit: EUR}
      category: string
      products: {type: "object[]", fields: {id: string, price: number, quantity: number}}
  product_view:
    description: A look at a product's page
    properties:
      product_id: string
      category: string

traits:
  plan: {type: string, enum: [free, premium]}

# Lists of device ids that you upload with `relo list add`.
lists:
  staff: {description: Nobody should sell to us}

# Without a consent record a device has agreed (opt-out) or has not (opt-in).
consent_default: opt-out
"""

_DEFINITION = """\
# Good customers who have not been back for a month: worth a letter, and worth an ad.
audience winback_customers
  label  "Win back good customers"
  type   winback
  export meta, email

match
  sum(purchase.revenue) >= 100 within 180d
  and no purchase within 30d

# What it means, by example: `relo test` runs it.
test "who came back stays out" at 2026-03-18
  given ana:  purchase(revenue: 120) 50d ago
  and   beto: purchase(revenue: 120) 50d ago
              purchase(revenue: 5) 2d ago
  expect ana
  expect not beto
"""

_IGNORED = ".relo/"


@click.command("init")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=".")
@click.option(
    "--client", type=click.IntRange(0, 2**32 - 1), default=1, show_default=True, metavar="N",
    help="The client whose data it is.",
)  # fmt: skip
@click.option(
    "--timezone", default="UTC", show_default=True, metavar="ZONE", help="IANA time zone."
)
@json_option
def command(folder: Path, client: int, timezone: str, as_json: bool) -> None:
    """Begin a project in FOLDER (here, where none is given).

    Makes relo.toml, a catalog, a definition to start from, and a .gitignore that leaves out the
    embedded stores. A file that is there already stays as it is.

    \b
    Example:
      relo init
      relo init shop --client 3 --timezone America/Mexico_City
    """
    _check_zone(timezone)
    files = {
        "relo.toml": _SETTINGS.format(client=client, timezone=timezone),
        "segments/catalog.yaml": _CATALOG,
        "segments/winback_customers.seg": _DEFINITION,
    }
    done = {name: _create(folder / name, text) for name, text in files.items()}
    done[".gitignore"] = _ignore(folder / ".gitignore")
    if as_json:
        from relo_dsl.cli.output import emit_json

        emit_json({"folder": str(folder), "files": done})
        return
    for name, what in done.items():
        click.echo(f"{what:<8} {folder / name}")
    steps = ("check", "test", "load FILES", "preview winback_customers")
    click.echo("\nNext: " + ", ".join(f"`relo {step}`" for step in steps) + ".")


def _check_zone(zone: str) -> None:
    from zoneinfo import ZoneInfo, available_timezones

    from relo_dsl.diagnostics import did_you_mean

    try:
        ZoneInfo(zone)
    except (ValueError, OSError, KeyError):
        hint, close = did_you_mean(zone, available_timezones(), "time zone")
        raise click.BadParameter(
            f"no time zone is called `{zone}`; {hint if close else 'use one like `Europe/Madrid`'}",
            param_hint="'--timezone'",
        ) from None


def _create(path: Path, text: str) -> str:
    """Writes a new file; `made`, or `kept` where there is one."""
    from relo_dsl.cli.output import fail

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return "kept"
    except OSError as error:
        fail(f"cannot write {path}: {error.strerror or error}")
    return "made"


def _ignore(path: Path) -> str:
    """Makes .gitignore, or adds a line to it: whatever it ignores already stays."""
    if _create(path, f"{_IGNORED}\n") == "made":
        return "made"
    text = path.read_text(encoding="utf-8")
    if any(line.strip().strip("/") == _IGNORED.strip("/") for line in text.splitlines()):
        return "kept"
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{'' if text.endswith(chr(10)) or not text else chr(10)}{_IGNORED}\n")
    return "added to"
