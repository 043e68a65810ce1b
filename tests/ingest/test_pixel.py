"""The pixel: what the script sends from a real page, and what the service takes from pages."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from relo_server.spool import SpoolError
from tests.api.conftest import NOW, Service
from tests.conftest import REPOSITORY
from tests.ingest.test_batch import stored
from tests.ingest.test_links import PHONE

SHOP = "https://shop.example"
DEVICE = "01K0DEVICE000000000000000A"


@pytest.fixture
def allowed(service: Service) -> Service:
    """A service that takes events from pages of a shop."""
    _allow(service, SHOP)
    return service


def _allow(service: Service, *origins: str) -> None:
    ingest = service.house.settings.ingest.model_copy(
        update={"origins": {str(service.client): origins}}
    )
    service.house.settings = service.house.settings.model_copy(update={"ingest": ingest})


def event(type_: str = "page", **props: Any) -> dict[str, Any]:
    return {"t": type_, "ts": NOW - 1_000, "props": props}


def post(service: Service, *events: Any, origin: str = SHOP, **headers: str) -> Any:
    body = json.dumps({"c": service.client, "d": DEVICE, "e": list(events)})
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return service.http.post(
        "/p", content=body, headers={"origin": origin, "user-agent": PHONE, **named}
    )


def rest(service: Service) -> list[dict[str, Any]]:
    """The properties of the client's events that the catalog does not name, as they came in."""
    rows = service.engine.rows(
        "SELECT rest FROM events WHERE client_id = {c:UInt32} ORDER BY time, rest",
        {"c": service.client},
    )
    return [json.loads(row[0]) for row in rows if row[0]]


def test_a_page_is_taken_with_what_is_known_of_the_visitor(allowed: Service) -> None:
    answer = post(allowed, event(url="shop.example/"), x_forwarded_for="189.203.1.1")
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == SHOP
    stored(allowed, 1)
    assert rest(allowed) == [
        {"url": "shop.example/", "country": "MX", "device": "SM-S921",
         "browser": "Chrome Mobile", "system": "Android"}
    ]  # fmt: skip


@pytest.mark.parametrize("origin", ["https://other.example", "null", "http://shop.example"])
def test_other_pages_may_not(allowed: Service, origin: str) -> None:
    answer = post(allowed, event(), origin=origin)
    assert answer.status_code == 403
    assert answer.json()["type"] == "urn:relo:problem:other_origin"
    assert "[ingest.origins]" in answer.json()["hint"]
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("path", ["/p", "/p/device"])
@pytest.mark.parametrize("size", [1, 300_000, 5_000_000])
def test_a_page_may_read_what_was_wrong(allowed: Service, path: str, size: int) -> None:
    """Or it would take a refusal for a lost network, and try for ever."""
    answer = allowed.http.post(path, content="x" * size, headers={"origin": SHOP})
    assert answer.status_code in (413, 422)
    assert answer.headers["access-control-allow-origin"] == SHOP
    assert answer.headers["access-control-expose-headers"] == "Retry-After"
    assert "origin" in answer.headers["vary"].lower()


@pytest.mark.parametrize("path", ["/p", "/p/device"])
def test_a_page_may_read_that_it_has_to_wait(
    allowed: Service, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    def full(*_: object) -> None:
        raise SpoolError("the disk is full", "make room", retry_after=7)

    monkeypatch.setattr(allowed.house.intake, "keep", full)
    monkeypatch.setattr(allowed.house.proofs, "of", full)
    body = {"c": allowed.client, **({"d": DEVICE, "e": []} if path == "/p" else {})}
    answer = allowed.http.post(path, content=json.dumps(body), headers={"origin": SHOP})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "7")
    assert answer.headers["access-control-allow-origin"] == SHOP


def test_pages_of_others_may_read_nothing(allowed: Service) -> None:
    for origin, body in (("https://other.example", ""), ("null", ""), ("https://o.example", "{}")):
        answer = allowed.http.post("/p", content=body, headers={"origin": origin})
        assert "access-control-allow-origin" not in answer.headers
        assert "origin" in answer.headers["vary"].lower()


