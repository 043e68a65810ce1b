"""What people may ask by law: to be forgotten, told, corrected, and left alone."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import Field, model_validator

from relo_dsl.catalog import CONSENT_FLAGS
from relo_dsl.engine import Engine
from relo_dsl.engine.migrate import apply_catalog
from relo_dsl.records import RecordError
from relo_dsl.times import format_instant
from relo_server.api.callers import Called, Caller
from relo_server.api.problems import Problem
from relo_server.api.routes.parts import OfClient, problems
from relo_server.ingest.intake import Sent
from relo_server.ingest.payloads import encode
from relo_server.privacy.erasing import erase
from relo_server.privacy.exporting import export, refused_of
from relo_server.privacy.people import Person, keys_of, known_of
from relo_server.security.tokens import new_id

router = APIRouter(tags=["privacy"], responses=problems())
_Id = Annotated[str, Field(min_length=1, max_length=1_000)]
_Ids = Annotated[list[_Id], Field(max_length=1_000)]
Purpose = Literal[
    "analytics", "personalization", "dsp", "cross_client", "email", "push", "extended_retention"
]


class Somebody(OfClient):
    """A person, by any identifiers. They are hashed at once and kept nowhere."""

    devices: _Ids = Field(default_factory=list, examples=[["device-1"]])
    emails: _Ids = Field(default_factory=list, examples=[["ana@example.com"]])
    phones: _Ids = Field(default_factory=list)
    advertising_ids: _Ids = Field(default_factory=list)

    @model_validator(mode="after")
    def _named(self) -> Somebody:
        if not (self.devices or self.emails or self.phones or self.advertising_ids):
            raise ValueError("give at least one of devices, emails, phones, advertising_ids")
        return self

    def person(self) -> Person:
        return Person(self.devices, self.emails, self.phones, self.advertising_ids)


class Rectified(Somebody):
    """A person, and the traits as they should be; null: the trait is missing."""

    traits: dict[str, Any] = Field(min_length=1, max_length=100, examples=[{"plan": "gold"}])


class Objected(Somebody):
    """A person, and what their data must not be used for any more."""

    to: list[Purpose] | None = Field(
        None, min_length=1, max_length=7, description="None: nothing at all."
    )


async def _keys(caller: Caller, request: Request, asked: Somebody) -> list[bytes]:
    caller.require_client(asked.client_id)
    house = caller.house
    code = house.settings.ingest.calling_code

    def work(engine: Engine) -> list[bytes]:
        return keys_of(engine, house.key, caller.client, asked.person(), code)

    found = await house.asking.do(work)
    request.state.object = f"{len(found)} devices"
    return found


def _hashes(caller: Caller, asked: Somebody) -> list[str]:
    house = caller.house
    return asked.person().hashes(house.key, house.settings.ingest.calling_code)


@router.post("/privacy/erase", name="privacy.erase", operation_id="erase")
async def erased(caller: Called, request: Request, asked: Somebody) -> dict[str, Any]:
    """Forgets somebody, for good: events, traits, consent, sets, versions, dead letters, and what
    waits on disk. The answer is the proof. Records of these devices that come later are dropped.
    """
    house = caller.house
    requested = house.clock()
    keys = await _keys(caller, request, asked)

    def work(engine: Engine) -> dict[str, Any]:
        house.spool.roll()
        house.consent.roll()
        proof = erase(
            house.publisher(engine, caller.who.subject), house.platform, caller.client, keys,
            house.storing.rewrite, house.settings.data / "spool", _hashes(caller, asked),
            requested=requested,
        )  # fmt: skip
        request.state.object = f"{proof.id}: {proof.devices} devices"
        return proof.to_json()

    return await house.building.do(work)


@router.post(
    "/privacy/export", name="privacy.export", operation_id="export_person",
    response_model=dict[str, Any],
)  # fmt: skip
async def exported(caller: Called, request: Request, asked: Somebody) -> Response:
    """All that is known of somebody, device by device, and what was refused without a device."""
    keys = await _keys(caller, request, asked)
    house = caller.house

    def work(engine: Engine) -> dict[str, Any]:
        catalog = house.catalog()
        apply_catalog(engine, catalog)
        found = export(engine, catalog, caller.client, keys)
        return {
            "client": caller.client,
            "exported_at": format_instant(house.clock()),
            "devices": found,
            "refused": refused_of(engine, caller.client, _hashes(caller, asked)),
        }

    # FastAPI would make binary floats of the numbers.
    return Response(encode(await house.asking.do(work)), media_type="application/json")


async def _record(caller: Caller, keys: list[bytes], **values: Any) -> dict[str, Any]:
    """Keeps a record for each device, as if a source had sent it."""
    house = caller.house
    now = house.receipt()
    sent = Sent(caller.client, "privacy", now)
    records = [{**values, "ts": now, "did": key.hex(), "eid": new_id(now)} for key in keys]
    try:
        checked = house.intake.known(sent, records)
    except RecordError as error:
        raise Problem(422, "request", str(error)) from error
    await asyncio.wrap_future(house.intake.keep(checked))
    return {"devices": len(keys), "at": format_instant(now)}


@router.post("/privacy/rectify", name="privacy.rectify", operation_id="rectify")
async def rectified(caller: Called, request: Request, asked: Rectified) -> dict[str, Any]:
    """Corrects traits of somebody of whom something is known; they hold from now on."""
    named = await _keys(caller, request, asked)
    keys = await caller.house.asking.do(lambda engine: known_of(engine, caller.client, named))
    return await _record(caller, keys, t="identify", traits=asked.traits)


@router.post("/privacy/object", name="privacy.object", operation_id="object")
async def objected(caller: Called, request: Request, asked: Objected) -> dict[str, Any]:
    """Withdraws somebody's consent, for some purposes or all: they leave the sets at once."""
    keys = await _keys(caller, request, asked)
    bits = 255 if asked.to is None else sum({CONSENT_FLAGS[name] for name in asked.to})
    return await _record(caller, keys, t="consent", clear=bits)
