"""Withdrawals: whoever may not be used any more leaves every published set at once."""

# ruff: noqa: S608 - the texts are made of this module's own names; values travel as parameters
from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from relo_dsl.engine import Engine
from relo_server.sets import SetInfo
from relo_server.versions import ledger
from relo_server.versions.barred import Bar
from relo_server.versions.ledger import Kind, Version
from relo_server.versions.membership import count_barred
from relo_server.versions.publication import publish_all
from relo_server.versions.publisher import Base, Publisher, Wanted
from relo_server.versions.staging import Staged


def withdraw(publisher: Publisher, client: int) -> list[Version]:
    """Takes everybody out of a client's sets who must not be in them by the records that are
    stored. Call it after consent records or erasures have been stored; returns the new versions.

    Publications that are on their way are overtaken first, so that none of them brings anybody
    back. Raises as `publish` does: then call it again.
    """
    publisher.sets.raise_epoch(client)
    publisher.at_step("raised")
    infos = publisher.sets.published(client)
    recorded = ledger.latest_ids(publisher.engine, client)
    now = publisher.clock()
    concerned = {
        mask: _concerned(publisher.engine, publisher.bar(client, mask, now))
        for mask in {info.mask for info in infos}
    }
    leaving = [
        info.name
        for info in infos
        if recorded.get(info.name) != info.version or info.name in concerned[info.mask]
    ]
    return withdraw_from(publisher, client, leaving)


def withdraw_from(publisher: Publisher, client: int, names: Sequence[str]) -> list[Version]:
    """The same for some audiences and holdouts, whether or not they are published."""
    plan = partial(_plan, publisher)
    outcomes = publish_all(publisher, client, dict.fromkeys(names, plan))
    for outcome in outcomes.values():
        if isinstance(outcome, Exception):
            raise outcome
    return [outcome for outcome in outcomes.values() if isinstance(outcome, Version)]


def _plan(publisher: Publisher, base: Base, now: int) -> Wanted | None:
    if base.info is None:
        return None
    if base.unknown or base.last is None:
        _drop_if_barred(publisher, base.info, now)
        return None
    last = base.last
    return Wanted(
        kind=Kind.WITHDRAWAL,
        devices=None,
        at=last.at,
        expires=base.info.expires_at,
        fingerprint=last.fingerprint,
        mask=last.mask,
        only_changes=True,
    )


def _concerned(engine: Engine, bar: Bar) -> set[str]:
    """The audiences with a member, by the ledger, who must not be one."""
    published = "SELECT audience, version FROM versions WHERE client_id = {c:UInt32} AND step = "
    rows = engine.rows(
        "SELECT DISTINCT audience FROM (SELECT audience, device FROM membership "
        f"WHERE client_id = {{c:UInt32}} AND {bar.barred} "
        f"AND (audience, version) IN ({published}'published') "
        "GROUP BY audience, device HAVING bitAnd(max(ordinal * 2 + entered), 1) = 1)",
        bar.params,
    )
    return {str(name) for (name,) in rows}


def _drop_if_barred(publisher: Publisher, info: SetInfo, now: int) -> None:
    """A set that no record tells of cannot be changed by a new version of it: it goes, whole,
    where a member must not be in it; the next build publishes it again.
    """
    with Staged(publisher.engine) as staged:
        staged.add(0, publisher.sets.found(info.client, info.name))
        # The consent that it needs is not known where its maker did not say: all of it, then.
        bar = publisher.bar(info.client, info.mask or 255, now)
        if count_barred(publisher.engine, staged.devices(0), bar):
            publisher.sets.drop(info.client, info.name, lease=publisher.lease)
