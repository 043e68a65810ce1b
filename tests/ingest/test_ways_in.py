"""An event by each way in is found by a definition a moment later, and its device nowhere."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from relo_dsl.settings import App, Pull
from relo_server.ingest.pulling import Puller
from tests.api.conftest import NOW, Service
from tests.ingest.test_appsflyer import APP, GAID, message
from tests.ingest.test_pulling import Reports, reports, row

__all__ = ["reports"]
SHOP = "https://shop.example"
VISITOR = "01K0DEVICE000000000000000A"
TEXT = "audience came\nmatch\n  {event} within 30d\n"


def by_batch(service: Service, _url: str) -> str:
    service.ok("POST", "/ingest/batch", [{"t": "purchase", "ts": NOW - 1, "did": "planted-device"}])
    return "purchase"


def by_pixel(service: Service, _url: str) -> str:
    body = {"c": service.client, "d": "planted-device", "e": [{"t": "visit", "ts": NOW - 1}]}
    service.http.post("/p", content=json.dumps(body), headers={"origin": SHOP}).raise_for_status()
    return "visit"


def by_link(service: Service, _url: str) -> str:
    made = service.ok("POST", "/links", {"destination": f"{SHOP}/sale"})
    agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
    answer = service.http.get(
        made["path"],
        headers={"user-agent": agent, "cookie": "_relo_cid=01K0DEVICE000000000000000A"},
    )
    assert answer.status_code == 302
    return "click"


def by_postback(service: Service, _url: str) -> str:
    service.http.post("/postback/appsflyer", json=message(advertising_id=GAID)).raise_for_status()
    return "af_purchase"


def by_report(service: Service, url: str) -> str:
    apps = {APP: App(client=service.client, token=SecretStr("t"))}
    settings = service.house.settings.ingest.model_copy(
        update={"apps": apps, "pull": Pull(url=url)}
    )
    Puller(settings, service.folder / "pulled", service.house.intake, lambda: NOW).pull()
    return "af_purchase"


@pytest.mark.parametrize("way", [by_batch, by_pixel, by_link, by_postback, by_report])
def test_what_came_in_is_found(
    service: Service, reports: tuple[Reports, str], way: Callable[[Service, str], str]
) -> None:
    apps = {APP: App(client=service.client, unsigned=True)}
    ingest = service.house.settings.ingest.model_copy(
        update={"origins": {str(service.client): (SHOP,)}, "apps": apps}
    )
    service.house.settings = service.house.settings.model_copy(update={"ingest": ingest})
    catalog = service.folder / "segments/catalog.yaml"
    catalog.write_text(
        catalog.read_text().replace("events:\n", "events:\n  click: {}\n  af_purchase: {}\n", 1)
    )
    found, url = reports
    found.rows["in_app_events_report"] = [row(NOW - 60_000)]
    event = way(service, url)
    text = TEXT.format(event=event)
    late = time.monotonic() + 10
    while service.ok("POST", "/segments/preview", {"text": text})["definitions"][0]["size"] != 1:
        assert time.monotonic() < late
        time.sleep(0.02)
    _nowhere(service.folder, "planted-device", GAID, VISITOR)


def _nowhere(folder: Path, *planted: str) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert not [one for one in planted if one.encode() in data], path


def test_who_is_looked_up_is_in_no_log(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    """Nor in the audit: what stands there is the device's key."""
    service.ok("POST", "/audiences/quiet/refresh")
    with caplog.at_level("INFO"):
        for headers in ({}, {"origin": SHOP}):  # the short way, and the whole one
            service.ok("GET", "/audiences/quiet/members/planted-device", **headers)
        service.http.get("/audiences/quiet/members/planted-device")  # nobody's
        service.call("GET", "/audiences/none/members/planted-device")
    ours = [record for record in caplog.records if record.name.startswith("relo")]
    told: list[Any] = [(record.message, getattr(record, "told", None)) for record in ours]
    assert "members" in str(told)
    assert "planted-device" not in str(told)
    service.house.notes.close()
    _nowhere(service.folder, "planted-device")
