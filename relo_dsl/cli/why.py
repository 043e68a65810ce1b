"""`relo why`: why a device is a member, or is not."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from relo_dsl.cli.options import json_option, with_settings
from relo_dsl.cli.project import at_option

if TYPE_CHECKING:
    from relo_dsl.evaluation import Prepared
    from relo_dsl.explain.why import Answer
    from relo_dsl.settings import Settings
    from relo_dsl.workspace import Workspace


@click.command("why", no_args_is_help=True)
@click.argument("what", metavar="NAME|FILE")
@click.argument("device")
@at_option
@click.option(
    "--events", "-e", multiple=True, type=click.Path(), metavar="FILE",
    help="Events from files, as `relo eval` takes them, instead of those that are stored.",
)  # fmt: skip
@click.option(
    "--list", "-l", "lists", multiple=True, metavar="NAME=FILE",
    help="With --events: a list of device ids, one a line.",
)  # fmt: skip
@click.option("--name", "-n", "names", multiple=True, help="Of FILE, only this definition.")
@click.option("--allow-unknown", is_flag=True, help="With --events: as in `relo eval`.")
@json_option
@with_settings("client", "timezone", "catalog", "segments", "data")
@click.pass_context
def command(
    context: click.Context, what: str, device: str, at: int | None, events: tuple[str, ...],
    lists: tuple[str, ...], names: tuple[str, ...], allow_unknown: bool, as_json: bool,
    settings: Settings,
) -> None:  # fmt: skip
    """Tell why DEVICE is a member of a definition, or is not, clause by clause.

    Shows for each clause the records and numbers that decided it, the consent that is needed and
    the one in force, the place in a ranking, the draw for sample and holdout, and the next instant
    at which time alone changes the answer. The device is looked up among the stored events, or in
    files with --events.

    \b
    Example:
      relo why winback_customers device-1
      relo why winback.seg ana --events events.jsonl --at 2026-06-15T12:00:00Z
    """
    from relo_dsl.cli.output import emit_json
    from relo_dsl.cli.why_text import print_answer

    now = int(time.time() * 1000) if at is None else at
    if events:
        prepared = _prepared(context, what, events, lists, names, settings, allow_unknown)
        _report(context, prepared, as_json)
        answers = _from_files(prepared, device, now)
    else:
        if lists or allow_unknown:
            raise click.UsageError("--list and --allow-unknown go with --events")
        answers = _from_store(context, what, device, now, names, settings, as_json)
    for number, answer in enumerate(answers):
        if as_json:
            emit_json(answer.to_json())
            continue
        if number:
            click.echo()
        print_answer(answer)


# ---- from files --------------------------------------------------------------------------------


def _prepared(
    context: click.Context, what: str, events: tuple[str, ...], lists: tuple[str, ...],
    names: tuple[str, ...], settings: Settings, allow_unknown: bool,
) -> Prepared:  # fmt: skip
    """FILE as `relo eval` takes it; a NAME of the project with the project's catalog."""
    from relo_dsl.catalog import load_catalog
    from relo_dsl.cli.eval import read_lists
    from relo_dsl.cli.project import find
    from relo_dsl.evaluation import Request, prepare
    from relo_dsl.syntax import read_source

    path, catalog = Path(what), None
    if path.suffix == ".seg" or path.is_file():
        source, folder = read_source(path), path.parent
        given = context.get_parameter_source("setting_catalog")
        if given is click.core.ParameterSource.COMMANDLINE:
            catalog = load_catalog(settings.catalog)
    else:
        workspace, names = find(settings, what, lambda _: ())[0], (what,)
        source, folder, catalog = workspace.source(what), settings.segments, workspace.catalog
    return prepare(
        Request(
            source=source,
            folder=folder,
            events=events,
            names=names,
            lists=read_lists(lists),
            catalog=catalog,
            client=settings.client,
            timezone=settings.timezone,
            allow_unknown=allow_unknown,
        )
    )


def _report(context: click.Context, prepared: Prepared, as_json: bool) -> None:
    from relo_dsl.cli.project import stop_on_errors

    stop_on_errors(context, prepared.diagnostics, as_json=as_json, remarks=False)


def _from_files(prepared: Prepared, device: str, at: int) -> list[Answer]:
    from relo_dsl.cli.output import fail
    from relo_dsl.consent import scope
    from relo_dsl.explain import narrator
    from relo_dsl.explain.why import why
    from relo_dsl.interpret import History
    from relo_dsl.records import tie_of

    workspace, found = prepared.workspace, list["Answer"]()
    for name in prepared.names:
        bound, scoped = workspace.bound(name), scope(workspace.plan(name))
        records = prepared.records(scoped.client)
        flags = scoped.plan.default_flags
        history = History.of(records, client=scoped.client, default_flags=flags)
        if device not in history.devices:
            fail(f"the files hold nothing about `{device}` for client {scoped.client}")
        ids = {(r.time, tie_of(r.id)): r.id for r in records if r.device == device}
        says = narrator(workspace.catalog, bound.header.timezone)
        lists = prepared.request.lists
        found.append(why(bound, scoped, history, device, at, lists, says, ids=ids))
    return found


# ---- from the store ----------------------------------------------------------------------------


def _from_store(
    context: click.Context, what: str, device: str, at: int, names: tuple[str, ...],
    settings: Settings, as_json: bool,
) -> list[Answer]:  # fmt: skip
    from relo_dsl.cli.project import find, require_names, stop_on_errors, uploaded_lists
    from relo_dsl.engine import Engine
    from relo_dsl.engine.key import installation_key
    from relo_dsl.engine.migrate import apply_catalog

    workspace, found = find(settings, what, uploaded_lists(settings))
    require_names(workspace, names)
    chosen = [name for name in found if not names or name in names]
    stop_on_errors(context, workspace.errors_of(chosen), as_json=as_json, remarks=False)
    secret = installation_key(settings)
    with Engine.open(settings) as engine:
        apply_catalog(engine, workspace.catalog)
        return [_stored(engine, workspace, name, device, secret, at) for name in chosen]


def _stored(
    engine: object, workspace: Workspace, name: str, device: str, secret: bytes, at: int
) -> Answer:
    from relo_dsl.cli.output import fail
    from relo_dsl.consent import scope
    from relo_dsl.engine import Engine, device_key
    from relo_dsl.engine.device import lists_with, stored_device
    from relo_dsl.engine.others import companions, place
    from relo_dsl.explain import narrator
    from relo_dsl.explain.why import Others, why
    from relo_dsl.interpret import History

    assert isinstance(engine, Engine)
    bound, scoped = workspace.bound(name), scope(workspace.plan(name))
    key = device_key(secret, scoped.client, device)
    known = stored_device(engine, workspace.catalog, scoped.client, key, device)
    if known is None:
        fail(
            f"nothing is stored about `{device}` for client {scoped.client}",
            "`relo why … --events FILE` asks files",
        )
    on = lists_with(engine, scoped.client, key)
    wanted = {*workspace.references("list"), *on}
    lists: Mapping[str, frozenset[str]] = {
        list_name: frozenset({device} if list_name in on else ()) for list_name in wanted
    }
    history = History(scoped.client, {device: known})
    says = narrator(workspace.catalog, bound.header.timezone)
    others = Others(companions(engine, scoped, at), place(engine, scoped, at, key))
    return why(
        bound, scoped, history, device, at, lists, says, key=lambda _: key.hex(), others=others
    )
