"""The examples of the description: each is what the service really answered, and still would.

`EXAMPLES_UPDATE=1 pytest tests/api/test_examples.py` writes them anew.
"""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path
from typing import Any

import httpx

from relo_dsl.settings import App
from relo_server.api import app as described
from relo_server.api.app import make_app
from relo_server.security.roles import OPERATIONS
from tests.api.conftest import Service, buyers

_FILE = Path(described.__file__).with_name("examples.json")
_DRAFT = {
    "text": "audience gone_quiet\n\nmatch\n  purchase within 180d and no purchase within 30d\n"
}
_FORM = {
    "name": "winback_mx_highvalue", "audience_type": "winback", "within_days": 180,
    "inactive_days": 30, "min_revenue": 100,
    "filter": {"product_line": "MX", "require_consent": True},
}  # fmt: skip
_FILES = {"winback.seg": "audience winback\n\nmatch\n  no purchase within 60d\n"}
_QUIET = {"name": "quiet"}
_EVENTS = [
    {
        "t": "purchase", "ts": "2026-06-14T18:05:00Z", "did": "device-1", "eid": "order-1042",
        "props": {"revenue": 1999.5, "product_line": "MX"},
    },
    {"t": "identify", "ts": "2026-06-14T18:05:00Z", "did": "device-1", "traits": {"plan": "gold"}},
    {"t": "consent", "ts": "2026-06-14T18:05:00Z", "did": "device-2", "consent": 251},
    {
        "t": "purchase", "ts": "2026-06-14T18:06:00Z", "did": "device-3", "eid": "order-1043",
        "props": {"revenue": "1,250", "product_line": "MX"},
    },
]  # fmt: skip


_POSTBACK = {
    "app_id": "com.shop.app", "event_name": "af_purchase", "event_time": "2026-11-24 18:05:00.123",
    "appsflyer_id": "1700000000000-1234567", "advertising_id": None, "platform": "android",
    "event_value": "{\"af_content_id\": \"A-1\"}", "event_revenue": 149.9,
    "event_revenue_currency": "MXN", "media_source": "googleadwords_int",
}  # fmt: skip


