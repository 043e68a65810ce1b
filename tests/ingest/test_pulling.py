"""AppsFlyer's hourly reports, from a server on this machine that answers as theirs does."""

from __future__ import annotations

import csv
import io
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import SecretStr

from relo_dsl.errors import UserError
from relo_dsl.settings import App, Pull
from relo_dsl.times import UNITS, format_instant, parse_instant
from relo_server.ingest.appsflyer import record_of
from relo_server.ingest.pulling import Cursor, Puller
from tests.api.conftest import NOW, Service
from tests.ingest.test_appsflyer import APP, GAID, at, message
from tests.ingest.test_batch import stored
from tests.ingest.test_pixel import kinds

HOUR, DAY, MINUTE = UNITS["h"], UNITS["d"], UNITS["min"]
#: The columns of raw data V5 that matter here, among others, as they are headed.
COLUMNS = [
    "Attributed Touch Type", "Attributed Touch Time", "Install Time", "Event Time", "Event Name",
    "Event Value", "Event Revenue", "Event Revenue Currency", "Event Revenue USD", "Event Source",
    "Partner", "Media Source", "Channel", "Campaign", "Country Code", "City", "IP", "AppsFlyer ID",
    "Advertising ID", "IDFA", "Android ID", "Customer User ID", "IDFV", "Platform", "App ID",
    "App Name", "Is Retargeting", "Retargeting Conversion Type", "User Agent", "Blocked Reason",
]  # fmt: skip


def row(time: int, name: str = "af_purchase", **more: str) -> dict[str, str]:
    return {
        "Event Time": format_instant(time)[:19].replace("T", " "), "Event Name": name,
        "AppsFlyer ID": "1700000000000-1234567", "Advertising ID": GAID, "IP": "203.0.113.9",
        "App ID": APP, "Platform": "android", **{k.replace("_", " "): v for k, v in more.items()},
    }  # fmt: skip


@dataclass
class Reports:
    """What AppsFlyer has, and how it behaves."""

    rows: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str], str]] = field(default_factory=list)
    status: int = 200
    cut: int | None = None
    """The connection ends after so many bytes."""
    text: bytes | None = None
    """Answered instead of a report."""

    def answer(self, report: str, asked: dict[str, str]) -> bytes:
        if self.text is not None:
            return self.text
        start, end = (parse_instant(asked[name].replace(" ", "T") + ":00Z") for name in
                      ("from", "to"))  # fmt: skip
        found = [
            one for one in self.rows.get(report, [])
            if start <= parse_instant(one["Event Time"].replace(" ", "T") + "Z") < end
        ]  # fmt: skip
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS)
        writer.writeheader()
        writer.writerows(found[: int(asked["maximum_rows"])])
        return b"\xef\xbb\xbf" + text.getvalue().encode()


class _Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        reports: Reports = self.server.reports  # type: ignore[attr-defined]
        parts = urlsplit(self.path)
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        reports.asked.append((parts.path, asked, self.headers["Authorization"]))
        body = reports.answer(parts.path.split("/")[-2], asked)
        self.send_response(reports.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body if reports.cut is None else body[: reports.cut])

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def reports() -> Iterator[tuple[Reports, str]]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Answer) as server:
        server.reports = Reports()  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.reports, f"http://127.0.0.1:{server.server_port}"  # type: ignore[attr-defined]
        server.shutdown()
        thread.join()


@dataclass
class Clock:
    now: int = NOW

    def __call__(self) -> int:
        return self.now


@dataclass
class Pulling:
    service: Service
    reports: Reports
    url: str
    clock: Clock = field(default_factory=Clock)
    pull: Pull = field(default_factory=Pull)

    def puller(self, **more: Any) -> Puller:
        """Another process each time: only the cursors are left of the one before."""
        settings = self.service.house.settings.ingest.model_copy(
            update={
                "apps": {APP: App(client=self.service.client, token=SecretStr("secret-token"))},
                "pull": self.pull.model_copy(update={"url": self.url, **more}),
            }
        )
        house = self.service.house
        return Puller(settings, self.folder, house.intake, self.clock)

    @property
    def folder(self) -> Path:
        return self.service.folder / "pulled"

    def cursor(self, report: str) -> int | None:
        return Cursor(self.folder / APP / report).read()