@pytest.mark.parametrize(
    "body",
    [
        "", "[]", "{}", '{"c": 1, "d": "", "e": []}', '{"c": -1, "d": "x", "e": []}',
        '{"c": "1", "d": "x", "e": []}', '{"c": 1, "d": "x", "e": [1]}', '{"c": 1, "d": "x"}',
        json.dumps({"c": 1, "d": "x", "e": [{}] * 101}),
    ],
)  # fmt: skip
def test_what_the_pixel_does_not_send(allowed: Service, body: str) -> None:
    answer = allowed.http.post("/p", content=body, headers={"origin": SHOP})
    assert answer.status_code == 422
    assert answer.json()["hint"] == "use `r.js`"


def test_it_is_no_way_to_send_much(allowed: Service) -> None:
    body = "x" * (256 * 1024 + 1)
    assert allowed.http.post("/p", content=body, headers={"origin": SHOP}).status_code == 413


def test_a_page_may_not_say_who_somebody_is_nor_grant_anything(allowed: Service) -> None:
    post(
        allowed,
        {"t": "identify", "ts": NOW, "traits": {"plan": "gold"}},
        {"t": "consent", "ts": NOW, "consent": 255},
        {"t": "consent", "ts": NOW, "clear": 0},
        event("purchase", revenue=5),
    )
    stored(allowed, 1)
    stored(allowed, 3, "dead_letters")
    stored(allowed, 0, "consent")


@pytest.mark.parametrize("given", [255, 0, None, "255"])
@pytest.mark.parametrize("type_", ["purchase", "page", "event"])
def test_a_page_may_not_say_what_its_events_may_be_used_for(
    allowed: Service, type_: str, given: object
) -> None:
    """Not with a proof either: what the visitor said holds."""
    told = told_device(allowed).json()
    as_visitor(allowed, told["d"], told["s"], {"t": "consent", "ts": NOW, "clear": 255})
    flagged = {"t": type_, "ts": NOW - 1_000, "flags": given}
    as_visitor(allowed, told["d"], told["s"], flagged, {"t": "visit", "ts": NOW})
    stored(allowed, 1)
    stored(allowed, 1, "dead_letters")
    (letter,) = allowed.ok("GET", "/ingest/dead-letters")["letters"]
    assert letter["field"] == "flags"


def test_a_fast_clock_puts_nothing_into_the_future(allowed: Service) -> None:
    post(allowed, {**event(), "ts": NOW + 86_400_000})
    rows = allowed.engine.rows
    stored(allowed, 1)
    time_ = "SELECT toUnixTimestamp64Milli(time) FROM events WHERE client_id = {c:UInt32}"
    assert rows(time_, {"c": allowed.client}) == [(NOW,)]


def flags(service: Service, count: int) -> list[int]:
    """The flags of the device, record by record."""
    stored(service, count, "consent")
    found = service.engine.rows(
        "SELECT flags FROM consent WHERE client_id = {c:UInt32} ORDER BY time, flags DESC",
        {"c": service.client},
    )
    return [int(row[0]) for row in found]


def test_bits_are_cleared_and_the_others_stay(allowed: Service) -> None:
    said = {"t": "consent", "ts": 1, "did": DEVICE, "consent": 127, "eid": "first"}
    allowed.ok("POST", "/ingest/batch", [said])
    assert flags(allowed, 1) == [127]
    post(allowed, {"t": "consent", "ts": NOW, "clear": 16, "eid": "second"})
    assert flags(allowed, 2) == [127, 111]
    # Two in one block, of which the second follows the first.
    post(
        allowed,
        {"t": "consent", "ts": NOW, "clear": 1, "eid": "a"},
        {"t": "consent", "ts": NOW, "clear": 2, "eid": "b"},
    )
    assert flags(allowed, 4) == [127, 110, 110, 108]


def test_no_visitor_stands_in_the_id_of_a_signal(allowed: Service) -> None:
    body = json.dumps({"c": allowed.client, "d": DEVICE, "e": []})
    headers = {"origin": SHOP, "sec-gpc": "1"}
    for _ in range(2):  # the second is a copy: once a day
        assert allowed.http.post("/p", content=body, headers=headers).status_code == 204
    assert flags(allowed, 1) == [251]
    written = b"".join(
        path.read_bytes() for path in (allowed.folder / "data").rglob("*") if path.is_file()
    )
    assert DEVICE.encode() not in written


