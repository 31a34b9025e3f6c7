"""Traces and metrics of a client for OpenTelemetry (extra ``otel``).

::

    client = SmappeeClient(Credentials.from_env(), on_event=OpenTelemetryHook())

A stream is one span, with a child for each chunk, and in it a child for each attempt. A call outside of a stream is one
span for each attempt. The parent of the first of them is the span that is current where the stream is read: in a web
backend, the span of the request. Attributes follow the semantic conventions for HTTP client spans and metrics; the URL
is given as its template only, because tokens, ids and time ranges do not belong in every backend that stores traces.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from opentelemetry import metrics, trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.util.types import AttributeValue

from smappee_async import defaults
from smappee_async._version import __version__
from smappee_async.events import ClientEvent

_Attributes = dict[str, AttributeValue]

_SCOPE: Final = "smappee_async"
_KINDS: Final = {"attempt": SpanKind.CLIENT}
_SPANS: Final = ("stream", "chunk", "attempt", "token_renewal")
_DEFAULT_PORTS: Final = {"https": 443, "http": 80}


class OpenTelemetryHook:
    """Makes spans and metrics of the events of a client; pass it as ``on_event``.

    Metrics: ``http.client.request.duration`` (s), ``smappee.client.retries``, ``smappee.client.wait.duration`` (s),
    ``smappee.client.sessions`` and ``smappee.client.token_renewals``. One hook may serve several clients of one
    ``base_url``; it belongs to one event loop, as they do.

    :param base_url: the base URL of the client, for the attributes ``server.address`` and ``server.port``.
    :param tracer_provider: makes the spans; the global one by default.
    :param meter_provider: takes the metrics; the global one by default.
    """

    def __init__(
        self,
        base_url: str = defaults.BASE_URL,
        *,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
    ) -> None:
        self._tracer = trace.get_tracer(_SCOPE, __version__, tracer_provider)
        meter = metrics.get_meter(_SCOPE, __version__, meter_provider)
        self._requests = meter.create_histogram(
            "http.client.request.duration", unit="s", description="Duration of HTTP client requests."
        )
        self._waits = meter.create_histogram(
            "smappee.client.wait.duration", unit="s", description="Time that calls waited between attempts."
        )
        self._retries = meter.create_counter(
            "smappee.client.retries", unit="{request}", description="Requests that were sent again."
        )
        self._sessions = meter.create_counter(
            "smappee.client.sessions", unit="{session}", description="Charging sessions that streams handed over."
        )
        self._renewals = meter.create_counter(
            "smappee.client.token_renewals", unit="{renewal}", description="Renewals of the access token."
        )
        url = urlsplit(base_url)
        self._server: _Attributes = {
            "server.address": url.hostname or "",
            "server.port": url.port or _DEFAULT_PORTS.get(url.scheme, 443),
        }
        self._open: dict[int, Span] = {}

    def __call__(self, event: ClientEvent) -> None:
        """Take one event."""
        operation, _, moment = event.kind.rpartition("_")
        if operation in _SPANS and event.id is not None:
            if moment == "started":
                self._open[event.id] = self._start(operation, event)
                return
            if (span := self._open.pop(event.id, None)) is not None:
                _end(span, event)
        elif moment != "started" and (parent := self._parent(event)) is not None:
            parent.add_event(event.kind.removesuffix("_ended"), _moment_attributes(event))
        if moment == "ended":
            self._count(operation, event)

    def _parent(self, event: ClientEvent) -> Span | None:
        return None if event.parent_id is None else self._open.get(event.parent_id)

    def _start(self, operation: str, event: ClientEvent) -> Span:
        parent = self._parent(event)
        context: Context | None = None if parent is None else trace.set_span_in_context(parent)
        attributes = _facts(event)
        name = f"smappee {operation.replace('_', ' ')}"
        if operation == "attempt":
            attributes |= self._server | _request(event)
            name = f"{event.facts.method} {event.facts.route}"
        return self._tracer.start_span(name, context, _KINDS.get(operation, SpanKind.INTERNAL), attributes)

    def _count(self, operation: str, event: ClientEvent) -> None:
        duration_s = event.duration_s or 0.0
        match operation:
            case "attempt":
                self._requests.record(duration_s, self._server | _request(event) | _result(event))
                if (event.facts.attempts or 1) > 1:
                    self._retries.add(1, self._server | _request(event))
            case "wait":
                self._waits.record(duration_s, self._server)
            case "stream":
                self._sessions.add(event.sessions or 0, self._server)
            case "token_renewal":
                self._renewals.add(1, {"smappee.outcome": event.outcome or "ok"})


def _end(span: Span, event: ClientEvent) -> None:
    attributes = _result(event)
    attributes["smappee.outcome"] = event.outcome or "ok"
    if event.sessions is not None:
        attributes["smappee.sessions"] = event.sessions
    if (event.facts.attempts or 1) > 1:
        attributes["http.request.resend_count"] = (event.facts.attempts or 1) - 1
    span.set_attributes(attributes)
    if event.outcome == "failed":
        span.set_status(Status(StatusCode.ERROR, event.detail))
    span.end()


def _request(event: ClientEvent) -> _Attributes:
    return {"http.request.method": event.facts.method or "GET", "url.template": event.facts.route or ""}


def _result(event: ClientEvent) -> _Attributes:
    """How an operation ended, in the words of the semantic conventions."""
    attributes: _Attributes = {}
    if event.facts.status is not None:
        attributes["http.response.status_code"] = event.facts.status
    if event.outcome == "failed":
        is_status = event.facts.status is not None and event.facts.status >= 400
        attributes["error.type"] = str(event.facts.status) if is_status else event.error_type or "_OTHER"
    return attributes


def _facts(event: ClientEvent) -> _Attributes:
    attributes: _Attributes = {}
    facts = event.facts
    if facts.service_location_id is not None:
        attributes["smappee.service_location_id"] = facts.service_location_id
    if facts.serial_number is not None:
        attributes["smappee.serial_number"] = facts.serial_number
    if facts.time_range is not None:
        attributes["smappee.time_range"] = str(facts.time_range)
    return attributes


def _moment_attributes(event: ClientEvent) -> _Attributes:
    attributes: _Attributes = {"smappee.detail": event.detail}
    if event.duration_s is not None:
        attributes["smappee.duration_s"] = event.duration_s
    return attributes