@pytest.fixture
def pulling(service: Service, reports: tuple[Reports, str]) -> Pulling:
    return Pulling(service, *reports)


def test_the_four_reports_become_events(pulling: Pulling) -> None:
    pulling.reports.rows = {
        "installs_report": [row(NOW - HOUR, "install", Media_Source="tiktok", Campaign="spring")],
        "in_app_events_report": [
            row(NOW - HOUR, Event_Value='{"sku": "A\nB", "quantity": 2}', Event_Revenue="12.50",
                Event_Revenue_Currency="USD", Customer_User_ID="ana"),
            row(NOW - HOUR, "af_login", Blocked_Reason="bots"),
        ],
        "uninstall_events_report": [row(NOW - 2 * HOUR, "uninstall")],
        "installs-retarget": [
            row(NOW - HOUR, "install", Retargeting_Conversion_Type="re-engagement")
        ],
    }  # fmt: skip
    done = pulling.puller().pull()
    assert [(one.report, one.accepted, one.refused) for one in done] == [
        ("installs_report", 1, 0), ("in_app_events_report", 2, 0),
        ("uninstall_events_report", 1, 0), ("installs-retarget", 1, 0),
    ]  # fmt: skip
    stored(pulling.service, 5)
    assert kinds(pulling.service) == {
        "install": 1, "af_purchase": 1, "fraud_af_login": 1, "uninstall": 1, "re_engagement": 1
    }  # fmt: skip
    path, asked, authorization = pulling.reports.asked[0]
    assert path == f"/api/raw-data/export/app/{APP}/installs_report/v5"
    assert asked["timezone"] == "UTC"
    assert asked["from"] == format_instant(NOW - DAY)[:16].replace("T", " ")
    assert asked["to"] == format_instant(NOW)[:16].replace("T", " ")
    assert authorization == "Bearer secret-token"
    assert pulling.cursor("installs_report") == NOW


def test_overlaps_and_postbacks_count_once(pulling: Pulling) -> None:
    service = pulling.service
    apps = {APP: App(client=service.client, unsigned=True)}
    service.house.settings = service.house.settings.model_copy(
        update={"ingest": service.house.settings.ingest.model_copy(update={"apps": apps})}
    )
    sent = message(advertising_id=GAID, event_value='{"a": 1}')
    service.http.post("/postback/appsflyer", json=sent).raise_for_status()
    stored(service, 1)
    same = row(NOW - MINUTE, Event_Value='{"a": 1}')
    pulling.reports.rows["in_app_events_report"] = [same, row(NOW - HOUR)]
    assert sum(one.accepted for one in pulling.puller().pull()) == 1
    pulling.clock.now += HOUR
    late = row(NOW - 20 * HOUR, "af_late")
    pulling.reports.rows["in_app_events_report"] += [late, row(NOW + 1)]
    pulling.puller().pull()
    stored(service, 3)
    pulling.clock.now += 5 * HOUR
    done = {one.report: one for one in pulling.puller().pull()}["in_app_events_report"]
    assert (done.rows, done.accepted) == (4, 1)
    stored(service, 4)