def test_what_a_page_may_not_say_is_not_said_by_a_replay(allowed: Service) -> None:
    post(
        allowed,
        {"t": "identify", "ts": NOW, "traits": {"plan": "gold"}},
        {"t": "consent", "ts": NOW, "consent": 255},
        {"t": "consent", "ts": NOW, "grant": 4},
    )
    stored(allowed, 3, "dead_letters")
    ids = [one["id"] for one in allowed.ok("GET", "/ingest/dead-letters")["letters"]]
    answer = allowed.ok("POST", "/ingest/dead-letters/replay", {"ids": ids})
    assert answer["accepted"] == 0
    assert {one["id"] for one in answer["refused"]} == set(ids)
    stored(allowed, 0, "consent")
    stored(allowed, 0, "traits")


def test_an_event_that_is_no_text_is_refused_by_itself(allowed: Service) -> None:
    one, other = event("purchase", title="half \ud83d of it"), event("purchase", revenue=5)
    post(allowed, one, other)
    stored(allowed, 1)
    stored(allowed, 1, "dead_letters")


def test_without_a_record_the_default_is_what_bits_are_cleared_of(allowed: Service) -> None:
    post(allowed, {"t": "consent", "ts": NOW, "clear": 4, "eid": "a"})
    assert flags(allowed, 1) == [251]


def told_device(service: Service, origin: str = SHOP) -> Any:
    body = json.dumps({"c": service.client})
    return service.http.post("/p/device", content=body, headers={"origin": origin})


def as_visitor(service: Service, device: str, proof: str, *events: Any) -> int:
    body = json.dumps({"c": service.client, "d": device, "e": list(events), "s": proof})
    status: int = service.http.post("/p", content=body, headers={"origin": SHOP}).status_code
    return status


GRANTED = {"t": "consent", "ts": NOW, "grant": 5}


def test_a_device_that_was_told_its_proof_may_grant(allowed: Service) -> None:
    answer = told_device(allowed)
    assert answer.headers["access-control-allow-origin"] == SHOP
    assert answer.headers["cache-control"] == "no-store"
    told = answer.json()
    withdrawn = {"t": "consent", "ts": NOW, "clear": 7, "eid": "a"}
    assert as_visitor(allowed, told["d"], told["s"], withdrawn) == 204
    allowed.house.clock = lambda: NOW + 1
    assert as_visitor(allowed, told["d"], told["s"], {**GRANTED, "eid": "b"}) == 204
    assert flags(allowed, 2) == [248, 253]
    assert told_device(allowed).json() != told


def test_no_other_proof_does(allowed: Service) -> None:
    told, other = told_device(allowed).json(), told_device(allowed).json()
    client = allowed.client
    proofs = [
        "", other["s"], told["s"][:-1], told["s"] + "A", "é",
        allowed.house.proofs.of(client + 1, told["d"]),
    ]  # fmt: skip
    for number, proof in enumerate(proofs):
        assert as_visitor(allowed, told["d"], proof, {**GRANTED, "eid": f"e{number}"}) == 204
    stored(allowed, len(proofs), "dead_letters")
    stored(allowed, 0, "consent")


@pytest.mark.parametrize("wrong", [
    {"grant": 0}, {"grant": 256}, {"grant": "5"}, {"grant": 5, "clear": 4}, {"grant": True}, {},
    {"grant": 1, "consent": 255},
])  # fmt: skip
def test_what_is_no_grant(allowed: Service, wrong: dict[str, Any]) -> None:
    told = told_device(allowed).json()
    as_visitor(allowed, told["d"], told["s"], {"t": "consent", "ts": NOW, **wrong})
    stored(allowed, 1, "dead_letters")
    stored(allowed, 0, "consent")


def test_pages_of_others_are_told_no_device(allowed: Service) -> None:
    assert told_device(allowed, "https://other.example").status_code == 403
    for body in ("", "[]", '{"c": true}', '{"c": -1}', "{}"):
        answer = allowed.http.post("/p/device", content=body, headers={"origin": SHOP})
        assert answer.status_code == 422


def test_global_privacy_control_withdraws_ads_once_a_day(allowed: Service) -> None:
    for _ in range(3):
        post(allowed, event(), sec_gpc="1")
    assert flags(allowed, 1) == [251]


def test_the_script_is_cached(service: Service) -> None:
    first = service.http.get("/r.js")
    assert first.headers["content-type"].startswith("text/javascript")
    assert "max-age=3600" in first.headers["cache-control"]
    assert len(first.content) < 11_000
    again = service.http.get("/r.js", headers={"if-none-match": first.headers["etag"]})
    assert again.status_code == 304
    assert not again.content


