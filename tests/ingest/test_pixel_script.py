"""The pixel's script where things go wrong: consent, proofs, full disks, refusals, odd texts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route

from relo_dsl.engine.key import device_key
from tests.api.conftest import Service
from tests.ingest.test_batch import stored
from tests.ingest.test_pixel import flags, kinds, rest, snippet, until, visiting

WAITING = snippet().replace("{client_id: 1}", "{client_id: 1, consent: 'wait'}")
#: What Chromium writes where a test has requests fail.
FAILED = "Failed to load resource|ERR_INTERNET_DISCONNECTED"


@pytest.fixture
def opt_in(service: Service) -> Service:
    """A client where nobody has agreed to anything before they say so."""
    catalog = service.folder / "segments/catalog.yaml"
    catalog.write_text(f"{catalog.read_text()}consent_defaults: {{{service.client}: opt-in}}\n")
    return service


def queued(page: Page) -> list[dict[str, Any]]:
    """What waits in the browser."""
    found: list[dict[str, Any]] = json.loads(
        page.evaluate("localStorage.getItem('_relo_queue') || '[]'")
    )
    return found


def device(page: Page) -> str:
    return {one["name"]: one["value"] for one in page.context.cookies()}.get("_relo_id", "")


def proof(page: Page) -> str:
    return {one["name"]: one["value"] for one in page.context.cookies()}.get("_relo_proof", "")


def flags_of(service: Service, visitor: str) -> list[int]:
    """The flags of one device, record by record."""
    key = device_key(service.house.key, service.client, visitor).hex()
    found = service.engine.rows(
        "SELECT flags FROM consent WHERE client_id = {c:UInt32} "
        "AND lower(hex(device)) = {d:String} ORDER BY time, flags DESC",
        {"c": service.client, "d": key},
    )
    return [int(row[0]) for row in found]


# ---- consent -------------------------------------------------------------------------------------


@pytest.mark.parametrize("said", ["by the browser", "by the page"])
def test_only_an_answer_about_analytics_ends_waiting(
    service: Service, browser: Browser, said: str
) -> None:
    with visiting(service, browser, WAITING) as (page, url):
        if said == "by the browser":
            page.add_init_script(
                "Object.defineProperty(Navigator.prototype, 'globalPrivacyControl',"
                " {get: () => true})"
            )
        page.goto(url)
        if said == "by the page":
            page.evaluate("relo('consent', {ads: false})")
        page.goto(f"{url}/later")
        page.wait_for_timeout(1_000)
        assert kinds(service) == {}
        page.evaluate("relo('consent', {analytics: true})")
        until(lambda: kinds(service) == {"page": 2}, page)
    assert flags(service, 1) == [251]


def test_who_agreed_to_everything_is_not_waited_for_again(
    service: Service, browser: Browser
) -> None:
    with visiting(service, browser, WAITING) as (page, url):
        page.goto(url)
        page.evaluate("relo('consent', {analytics: true, ads: true})")
        until(lambda: kinds(service) == {"page": 1}, page)
        page.goto(f"{url}/later")
        until(lambda: kinds(service) == {"page": 2}, page)


def test_a_refusal_takes_no_other_withdrawal_with_it(service: Service, browser: Browser) -> None:
    with visiting(service, browser) as (page, url):
        page.goto(url)
        until(lambda: kinds(service) == {"page": 1}, page)
        page.evaluate(
            "relo('event', 'unseen', {}); relo('consent', {ads: false});"
            "relo('consent', {analytics: false})"
        )
        assert flags(service, 1) == [250]
        assert kinds(service) == {"page": 1}


def test_a_withdrawal_outlives_many_events(service: Service, browser: Browser) -> None:
    with visiting(service, browser) as (page, url):
        page.goto(url)
        until(lambda: kinds(service) == {"page": 1}, page)
        page.context.set_offline(True)
        page.evaluate("relo('consent', {ads: false})")
        page.evaluate("for (var i = 0; i < 600; i++) relo('event', 'look', {})")
        assert len(queued(page)) == 500
        page.context.set_offline(False)
        assert flags(service, 1) == [251]
        until(lambda: kinds(service).get("look") == 499, page)


def test_what_was_said_last_holds(service: Service, browser: Browser) -> None:
    """What waits of the same consent is not sent after it."""
    with visiting(service, browser) as (page, url):
        page.goto(url)
        until(lambda: kinds(service) == {"page": 1}, page)
        page.context.set_offline(True)
        page.evaluate(
            "relo('consent', {ads: true, email: false}); relo('consent', {ads: false});"
            "relo('consent', {email: true})"
        )
        said = [(one.get("clear"), one.get("grant")) for one in queued(page)]
        assert said == [(4, None), (None, 16)]
        page.context.set_offline(False)
        assert flags(service, 1) == [251], "all at once"


# ---- the proof -----------------------------------------------------------------------------------


def test_a_grant_waits_for_its_proof(opt_in: Service, browser: Browser) -> None:
    """And what was withdrawn meanwhile is withdrawn of both ids."""
    with visiting(opt_in, browser, noise=FAILED) as (page, url):
        page.route("**/p/device", lambda route: route.fulfill(status=503))
        page.goto(url)
        page.evaluate("relo('consent', {analytics: true, ads: true, email: false})")
        page.evaluate("relo('event', 'look', {})")
        until(lambda: kinds(opt_in) == {"page": 1, "look": 1}, page)
        first = device(page)
        assert first
        assert not proof(page)
        assert flags(opt_in, 1) == [0]
        assert [one["grant"] for one in queued(page)] == [5]
        page.unroute("**/p/device")
        until(lambda: 5 in flags_of(opt_in, device(page)), page)
        second = device(page)
        assert second != first
        assert proof(page)
        assert flags_of(opt_in, second) == [5]
        assert queued(page) == []
        page.evaluate("relo('consent', {ads: false})")
        until(lambda: flags_of(opt_in, second)[-1:] == [1], page)
        until(lambda: len(flags_of(opt_in, first)) >= 2, page)
        page.goto(f"{url}/later")
        until(lambda: kinds(opt_in) == {"page": 2, "look": 1}, page)
        assert device(page) == second
        assert flags_of(opt_in, second)[-1] == 1


def test_the_next_page_asks_for_the_proof_again(opt_in: Service, browser: Browser) -> None:
    """Also where the first was left before the service had answered."""
    with visiting(opt_in, browser, noise=FAILED) as (page, url):
        held: list[Route] = []
        page.route("**/p/device", lambda route: held.append(route))
        page.goto(url)
        page.evaluate("relo('consent', {analytics: true})")
        until(lambda: bool(held), page)
        page.goto(f"{url}/next")
        first = device(page)
        assert first
        page.unroute("**/p/device")
        page.goto(f"{url}/third")
        until(lambda: flags_of(opt_in, device(page)) == [1], page)
        assert device(page) != first
        until(lambda: kinds(opt_in) == {"page": 3}, page)


def test_who_grants_nothing_keeps_an_id(service: Service, browser: Browser) -> None:
    with visiting(service, browser, noise=FAILED) as (page, url):
        page.route("**/p/device", lambda route: route.abort("internetdisconnected"))
        page.goto(url)
        until(lambda: kinds(service) == {"page": 1}, page)
        first = device(page)
        page.unroute("**/p/device")
        page.evaluate("relo('consent', {email: false})")
        page.goto(f"{url}/next")
        until(lambda: kinds(service) == {"page": 2}, page)
        assert device(page) == first
        assert flags(service, 1) == [239]


def test_tabs_agree_on_an_id(opt_in: Service, browser: Browser) -> None:
    """What one tab was told the other takes over, the id never without its proof."""
    with visiting(opt_in, browser, noise=FAILED) as (page, url):
        page.route("**/p/device", lambda route: route.fulfill(status=503))
        page.goto(url)
        until(lambda: kinds(opt_in) == {"page": 1}, page)
        first = device(page)
        other = page.context.new_page()
        other.goto(f"{url}/other")
        other.evaluate("relo('consent', {analytics: true})")
        until(lambda: device(page) != first, other)
        second, told = device(page), proof(page)
        page.evaluate("relo('event', 'look', {})")
        until(lambda: kinds(opt_in) == {"page": 2, "look": 1}, page)
        page.evaluate("relo('consent', {ads: true})")
        until(lambda: flags_of(opt_in, second) == [5, 5], page)
        assert (device(page), proof(page)) == (second, told)
    stored(opt_in, 0, "dead_letters")


# ---- what is large, and what is refused ----------------------------------------------------------


def test_large_events_go_in_more_requests(service: Service, browser: Browser) -> None:
    with visiting(service, browser) as (page, url):
        sizes: list[int] = []
        page.on("request", lambda one: sizes.append(len(one.post_data_buffer or b"")))
        page.goto(url)
        page.evaluate(
            "for (var i = 0; i < 60; i++) relo('event', 'look', {text: new Array(500).join('ñé€')})"
        )
        until(lambda: kinds(service) == {"page": 1, "look": 60}, page)
        assert 50_000 < max(sizes) < 64_000


def test_one_bad_event_is_given_up_alone(service: Service, browser: Browser) -> None:
    with visiting(service, browser, noise=f"{FAILED}|relo: 422 from") as (page, url):

        def bad(route: Route) -> None:
            if "poison" not in (route.request.post_data or ""):
                route.continue_()
                return
            headers = {"access-control-allow-origin": url}
            route.fulfill(status=422, headers=headers)

        page.route("**/p", bad)
        page.goto(url)
        page.evaluate(
            "for (var i = 0; i < 40; i++) relo('event', i === 17 ? 'poison' : 'look', {})"
        )
        until(lambda: kinds(service) == {"page": 1, "look": 39}, page)
        until(lambda: queued(page) == [], page)


def test_an_event_that_is_too_large_blocks_no_other(service: Service, browser: Browser) -> None:
    """As the service refuses it, from another host than the shop's."""
    with visiting(service, browser, noise=f"{FAILED}|relo: 413 from") as (page, url):
        page.goto(url)
        page.evaluate("relo('event', 'huge', {text: new Array(300000).join('x')})")
        page.evaluate("relo('event', 'look', {})")
        until(lambda: kinds(service) == {"page": 1, "look": 1}, page)
        until(lambda: queued(page) == [], page)