def test_an_install_counts_once_however_it_comes(pulling: Pulling) -> None:
    """A postback tells what it does not know by null and by an empty text, a report by nothing."""
    service = pulling.service
    apps = {APP: App(client=service.client, unsigned=True)}
    service.house.settings = service.house.settings.model_copy(
        update={"ingest": service.house.settings.ingest.model_copy(update={"apps": apps})}
    )
    for minute, absent in enumerate((None, "")):
        told = at(NOW - (minute + 1) * MINUTE + 123)
        sent = message(
            "install", event_time=told, advertising_id=GAID, event_value=absent,
            event_revenue=absent, blocked_reason=absent, conversion_type="install",
        )  # fmt: skip
        service.http.post("/postback/appsflyer", json=sent).raise_for_status()
    stored(service, 2)
    pulling.reports.rows["installs_report"] = [
        row(NOW - (minute + 1) * MINUTE, "install") for minute in range(2)
    ]
    (done,) = pulling.puller(reports=("installs_report",)).pull()
    assert (done.rows, done.accepted, done.refused) == (2, 0, 0)


def test_an_hour_costs_one_call_for_each_report(pulling: Pulling) -> None:
    """And whatever comes up to 26 hours late is found a few hours after it came."""
    puller = pulling.puller(reports=("installs_report",))
    for hour in range(60):
        pulling.clock.now = NOW + hour * HOUR
        if hour < 30:
            came = row(pulling.clock.now - 25 * HOUR, f"late{hour}")
            pulling.reports.rows.setdefault("installs_report", []).append(came)
        puller.pull()
        assert len(pulling.reports.asked) == hour + 1
        assert pulling.cursor("installs_report") == pulling.clock.now
    stored(pulling.service, 30)


def test_a_cursor_never_goes_back(pulling: Pulling) -> None:
    """Not where what is taken once more fails in its midst."""
    Cursor(pulling.folder / APP / "installs_report").write(NOW - MINUTE)
    pulling.reports.rows["installs_report"] = [
        *(row(NOW - 25 * HOUR + number * MINUTE, f"e{number}") for number in range(40)),
        *(row(NOW - 2 * MINUTE, f"f{number}") for number in range(40)),
    ]
    with pytest.raises(UserError, match="more than 30 rows in a minute"):
        pulling.puller(reports=("installs_report",), most_rows=30).pull()
    assert pulling.cursor("installs_report") == NOW - MINUTE
    pulling.puller(reports=("installs_report",)).pull()
    stored(pulling.service, 80)
    assert pulling.cursor("installs_report") == NOW


def test_what_fails_is_taken_the_next_time(pulling: Pulling) -> None:
    """Whatever ends a report midway: the cursor stays, and nothing counts twice afterwards."""
    rows = [row(NOW - HOUR, f"e{number}") for number in range(200)]
    pulling.reports.rows["installs_report"] = rows
    pulling.reports.cut = 10_000
    with pytest.raises(UserError, match=f"AppsFlyer's installs_report of {APP}: peer closed"):
        pulling.puller().pull()
    assert pulling.cursor("installs_report") is None
    pulling.reports.cut = None
    for status, text in ((500, b"later"), (401, b"bad token"), (200, b"<html>"), (200, b"")):
        pulling.reports.status, pulling.reports.text = status, text
        with pytest.raises(UserError) as failed:
            pulling.puller().pull()
        assert "secret-token" not in str(failed.value)
        assert pulling.cursor("installs_report") is None
    pulling.reports.status, pulling.reports.text = 200, None
    pulling.puller().pull()
    stored(pulling.service, 200)
    assert pulling.cursor("installs_report") == NOW


def test_one_report_that_fails_keeps_no_other_back(pulling: Pulling) -> None:
    pulling.reports.rows["uninstall_events_report"] = [row(NOW - HOUR, "uninstall")]
    (pulling.folder / APP).mkdir(parents=True)
    (pulling.folder / APP / "installs_report").write_text("nonsense")
    with pytest.raises(UserError, match="is no cursor"):
        pulling.puller().pull()
    stored(pulling.service, 1)


def spans(pulling: Pulling) -> list[int]:
    """How long the times were that were asked for."""
    return [
        parse_instant(asked["to"] + "Z") - parse_instant(asked["from"] + "Z")
        for _, asked, _ in pulling.reports.asked
    ]