class Recorder:
    """Asks one operation after the other, and keeps what was asked and answered."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.kept: dict[str, dict[str, Any]] = {}

    def ask(
        self, operation: str, body: Any = None, *, path: dict[str, Any] | None = None,
        query: dict[str, Any] | None = None, headers: dict[str, str] | None = None,
        shown: Any = None,
    ) -> Any:  # fmt: skip
        """`shown` stands in the example in place of the body: a secret."""
        known = OPERATIONS[operation]
        asked = httpx.QueryParams(query or {})
        url = known.path.format(**path or {}) + (f"?{asked}" if query else "")
        head: dict[str, Any] = {
            name.lower().replace("-", "_"): value for name, value in (headers or {}).items()
        }
        answer = self.service.call(known.method, url, body, **head)
        assert answer.status_code < 400, (operation, answer.text)
        media = answer.headers.get("content-type", "").partition(";")[0] if answer.content else ""
        told = answer.json() if media == "application/json" else answer.text or None
        given = {"path": path, "query": query, "headers": headers, "body": shown or body}
        self.kept[operation] = {
            **{name: value for name, value in given.items() if value},
            "status": answer.status_code, "media": media or None, "answer": told,
        }  # fmt: skip
        return told


def scenario(service: Service) -> dict[str, dict[str, Any]]:
    """Every operation once, in an order in which each has something to say."""
    service.load(*buyers(30), *buyers(5, ago=2))
    record = Recorder(service)
    ask = record.ask
    ask(
        "segments.check",
        {"text": _DRAFT["text"].replace("30d", "300d").replace("purchase", "purchas", 1)},
    )
    for name in ("format", "compile", "explain", "estimate"):
        ask(f"segments.{name}", _DRAFT)
    ask("segments.preview", {**_DRAFT, "sample": 2})
    built = ask("audiences.build", _FORM, headers={"Idempotency-Key": "4c1d8e"})
    later = service.call("POST", "/audiences/build?wait=0", {**_FORM, "name": "soon"})
    place = later.headers.get("location", "")
    if later.status_code != 202:
        place = service.call("POST", "/audiences/quiet/refresh?wait=0").headers["location"]
    ask("builds.read", path={"id": place.rpartition("/")[2]})
    ask("audiences.refresh", {"force": True}, path=_QUIET, query={"wait": 30})
    service.load(*buyers(3, ago=1))
    ask("audiences.refresh", {"force": True}, path=_QUIET, query={"wait": 30})
    ask("audiences.list", query={"prefix": "winback_", "limit": 50})
    ask("audiences.read", path={"name": built["name"]})
    ask(
        "audiences.write", {"text": "audience loyal\n\nmatch\n  count(purchase) >= 2 within 90d\n"},
        path={"name": "loyal"}, headers={"If-None-Match": "*"},
    )  # fmt: skip
    tag = service.call("GET", "/audiences/loyal").headers["etag"]
    ask("audiences.delete", path={"name": "loyal"}, headers={"If-Match": tag})
    ask("audiences.versions", path=_QUIET, query={"limit": 2})
    ask("audiences.history", path=_QUIET, query={"limit": 2})
    ask("audiences.diff", path=_QUIET, query={"limit": 2})
    ask("audiences.live", path=_QUIET, query={"every": 5, "events": 1})
    ask("audiences.members", path=_QUIET, query={"limit": 2})
    ask("audiences.member", path={**_QUIET, "device": "d7"})
    ask("memberships.read", {"devices": ["d7", "d99"], "audiences": ["quiet", built["name"]]})
    ask("audiences.verify", path=_QUIET)
    ask("audiences.rollback", {"version": 1}, path=_QUIET)
    ask("ingest.batch", _EVENTS)
    _wait_for_letters(service)
    (letter,) = ask("ingest.letters", query={"limit": 2})["letters"]
    ask("ingest.health")
    right = {**letter["record"], "props": {"revenue": 1250, "product_line": "MX"}}
    ask("ingest.replay", {"ids": [letter["id"]], "corrected": {letter["id"]: right}})
    made = ask("links.create", {"destination": "https://shop.example/sale", "name": "june mailing"})
    ask("links.list")
    ask("links.follow", path={"code": made["code"]})
    ask("pixel.script")
    record.kept["pixel.script"]["answer"] = (
        "(function (w, d, n) { … })(window, document, navigator);"
    )
    shop = "https://shop.example"
    ingest = service.house.settings.ingest
    open_to = ingest.model_copy(update={"origins": {str(service.client): (shop,)}})
    service.house.settings = service.house.settings.model_copy(update={"ingest": open_to})
    seen = {"t": "page", "ts": 1_781_460_300_000, "props": {"url": "shop.example/sale"}}
    sent = {"c": service.client, "d": "01K0DEVICE000000000000000A", "e": [seen]}
    ask("pixel.send", sent, headers={"Origin": shop})
    ask("pixel.device", {"c": service.client}, headers={"Origin": shop})
    apps = {"com.shop.app": App(client=service.client, unsigned=True)}
    ingest = ingest.model_copy(update={"apps": apps})
    service.house.settings = service.house.settings.model_copy(update={"ingest": ingest})
    ask("postbacks.appsflyer", _POSTBACK)
    somebody = {"devices": ["device-1"]}
    ask("privacy.export", somebody)
    ask("privacy.rectify", {**somebody, "traits": {"plan": "silver"}})
    ask("privacy.object", {**somebody, "to": ["dsp"]})
    ask("privacy.erase", somebody)
    ask("links.end", path={"code": made["code"]})
    ask("sync.plan", {"files": _FILES})
    ask("sync.apply", {"files": _FILES, "state": record.kept["sync.plan"]["answer"]["state"]})
    ask("catalog.read")
    ask("schedule.read")
    made = ask("tokens.create", {"name": "dashboard", "role": "viewer", "expires": "90d"})
    ask("tokens.list")
    ask("tokens.revoke", path={"id": made["id"]})
    password = "correct horse battery staple"
    ana = {"name": "ana", "role": "client_manager", "password": password}
    user = ask("users.create", ana, shown={**ana, "password": "…"})
    ask("users.list")
    login = {"client_id": service.client, "name": "ana", "password": password}
    first = ask("session.login", login, shown={**login, "password": "…"})
    next_ = ask("session.refresh", {"refresh_token": first["refresh_token"]})
    ask("session.logout", {"refresh_token": next_["refresh_token"]})
    ask("users.change", {"role": "viewer"}, path={"id": user["id"]})
    ask("audit.read", query={"action": "users.*", "limit": 2})
    ask("audit.verify")
    ask("service.metrics")
    ask("service.health")
    ask("service.ready")
    # What is listed at length shows how it looks with few.
    schedule, listed = (record.kept[one]["answer"] for one in ("schedule.read", "tokens.list"))
    schedule["audiences"] = schedule["audiences"][:2]
    listed["tokens"] = [one for one in listed["tokens"] if one["name"] == made["name"]]
    lines = record.kept["service.metrics"]["answer"].splitlines()
    record.kept["service.metrics"]["answer"] = "\n".join(lines[:4]) + "\n"
    return record.kept


def _wait_for_letters(service: Service) -> None:
    late = time.monotonic() + 20
    while not service.ok("GET", "/ingest/dead-letters")["letters"]:
        assert time.monotonic() < late
        time.sleep(0.02)


def plain(kept: dict[str, dict[str, Any]], client: int) -> Any:
    """The examples of client 3, without secrets."""
    text = json.dumps(kept, ensure_ascii=False)
    text = re.sub(rf"(?<!\d){client}(?!\d)", "3", text)
    text = re.sub(r"(relo[a-z]*_3_)[A-Za-z0-9_-]{8,}", r"\1…", text)
    text = re.sub(r'"01[0-9a-f]{30}"', '"01a214bfe8b813f7be6f6ed4701fd7cf"', text)
    text = re.sub(r"eyJ[\w-]+\.[\w-]+\.[\w-]+", "eyJ…", text)
    return json.loads(text)


def shape(value: Any) -> Any:
    """What is in an answer, without the values; objects by devices or counts are alike."""
    match value:
        case dict():
            return {name: shape(part) for name, part in value.items()}
        case list():
            return sorted({json.dumps(shape(part)) for part in value})
        case bool() | str() | None:
            return type(value).__name__
        case int() | float():
            return "number"


def test_they_are_what_is_answered(service: Service) -> None:
    found = plain(scenario(service), service.client)
    if os.environ.get("EXAMPLES_UPDATE"):
        _FILE.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    kept = json.loads(_FILE.read_text(encoding="utf-8"))
    assert found.keys() == kept.keys()
    for operation, example in kept.items():
        assert shape(example) == shape(found[operation]), operation


def test_every_operation_has_them(service: Service) -> None:
    paths = make_app(service.house).openapi()["paths"]
    for known in OPERATIONS.values():
        if known.path in ("/docs", "/openapi.json"):
            continue
        operation = paths[known.path][known.method.lower()]
        good = [r for code, r in operation["responses"].items() if code[0] in "23"]
        contents = [content for one in good for content in one.get("content", {}).values()]
        if not {"204", "302"} & operation["responses"].keys():
            assert any("example" in content for content in contents), known.name
        if "requestBody" in operation:
            assert operation["requestBody"]["content"]["application/json"]["examples"], known.name
        for parameter in operation.get("parameters", ()):
            if parameter.get("required"):
                assert "example" in parameter, (known.name, parameter["name"])
