"""`relo privacy`: what people may ask by law, done from the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from relo_dsl.cli.options import json_option, with_settings

if TYPE_CHECKING:
    from relo_dsl.engine import Engine
    from relo_dsl.settings import Settings
    from relo_server.cli.people import Office
    from relo_server.privacy.people import Person
    from relo_server.sets import Sets

Command = Callable[..., Any]
_PURPOSES = [
    "analytics", "personalization", "dsp", "cross_client", "email", "push", "extended_retention",
]  # fmt: skip


@click.group("privacy")
def command() -> None:
    """Forget somebody, tell all that is known, correct it, or withdraw consent for them; and
    forget what was kept long enough.

    Somebody is named by any identifiers; these are hashed at once and kept nowhere. What is done
    stands in the audit, by the number of devices.

    \b
    Example:
      relo privacy export --email ana@example.com > ana.json
      relo privacy erase --email ana@example.com --phone '+52 55 1234 5678'
    """


def _somebody(function: Command) -> Command:
    """The options that name a person, as the argument `who`."""

    @wraps(function)
    def wrapped(
        devices: tuple[str, ...], emails: tuple[str, ...], phones: tuple[str, ...],
        advertising_ids: tuple[str, ...], **more: Any,
    ) -> Any:  # fmt: skip
        from relo_server.privacy.people import Person

        if not (devices or emails or phones or advertising_ids):
            raise click.UsageError("name somebody: --device, --email, --phone, --advertising-id")
        return function(who=Person(devices, emails, phones, advertising_ids), **more)

    for name, target, text in (
        ("--advertising-id", "advertising_ids", "A GAID or IDFA; repeatable."),
        ("--phone", "phones", "A phone; repeatable."),
        ("--email", "emails", "An e-mail address; repeatable."),
        ("--device", "devices", "A device id; repeatable."),
    ):
        wrapped = click.option(name, target, multiple=True, metavar="ID", help=text)(wrapped)
    return wrapped


@dataclass(frozen=True, slots=True)
class _At:
    """The stores, the devices of whoever was named, and the forms of their identifiers."""

    office: Office
    engine: Engine
    sets: Sets
    keys: list[bytes]
    hashes: list[str]


@contextmanager
def _stores(settings: Settings, who: Person) -> Iterator[_At]:
    from relo_server.cli.people import office
    from relo_server.cli.stores import open_engine, open_sets
    from relo_server.privacy.people import keys_of

    with office(settings) as at, open_engine(settings) as engine, open_sets(settings) as sets:
        code = settings.ingest.calling_code
        keys = keys_of(engine, at.key, at.client, who, code)
        yield _At(at, engine, sets, keys, who.hashes(at.key, code))


@command.command("erase")
@_somebody
@click.option("--yes", is_flag=True, help="Do it without asking.")
@json_option
@with_settings("client", "catalog", "events", "sets", "data")
def erase(who: Person, yes: bool, as_json: bool, settings: Settings) -> None:
    """Forget somebody: events, traits, consent, sets, versions, dead letters, what waits on disk.

    It cannot be undone: what comes of these devices later is dropped, a restored backup too.

    \b
    Example:
      relo privacy erase --email ana@example.com --yes
    """
    from relo_dsl.cli.output import emit_json
    from relo_server.cli.stores import open_spools, publisher
    from relo_server.privacy.erasing import erase as forget

    if not yes:
        click.confirm("Forget them for good?", abort=True, err=True)
    with _stores(settings, who) as at:
        found = f"{len(at.keys)} devices"
        # First, or one that the machine ends in its midst would stand nowhere.
        at.office.note("privacy.erase", found, "begun")
        with (
            at.office.noting("privacy.erase", found) as noted,
            open_spools(settings, at.engine, at.sets) as waiting,
        ):
            proof = forget(
                publisher(settings, at.engine, at.sets), at.office.platform, at.office.client,
                at.keys, waiting.rewrite, settings.data / "spool", at.hashes,
                requested=at.office.now,
            )  # fmt: skip
            noted[:] = [f"{proof.id}: {proof.devices} devices"]
    if as_json:
        emit_json(proof.to_json())
        return
    gone = ", ".join(f"{name} {count:,}" for name, count in proof.rows.items() if count)
    click.echo(f"forgotten: {gone or 'nothing was stored'} (erasure {proof.id})")


@command.command("export")
@_somebody
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="Write it there instead of to the standard output.",
)  # fmt: skip
@json_option
@with_settings("client", "catalog", "events", "sets", "data")
def export(who: Person, output: Path | None, as_json: bool, settings: Settings) -> None:  # noqa: ARG001 - it is JSON either way
    """Tell all that is known of somebody, as JSON.

    \b
    Example:
      relo privacy export --device device-1 --output device-1.json
    """
    from relo_dsl.cli.project import project_catalog
    from relo_dsl.engine.migrate import apply_catalog
    from relo_dsl.times import format_instant
    from relo_server.ingest.payloads import encode
    from relo_server.privacy.exporting import export as tell
    from relo_server.privacy.exporting import refused_of

    catalog = project_catalog(settings)
    with _stores(settings, who) as at:
        with at.office.noting("privacy.export", f"{len(at.keys)} devices") as noted:
            apply_catalog(at.engine, catalog)
            found = tell(at.engine, catalog, at.office.client, at.keys)
            refused = refused_of(at.engine, at.office.client, at.hashes)
            noted[:] = [f"{len(found)} devices"]
        told = {
            "client": at.office.client,
            "exported_at": format_instant(at.office.now),
            "devices": found,
            "refused": refused,
        }
    text = encode(told).decode()
    if output is None:
        click.echo(text)
    else:
        output.write_text(text + "\n", encoding="utf-8")


@command.command("rectify")
@_somebody
@click.argument("traits", nargs=-1, required=True, metavar="TRAIT=VALUE…")
@json_option
@with_settings("client", "catalog", "events", "sets", "data")
def rectify(who: Person, traits: tuple[str, ...], as_json: bool, settings: Settings) -> None:
    """Correct traits of somebody of whom something is known. A value is JSON, or else a text.

    \b
    Example:
      relo privacy rectify --device device-1 plan=gold age=37 nickname=null
    """
    values = dict(_trait(text) for text in traits)
    _record(settings, who, "privacy.rectify", as_json, known=True, t="identify", traits=values)


@command.command("object")
@_somebody
@click.option(
    "--to", "purposes", type=click.Choice(_PURPOSES), multiple=True,
    help="Only to this use; repeatable.  [default: to all]",
)  # fmt: skip
@json_option
@with_settings("client", "catalog", "events", "sets", "data")
def object_(who: Person, purposes: tuple[str, ...], as_json: bool, settings: Settings) -> None:
    """Withdraw consent for somebody: they leave the sets at once, and stay out.

    \b
    Example:
      relo privacy object --email ana@example.com --to dsp
    """
    from relo_dsl.catalog import CONSENT_FLAGS

    bits = sum({CONSENT_FLAGS[name] for name in purposes}) or 255
    _record(settings, who, "privacy.object", as_json, known=False, t="consent", clear=bits)


@command.command("expire")
@json_option
@with_settings("client", "catalog", "events", "sets", "data")
def expire(as_json: bool, settings: Settings) -> None:
    """Forget what was kept long enough, as `relo serve` does once a day.

    Events after their retention, profiles of devices of which nothing was heard for 90 days,
    memberships that no refresh confirmed. [keeping] in relo.toml sets other numbers.

    \b
    Example:
      relo privacy expire
    """
    from relo_dsl.cli.output import emit_json
    from relo_dsl.cli.project import project_catalog
    from relo_dsl.engine.migrate import apply_catalog
    from relo_dsl.engine.staging import ClientRules
    from relo_server.cli.stores import configured_client, open_engine, open_sets, publisher
    from relo_server.privacy.erasing import drop_old_damaged
    from relo_server.privacy.expiring import expire as forget

    catalog, client = project_catalog(settings), configured_client(settings)
    with open_engine(settings) as engine, open_sets(settings) as sets:
        apply_catalog(engine, catalog)
        rules = ClientRules.of(catalog)
        by = publisher(settings, engine, sets)
        done = forget(by, client, rules, settings.keeping)
        drop_old_damaged(settings.data / "spool", by.clock())
    if as_json:
        emit_json(done.to_json())
        return
    names = ", ".join((*done.audiences, *done.pruned)) or "none"
    click.echo(f"forgotten: events {done.events:,}, profiles {done.profiles:,}, audiences {names}")


def _trait(text: str) -> tuple[str, Any]:
    import msgspec

    from relo_server.ingest.payloads import decode

    name, equals, value = text.partition("=")
    if not name or not equals:
        raise click.UsageError(f"`{text}` is no trait: write NAME=VALUE")
    try:
        return name, decode(value)
    except msgspec.DecodeError:
        return name, value


def _record(
    settings: Settings, who: Person, action: str, as_json: bool, *, known: bool, **values: Any
) -> None:
    """Stores a record for each device of somebody."""
    from relo_dsl.cli.output import emit_json, fail
    from relo_dsl.cli.project import project_catalog
    from relo_dsl.engine import load_records
    from relo_dsl.records import RecordError, check_types
    from relo_server.cli.stores import publisher
    from relo_server.ingest.clearing import CLEAR, parse_any
    from relo_server.ingest.protect import protect
    from relo_server.privacy.people import known_of
    from relo_server.security.tokens import new_id
    from relo_server.versions.withdrawal import withdraw

    catalog = project_catalog(settings)
    with _stores(settings, who) as at:
        client, now = at.office.client, at.office.now
        keys = known_of(at.engine, client, at.keys) if known else at.keys
        clean = protect(values, at.office.key, settings.ingest.calling_code)
        records = []
        for key in keys:
            raw = {**clean, "ts": now, "did": key.hex(), "eid": new_id(now)}
            try:
                records.append(check_types(parse_any(raw, client), catalog))
            except RecordError as error:
                fail(str(error), "`relo check` says what the catalog has")
        with at.office.noting(action, f"{len(keys)} devices"):
            load_records(
                at.engine, records, catalog=catalog, key=at.office.key,
                device_of=lambda _, key: bytes.fromhex(key), now=now,
            )  # fmt: skip
            if CLEAR in values:
                withdraw(publisher(settings, at.engine, at.sets), client)
    if as_json:
        emit_json({"devices": len(keys)})
    else:
        click.echo(f"done for {len(keys):,} device{'' if len(keys) == 1 else 's'}")
