"""Spans: a request, what it made the engine do, and nothing that a collector must not know."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from relo_dsl.errors import UserError
from relo_dsl.settings import Settings
from relo_server.tracing import span, traced_by, tracing
from tests.api.conftest import QUIET, Service

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    provider, found = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(found))
    with traced_by(provider):
        yield found


def ended(spans: InMemorySpanExporter, name: str, count: int = 1) -> list[ReadableSpan]:
    """So many of that name: one ends only after the answer that we have."""
    late = time.monotonic() + 10
    while True:
        found = [one for one in spans.get_finished_spans() if one.name == name]
        if len(found) == count:
            return found
        assert time.monotonic() < late, [one.name for one in spans.get_finished_spans()]
        time.sleep(0.01)


def named(spans: InMemorySpanExporter, name: str) -> ReadableSpan:
    return ended(spans, name)[0]


def test_a_request_and_its_work_are_one_trace(
    service: Service, spans: InMemorySpanExporter
) -> None:
    service.ok("POST", "/segments/check", {"text": QUIET}, traceparent=PARENT, x_request_id="mine")
    request, engine = named(spans, "POST /segments/check"), named(spans, "engine asking")
    assert request.parent is not None
    assert request.context is not None
    assert f"{request.context.trace_id:032x}" == PARENT.split("-")[1]
    assert f"{request.parent.span_id:016x}" == PARENT.split("-")[2]
    assert engine.parent == request.context
    assert dict(request.attributes or {}) == {
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "http.route": "/segments/check",
        "relo.operation": "segments.check",
        "relo.request_id": "mine",
        "relo.client": service.client,
    }


def test_a_refresh_says_what_takes_its_time(service: Service, spans: InMemorySpanExporter) -> None:
    service.ok("POST", "/audiences/quiet/refresh")
    refresh = named(spans, "refresh")
    within = {one.name: one for one in spans.get_finished_spans() if one.parent == refresh.context}
    assert set(within) == {"compute", "publish"}
    assert (refresh.attributes or {})["relo.audiences"] == 1


def test_no_device_token_or_definition_is_told(
    service: Service, spans: InMemorySpanExporter
) -> None:
    service.ok("POST", "/audiences/quiet/refresh")
    token = service.token()
    for more in ({}, {"traceparent": PARENT}):  # the short way, and the whole one
        service.ok("GET", "/audiences/quiet/members/dev-5309", token=token, **more)
    service.call("POST", "/segments/compile", {"text": "audience secret_name match wrong"})
    ended(spans, "GET /audiences/{name}/members/{device}", 2)
    ended(spans, "POST /segments/compile")
    told = "".join(one.to_json() for one in spans.get_finished_spans())
    # Whole texts: ids of spans are random, and four hex digits stand in some of them.
    assert not [text for text in ("dev-5309", token, "secret_name", "within 180d") if text in told]


def test_an_error_is_marked_by_its_type_alone(spans: InMemorySpanExporter) -> None:
    with pytest.raises(ValueError, match="device 7"), span("work", audiences=1):
        raise ValueError("device 7")
    found = named(spans, "work")
    assert not found.status.is_ok
    assert dict(found.attributes or {}) == {"relo.audiences": 1, "error.type": "ValueError"}
    assert "device 7" not in found.to_json()


def test_the_log_names_the_trace(
    service: Service, spans: InMemorySpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "relo.api"):
        service.ok("GET", "/catalog", traceparent=PARENT)
        ended(spans, "GET /catalog")  # the line is written before the span ends
    told = [record.told for record in caplog.records if hasattr(record, "told")]
    assert [line["trace_id"] for line in told] == [PARENT.split("-")[1]]


class Collector(HTTPServer):
    """An OTLP collector: keeps what it is sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Take)
        self.taken: list[tuple[str, ExportTraceServiceRequest]] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class _Take(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Collector)
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        self.server.taken.append((self.path, ExportTraceServiceRequest.FromString(body)))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def test_a_collector_gets_them_before_the_end(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
    with tracing(Settings.load(service={"tracing": collector.url + "/"})), span("work"):
        pass
    ((path, sent),) = collector.taken
    (resource,) = sent.resource_spans
    assert path == "/v1/traces"
    assert [one.name for scope in resource.scope_spans for one in scope.spans] == ["work"]
    told = {pair.key: pair.value.string_value for pair in resource.resource.attributes}
    assert told["service.name"] == "relo"
    assert told["deployment.environment.name"] == "test"


def test_a_collector_that_is_away_stops_nothing() -> None:
    with tracing(Settings.load(service={"tracing": "http://127.0.0.1:9"})), span("work"):
        pass


def test_without_the_packages_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "opentelemetry.sdk.trace", None)
    settings = Settings.load(service={"tracing": "http://127.0.0.1:9"})
    with (
        pytest.raises(UserError, match="OpenTelemetry is not installed") as told,
        tracing(settings),
    ):
        pass
    assert "relo-dsl[tracing]" in str(told.value.hint)
