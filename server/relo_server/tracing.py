"""Spans of what the service does, for a collector that speaks OTLP, through OpenTelemetry.

Where none is configured a span costs a function call. Attributes are names, numbers and outcomes;
a device, a token or a definition never is one, nor is a path that may hold a device.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer, TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from relo_dsl import __version__
from relo_dsl.errors import UserError
from relo_dsl.settings import Settings

_OFF: Tracer = trace.NoOpTracer()
_tracer = _OFF
_context = TraceContextTextMapPropagator()


@contextmanager
def tracing(settings: Settings) -> Iterator[None]:
    """Meanwhile spans go to the collector that `service.tracing` names; at the end all are sent.

    The standard variables `OTEL_…` (headers, resource, sampler) hold. Raises UserError where the
    packages are not installed.
    """
    url = settings.service.tracing
    if url is None:
        yield
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider as Provider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise UserError(
            "`service.tracing` is set, and OpenTelemetry is not installed",
            "install `relo-dsl[tracing]`, or leave the setting out",
        ) from error
    name = os.environ.get("OTEL_SERVICE_NAME", "relo")
    resource = Resource.create({"service.name": name, "service.version": __version__})
    provider = Provider(resource=resource)
    exporter = OTLPSpanExporter(endpoint=url.rstrip("/") + "/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(exporter))
    try:
        with traced_by(provider):
            yield
    finally:
        provider.shutdown()


@contextmanager
def traced_by(provider: TracerProvider) -> Iterator[None]:
    """Meanwhile spans go to a provider."""
    global _tracer
    _tracer = provider.get_tracer("relo", __version__)
    try:
        yield
    finally:
        _tracer = _OFF


@contextmanager
def span(name: str, **attributes: str | int) -> Iterator[None]:
    """A span around what is done here, within the one that is current.

    An exception marks it with its type: what it says may quote a definition.
    """
    if _tracer is _OFF:
        yield
        return
    named = {f"relo.{key}": value for key, value in attributes.items()}
    with _tracer.start_as_current_span(
        name, attributes=named, record_exception=False, set_status_on_exception=False
    ) as found:
        try:
            yield
        except BaseException as error:
            found.set_status(StatusCode.ERROR)
            found.set_attribute("error.type", type(error).__name__)
            raise


@contextmanager
def request_span(headers: Mapping[str, str]) -> Iterator[Span]:
    """The span of a request, within the caller's where its headers name one (`traceparent`)."""
    if _tracer is _OFF:
        yield trace.INVALID_SPAN
        return
    with _tracer.start_as_current_span(
        "request", _context.extract(headers), SpanKind.SERVER,
        record_exception=False, set_status_on_exception=False,
    ) as found:  # fmt: skip
        yield found


def answered(
    found: Span, method: str, route: str, status: int, operation: str, client: int | None,
    request_id: str,
) -> None:  # fmt: skip
    """Says what a request was. `route` is its pattern, `/audiences/{name}`, never the path."""
    found.update_name(f"{method} {route}" if route else method)
    found.set_attributes({
        "http.request.method": method,
        "http.response.status_code": status,
        "relo.operation": operation,
        "relo.request_id": request_id,
        **({"http.route": route} if route else {}),
        **({"relo.client": client} if client is not None else {}),
    })  # fmt: skip
    if status >= 500:
        found.set_status(StatusCode.ERROR)


def answered_already(
    method: str, route: str, seconds: float, operation: str, client: int, request_id: str
) -> None:
    """The span of a request that is over, and was answered well."""
    if _tracer is _OFF:
        return
    end = time.time_ns()
    begun = end - round(seconds * 1e9)
    found = _tracer.start_span("request", Context(), SpanKind.SERVER, start_time=begun)
    answered(found, method, route, 200, operation, client, request_id)
    found.end(end)


def trace_id() -> str | None:
    """The current trace as collectors name it; None where there is none."""
    context = trace.get_current_span().get_span_context()
    return trace.format_trace_id(context.trace_id) if context.is_valid else None