def test_a_long_absence_is_caught_up_week_by_week(pulling: Pulling) -> None:
    Cursor(pulling.folder / APP / "installs_report").write(NOW - 20 * DAY)
    pulling.puller(reports=("installs_report",)).pull()
    assert len(spans(pulling)) == 4, "twenty days, and the 26 hours before"
    assert max(spans(pulling)) <= 7 * DAY
    assert sum(spans(pulling)) == 20 * DAY + 26 * HOUR


def test_a_catching_up_that_fails_goes_on_where_it_was(pulling: Pulling) -> None:
    Cursor(pulling.folder / APP / "installs_report").write(NOW - 20 * DAY)
    pulling.reports.rows["installs_report"] = [row(NOW - MINUTE, f"e{n}") for n in range(40)]
    with pytest.raises(UserError, match="more than 30 rows in a minute"):
        pulling.puller(reports=("installs_report",), most_rows=30).pull()
    reached = pulling.cursor("installs_report")
    assert reached is not None
    assert reached >= NOW - HOUR
    pulling.reports.asked.clear()
    pulling.puller(reports=("installs_report",)).pull()
    assert sum(spans(pulling)) <= 27 * HOUR + MINUTE
    stored(pulling.service, 40)


def test_a_busy_hour_makes_no_more_calls_afterwards(pulling: Pulling) -> None:
    """What is asked for at once grows again."""
    Cursor(pulling.folder / APP / "installs_report").write(NOW - 20 * DAY)
    pulling.reports.rows["installs_report"] = [
        row(NOW - 20 * DAY + number * MINUTE, f"e{number}") for number in range(120)
    ]
    pulling.puller(reports=("installs_report",), most_rows=30).pull()
    assert spans(pulling)[-2] == 7 * DAY
    assert len(spans(pulling)) < 40
    stored(pulling.service, 120)


def test_an_answer_that_is_full_is_taken_in_parts(pulling: Pulling) -> None:
    pulling.reports.rows["installs_report"] = [
        row(NOW - DAY + number * 7 * MINUTE, f"e{number}") for number in range(200)
    ]
    pulling.puller(reports=("installs_report",), most_rows=30).pull()
    stored(pulling.service, 200)
    pulling.reports.rows["installs_report"] = [row(NOW - MINUTE, f"f{n}") for n in range(40)]
    with pytest.raises(UserError, match="more than 30 rows in a minute"):
        pulling.puller(reports=("installs_report",), most_rows=30).pull()


def test_rows_that_are_wrong_are_dead_letters(pulling: Pulling) -> None:
    pulling.reports.text = (
        b"Event Time,AppsFlyer ID,Event Name\nyesterday,x,a\n2026-11-01 10:00:00,,b\n"
        b"2026-11-01 10:00:00,x,c,more\n2026-11-01 10:00:00,x,d\n"
    )
    (done,) = pulling.puller(reports=("installs_report",)).pull()
    assert (done.rows, done.accepted, done.refused) == (4, 1, 3)
    stored(pulling.service, 3, "dead_letters")
    letters = pulling.service.ok("GET", "/ingest/dead-letters")["letters"]
    assert [one["record"] and one["record"]["t"] for one in letters] == ["a", "b", None]


def test_a_number_beyond_all_use_keeps_no_row_back(pulling: Pulling) -> None:
    pulling.reports.rows["installs_report"] = [
        row(NOW - HOUR, "a", Event_Value='{"v":1e99999999999999999999}'), row(NOW - HOUR, "b")
    ]  # fmt: skip
    pulling.reports.rows["installs-retarget"] = [row(NOW - HOUR, "c")]
    assert sum(one.accepted for one in pulling.puller().pull()) == 2
    stored(pulling.service, 2)
    stored(pulling.service, 1, "dead_letters")