def test_what_the_service_asks_to_wait_is_waited(service: Service, browser: Browser) -> None:
    with visiting(service, browser, noise=FAILED) as (page, url):
        asked: list[str] = []

        def busy(route: Route) -> None:
            asked.append(route.request.post_data or "")
            headers = {
                "access-control-allow-origin": url, "retry-after": "3",
                "access-control-expose-headers": "Retry-After",
            }  # fmt: skip
            route.fulfill(status=429, headers=headers)

        page.route("**/p", busy)
        page.goto(url)
        until(lambda: bool(asked), page)
        page.evaluate("relo('event', 'look', {})")
        page.wait_for_timeout(2_000)
        assert len(asked) == 1
        page.unroute("**/p")
        until(lambda: kinds(service) == {"page": 1, "look": 1}, page)


def test_what_cannot_be_written_as_json_stops_nothing(service: Service, browser: Browser) -> None:
    with visiting(service, browser, noise="relo: cannot send") as (page, url):
        page.goto(url)
        page.evaluate("relo('event', 'odd', {n: BigInt(1)})")
        page.evaluate("relo('event', 'look', {})")
        until(lambda: kinds(service) == {"page": 1, "look": 1}, page)


# ---- storage, texts, what a visit brings ---------------------------------------------------------


def test_a_full_storage_loses_no_events(service: Service, browser: Browser) -> None:
    with visiting(service, browser) as (page, url):
        page.goto(url)
        until(lambda: kinds(service) == {"page": 1}, page)
        page.evaluate(
            "for (var size = 1 << 20, name = 0; size >= 1; ) {"
            "  try { localStorage.setItem('f' + name++, new Array(size + 1).join('x')) }"
            "  catch (e) { size = size >> 1 } }"
        )
        for number in range(3):
            page.evaluate(f"relo('event', 'look', {{n: {number}}})")
        until(lambda: kinds(service) == {"page": 1, "look": 3}, page)
        page.evaluate("relo('consent', {analytics: false})")
        page.evaluate("relo('event', 'unseen', {})")
        assert flags(service, 1) == [254]
        page.wait_for_timeout(500)
        assert kinds(service) == {"page": 1, "look": 3}