# ---- in a browser --------------------------------------------------------------------------------


def snippet(page: str = "docs/guides/pixel.md") -> str:
    """What the guide, or another page, tells to paste."""
    guide = (REPOSITORY / page).read_text(encoding="utf-8")
    return guide.partition("```html\n")[2].partition("```")[0]


@contextmanager
def shop(head: str) -> Iterator[str]:
    """A page of a shop on a server of its own."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = f"<!doctype html><html><head><title>Shop</title>{head}</head><body>Hi".encode()
            self.send_response(200)
            self.send_header("content-type", "text/html; charset=utf-8")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def visiting(
    service: Service, browser: Browser, pasted: str = "", noise: str = "ERR_INTERNET_DISCONNECTED",
    **context: Any,
) -> Iterator[tuple[Page, str]]:  # fmt: skip
    """A page with the snippet, in a browser that says it is a person's. It may complain of `noise`
    alone.
    """
    here = str(service.http.base_url).rstrip("/")
    pasted = re.sub(r"'https?://[^/']+/r\.js'", f"'{here}/r.js'", pasted or snippet())
    pasted = re.sub(r"client_id: \d+", f"client_id: {service.client}", pasted)
    with shop(pasted) as url:
        _allow(service, url)
        with browser.new_context(user_agent=PHONE, **context) as found:
            page = found.new_page()
            troubles: list[str] = []
            page.on("console", lambda message: troubles.append(message.text))
            page.on("pageerror", lambda error: troubles.append(str(error)))
            yield page, url
            assert [one for one in troubles if not re.search(noise, one)] == []


def until(holds: Callable[[], bool], page: Page) -> None:
    late = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < late
        page.wait_for_timeout(50)


def kinds(service: Service) -> dict[str, int]:
    rows = service.engine.rows(
        "SELECT event_type, count() FROM events WHERE client_id = {c:UInt32} GROUP BY event_type",
        {"c": service.client},
    )
    return {str(name): int(count) for name, count in rows}


def test_the_pasted_snippet_works(service: Service, browser: Browser) -> None:
    with visiting(service, browser) as (page, url):
        page.context.add_cookies([{"name": "_fbp", "value": "fb.1.2.3", "url": url}])
        page.goto(f"{url}/sale?gclid=g-1&email=ana@example.com")
        until(lambda: kinds(service) == {"page": 1}, page)
        (seen,) = rest(service)
        assert seen["url"] == f"{url.removeprefix('http://')}/sale", "without its query"
        assert (seen["title"], seen["gclid"], seen["fbp"]) == ("Shop", "g-1", "fb.1.2.3")
        page.evaluate(
            "relo('event', 'purchase', {revenue: 149.9, product_line: 'MX', products: ["
            "{id: 'A-1', name: 'Shoe', price: 99.9, qty: 1}, "
            "{id: 'B-2', name: 'Sock', price: 25, qty: 2}]})"
        )
        until(lambda: kinds(service) == {"page": 1, "purchase": 1}, page)
        cookies = {one["name"]: one["value"] for one in page.context.cookies()}
        page.goto(f"{url}/again")
        until(lambda: kinds(service) == {"page": 2, "purchase": 1}, page)
        after = {one["name"]: one["value"] for one in page.context.cookies()}
        assert cookies["_relo_id"] == after["_relo_id"]
    text = 'audience socks\nmatch\n  purchase[any products[id = "B-2" and qty >= 2]]\n'
    catalog = service.folder / "segments/catalog.yaml"
    catalog.write_text(catalog.read_text().replace(
        "gift: boolean",
        "gift: boolean\n      products: {type: 'object[]', fields: {id: string, qty: number}}",
    ))  # fmt: skip
    found = service.ok("POST", "/segments/preview", {"text": text})
    assert found["definitions"][0]["size"] == 1


def test_the_snippet_of_the_readme_works(service: Service, browser: Browser) -> None:
    """And what it sends is found by a definition a moment later."""
    with visiting(service, browser, snippet("README.md")) as (page, url):
        page.goto(f"{url}/page.html")
        until(lambda: kinds(service) == {"page": 1, "purchase": 1}, page)
    text = "audience buyers\nmatch\n  purchase.revenue > 149 within 1d\n"
    found = service.ok("POST", "/segments/preview", {"text": text})
    assert found["definitions"][0]["size"] == 1


def test_offline_and_back(service: Service, browser: Browser) -> None:
    with visiting(service, browser) as (page, url):
        page.goto(url)
        until(lambda: kinds(service) == {"page": 1}, page)
        page.context.set_offline(True)
        for number in range(3):
            page.evaluate(f"relo('event', 'look', {{n: {number}}})")
        page.wait_for_timeout(1_500)
        assert kinds(service) == {"page": 1}
        page.context.set_offline(False)
        until(lambda: kinds(service) == {"page": 1, "look": 3}, page)
        page.wait_for_timeout(500)
        assert page.evaluate("localStorage.getItem('_relo_queue')") == "[]"


def test_what_a_page_could_not_send_the_next_one_does(service: Service, browser: Browser) -> None:
    """The last event before leaving is sent twice, by a beacon and by the next page: once it is."""
    with visiting(service, browser) as (page, url):
        page.goto(url)
        page.evaluate("relo('event', 'leave', {})")
        page.goto(f"{url}/next")
        until(lambda: kinds(service) == {"page": 2, "leave": 1}, page)
        page.wait_for_timeout(1_000)
    assert kinds(service) == {"page": 2, "leave": 1}


def test_global_privacy_control(service: Service, browser: Browser) -> None:
    with visiting(service, browser, extra_http_headers={"Sec-GPC": "1"}) as (page, url):
        page.add_init_script(
            "Object.defineProperty(Navigator.prototype, 'globalPrivacyControl', {get: () => true})"
        )
        page.goto(url)
        until(lambda: kinds(service) == {"page": 1}, page)
    assert set(flags(service, 2)) == {251}


def test_consent_withdrawn_on_the_page(service: Service, browser: Browser) -> None:
    with visiting(service, browser) as (page, url):
        page.goto(url)
        until(lambda: kinds(service) == {"page": 1}, page)
        page.evaluate("relo('consent', {analytics: false, ads: false})")
        page.evaluate("relo('event', 'unseen', {})")
        assert flags(service, 1) == [250]
        page.goto(f"{url}/later")
        page.wait_for_timeout(1_000)
        assert kinds(service) == {"page": 1}


def test_consent_given_on_the_page(service: Service, browser: Browser) -> None:
    """By a visitor of a client where nobody has agreed to anything before they say so."""
    catalog = service.folder / "segments/catalog.yaml"
    catalog.write_text(f"{catalog.read_text()}consent_defaults: {{{service.client}: opt-in}}\n")
    with visiting(service, browser) as (page, url):
        page.goto(url)
        page.evaluate("relo('event', 'visit', {})")
        until(lambda: kinds(service) == {"page": 1, "visit": 1}, page)
        text = "audience looked\nmatch\n  visit within 30d\n"
        found = service.ok("POST", "/segments/preview", {"text": text})
        assert found["definitions"][0]["size"] == 0
        page.evaluate("relo('consent', {analytics: true, ads: true})")
        assert flags(service, 1) == [5]
        page.evaluate("relo('event', 'visit', {})")
        until(lambda: kinds(service) == {"page": 1, "visit": 2}, page)
        found = service.ok("POST", "/segments/preview", {"text": text})
        assert found["definitions"][0]["size"] == 1


def test_a_visitor_without_a_network_is_a_visitor(service: Service, browser: Browser) -> None:
    """The page makes the id, and cannot prove it: what it grants is not sent."""
    with visiting(service, browser) as (page, url):
        page.route("**/p/device", lambda route: route.abort("internetdisconnected"))
        page.goto(url)
        page.evaluate("relo('consent', {ads: true})")
        page.evaluate("relo('event', 'look', {})")
        until(lambda: kinds(service) == {"page": 1, "look": 1}, page)
        assert "_relo_proof" not in {one["name"] for one in page.context.cookies()}
    stored(service, 0, "consent")
    stored(service, 0, "dead_letters")


def test_waiting_for_consent(service: Service, browser: Browser) -> None:
    with visiting(service, browser) as (page, url):
        page.goto(url)
        page.evaluate(f"relo('init', {{client_id: {service.client}, consent: 'wait'}})")
        page.evaluate("relo('event', 'held', {})")
        page.wait_for_timeout(1_000)
        assert "held" not in kinds(service)
        page.evaluate("relo('consent', {analytics: true})")
        until(lambda: kinds(service).get("held") == 1, page)