def test_a_row_that_raises_is_refused_by_itself(
    pulling: Pulling, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever it is: in its reading, its checking or its writing."""
    checked = pulling.service.house.intake.check

    def reading(message: Any, *more: Any) -> Any:
        if message["event_name"] == "bad_read":
            raise ZeroDivisionError(message["appsflyer_id"])
        return record_of(message, *more)

    def checking(sent: Any, raws: Any) -> Any:
        if any(isinstance(raw, dict) and raw["t"] == "bad_check" for raw in raws):
            raise ZeroDivisionError(str(raws))
        found = checked(sent, raws)
        for record in found.records:
            if isinstance(record, dict) and record["t"] == "bad_write":
                record["props"]["x"] = object()
        return found

    monkeypatch.setattr("relo_server.ingest.pulling.record_of", reading)
    monkeypatch.setattr(pulling.service.house.intake, "check", checking)
    names = ["good", "bad_read", "bad_check", "bad_write", "better"]
    pulling.reports.rows["installs_report"] = [row(NOW - HOUR, name) for name in names]
    (done,) = pulling.puller(reports=("installs_report",)).pull()
    assert (done.rows, done.accepted, done.refused) == (5, 2, 3)
    stored(pulling.service, 2)
    stored(pulling.service, 3, "dead_letters")
    letters = pulling.service.ok("GET", "/ingest/dead-letters")["letters"]
    assert [one["reason"] for one in letters] == [
        "the row cannot be read: ZeroDivisionError", "the row cannot be read: ZeroDivisionError",
        "the row cannot be read: TypeError",
    ]  # fmt: skip
    assert GAID not in caplog.text
    assert "1700000000000" not in caplog.text


def test_a_report_that_fails_unexpectedly_keeps_no_other_back(
    pulling: Pulling, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def answer(report: str, asked: dict[str, str]) -> bytes:
        if report == "installs_report":
            return b"Event Time,AppsFlyer ID\n" * 3
        return Reports.answer(pulling.reports, report, asked)

    monkeypatch.setattr(pulling.reports, "answer", answer)
    keep = pulling.service.house.intake.keep

    def failing(checked: Any) -> Any:
        if checked.refused:
            raise ZeroDivisionError
        return keep(checked)

    monkeypatch.setattr(pulling.service.house.intake, "keep", failing)
    pulling.reports.rows["installs-retarget"] = [row(NOW - HOUR, "c")]
    with pytest.raises(UserError, match=f"AppsFlyer's installs_report of {APP}: ZeroDivisionError"):
        pulling.puller().pull()
    stored(pulling.service, 1)
    assert "Traceback" in caplog.text
    assert pulling.cursor("installs_report") is None


def test_no_raw_id_is_kept(pulling: Pulling) -> None:
    pulling.reports.rows["installs_report"] = [
        row(NOW - HOUR, Customer_User_ID="ana@example.com", IDFA=GAID.upper())
    ]
    pulling.puller().pull()
    stored(pulling.service, 1)
    planted = [GAID, GAID.upper(), "203.0.113.9", "ana@example.com", "1700000000000-1234567",
               "secret-token"]  # fmt: skip
    for path in pulling.service.folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert not [one for one in planted if one.encode() in data], path


def test_an_app_with_reports_alone_takes_no_postback(pulling: Pulling) -> None:
    service = pulling.service
    ingest = service.house.settings.ingest
    apps = {APP: App(client=service.client, token=SecretStr("t"))}
    service.house.settings = service.house.settings.model_copy(
        update={"ingest": ingest.model_copy(update={"apps": apps})}
    )
    assert service.http.post("/postback/appsflyer", json=message()).status_code == 401


def test_without_a_token_nothing_is_asked(pulling: Pulling) -> None:
    settings = pulling.service.house.settings.ingest.model_copy(
        update={"apps": {APP: App(client=1, unsigned=True)}}
    )
    puller = Puller(settings, pulling.folder, pulling.service.house.intake, pulling.clock)
    assert not puller.wanted
    assert puller.pull() == []
    assert pulling.puller().wanted