def test_texts_are_whole(service: Service, browser: Browser) -> None:
    """A service refuses half a character, and with it all that was sent together."""
    with visiting(service, browser) as (page, url):
        page.goto(url)
        until(lambda: kinds(service) == {"page": 1}, page)
        page.evaluate("document.title = new Array(200).join('x') + '😀'; relo('page')")
        page.evaluate("relo('event', 'look', {text: 'a\\ud83d', path: '\\\\ud83d', whole: '😀'})")
        until(lambda: kinds(service) == {"page": 2, "look": 1}, page)
    found = rest(service)
    assert [one["title"] for one in found if "title" in one] == ["Shop", "x" * 199]
    (look,) = [one for one in found if "path" in one]
    assert (look["text"], look["path"], look["whole"]) == ("a\ufffd", "\\ud83d", "😀")


def test_what_a_visit_brought_ends(service: Service, browser: Browser) -> None:
    """With the next visit that brings something, or after 90 days."""
    names = ("gclid", "utm_source", "utm_medium")

    def brought() -> list[tuple[Any, ...]]:
        pages = sorted((one for one in rest(service) if "url" in one), key=lambda one: one["n"])
        return [tuple(one.get(name) for name in names) for one in pages]

    with visiting(service, browser, WAITING.replace("relo('page');", "")) as (page, url):
        page.goto(f"{url}/?gclid=g-1&utm_source=a&utm_medium=cpc")
        page.evaluate("relo('consent', {analytics: true}); relo('page', {n: 1})")
        page.goto(f"{url}/inside")
        page.evaluate("relo('page', {n: 2})")
        page.goto(f"{url}/?utm_source=b")
        page.evaluate("relo('page', {n: 3})")
        until(lambda: len(brought()) == 3, page)
        page.goto(f"{url}/inside")
        page.evaluate("var now = Date.now; Date.now = () => now() + 91 * 86400000")
        page.evaluate("relo('page', {n: 4})")
        until(lambda: len(brought()) == 4, page)
    first = ("g-1", "a", "cpc")
    assert brought() == [first, first, (None, "b", None), (None, None, None)]
