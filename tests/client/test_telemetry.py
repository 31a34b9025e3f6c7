"""Traces and metrics, as the in-memory exporters of the OpenTelemetry SDK receive them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs
import pytest
from fastapi import FastAPI
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from smappee_async import Limits, RetryPolicy, SmappeeError, TimeRange
from smappee_async.simulator import Fault
from smappee_async.telemetry import OpenTelemetryHook

from .support import Cloud

pytestmark = pytest.mark.anyio
MARCH = TimeRange.month(2026, 3, tz="Europe/Brussels")
TRUSTING = Limits(verify_from_sessions=None)
ATTEMPT = "GET /chargingparks/{service_location_id}/sessions"


@attrs.frozen
class Recording:
    """What a hook of one test exported."""

    hook: OpenTelemetryHook
    tracer_provider: TracerProvider
    _spans: InMemorySpanExporter
    _metrics: InMemoryMetricReader

    def spans(self, name: str | None = None) -> list[ReadableSpan]:
        return [span for span in self._spans.get_finished_spans() if name in (None, span.name)]

    def points(self, name: str) -> list[Any]:
        data = self._metrics.get_metrics_data()
        assert data is not None
        return [
            point
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]


@pytest.fixture
def recording(cloud: Cloud) -> Iterable[Recording]:
    spans, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracers = TracerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    meters = MeterProvider([reader], shutdown_on_exit=False)
    hook = OpenTelemetryHook(cloud.sim.base_url, tracer_provider=tracers, meter_provider=meters)
    yield Recording(hook, tracers, spans, reader)
    tracers.shutdown()
    meters.shutdown()


def parents(spans: Iterable[ReadableSpan]) -> set[int | None]:
    return {None if span.parent is None else span.parent.span_id for span in spans}


def ids(spans: Iterable[ReadableSpan]) -> set[int | None]:
    return {None if span.context is None else span.context.span_id for span in spans}


async def test_a_stream_is_one_span_with_children_for_chunks_and_attempts(cloud: Cloud, recording: Recording) -> None:
    client = await cloud.connect(on_event=recording.hook, limits=TRUSTING)

    sessions = await client.sessions([1001, 1002], MARCH).collect()

    (stream,) = recording.spans("smappee stream")
    chunks = recording.spans("smappee chunk")
    assert stream.attributes is not None
    assert stream.attributes["smappee.sessions"] == len(sessions)
    assert parents(chunks) == ids([stream])
    assert parents(recording.spans(ATTEMPT)) == ids(chunks)
    assert sorted(str((each.attributes or {})["smappee.service_location_id"]) for each in chunks) == ["1001", "1002"]


async def test_an_attempt_follows_the_conventions_for_http_clients(cloud: Cloud, recording: Recording) -> None:
    client = await cloud.connect(on_event=recording.hook, limits=TRUSTING)

    await client.sessions(1001, MARCH).collect()

    (attempt,) = recording.spans(ATTEMPT)
    assert attempt.kind is SpanKind.CLIENT
    expected = {
        "http.request.method": "GET",
        "url.template": "/chargingparks/{service_location_id}/sessions",
        "server.address": "127.0.0.1",
        "http.response.status_code": 200,
    }
    assert expected.items() <= dict(attempt.attributes or {}).items()
    assert attempt.status.status_code is StatusCode.UNSET


async def test_a_failed_attempt_is_an_error_and_its_retry_says_so(cloud: Cloud, recording: Recording) -> None:
    cloud.sim.add_fault(Fault("status", status=503, times=1, route="park_sessions"))
    client = await cloud.connect(on_event=recording.hook, limits=TRUSTING)

    await client.sessions(1001, MARCH).collect()

    failed, retried = recording.spans(ATTEMPT)
    assert failed.status.status_code is StatusCode.ERROR
    assert (failed.attributes or {})["error.type"] == "503"
    assert (retried.attributes or {})["http.request.resend_count"] == 1


async def test_an_error_without_a_status_is_named_by_its_class(cloud: Cloud, recording: Recording) -> None:
    cloud.sim.add_fault(Fault("close_before_headers", times=1, route="park_sessions"))
    client = await cloud.connect(on_event=recording.hook, limits=TRUSTING)

    await client.sessions(1001, MARCH).collect()

    failed, _ = recording.spans(ATTEMPT)
    assert (failed.attributes or {})["error.type"] == "TransportError"


async def test_a_wait_is_an_event_of_the_span_that_waits(cloud: Cloud, recording: Recording) -> None:
    cloud.sim.add_fault(Fault("status", status=500, times=1, route="park_sessions"))
    client = await cloud.connect(on_event=recording.hook, limits=TRUSTING)

    await client.sessions(1001, MARCH).collect()

    (chunk,) = recording.spans("smappee chunk")
    assert [event.name for event in chunk.events] == ["wait"]


async def test_a_stream_that_fails_is_an_error(cloud: Cloud, recording: Recording) -> None:
    client = await cloud.connect(on_event=recording.hook, retry=RetryPolicy.none())

    with pytest.raises(SmappeeError):
        await client.sessions(999_999, MARCH).collect()

    (stream,) = recording.spans("smappee stream")
    assert stream.status.status_code is StatusCode.ERROR
    assert (stream.attributes or {})["error.type"] == "NotFound"


async def test_requests_retries_waits_sessions_and_renewals_are_counted(cloud: Cloud, recording: Recording) -> None:
    cloud.sim.add_fault(Fault("status", status=500, times=2, route="park_sessions"))
    client = await cloud.connect(on_event=recording.hook, limits=TRUSTING)

    stream = client.sessions([1001, 1002], MARCH)
    sessions = await stream.collect()

    assert sum(point.count for point in recording.points("http.client.request.duration")) == stream.stats.requests
    assert sum(point.value for point in recording.points("smappee.client.retries")) == stream.stats.retries == 2
    assert sum(point.count for point in recording.points("smappee.client.wait.duration")) == 2
    assert sum(point.value for point in recording.points("smappee.client.sessions")) == len(sessions)
    assert sum(point.value for point in recording.points("smappee.client.token_renewals")) == 1


async def test_no_span_is_left_open_when_a_stream_is_left_early(cloud: Cloud, recording: Recording) -> None:
    client = await cloud.connect(on_event=recording.hook)

    async with client.sessions([1001, 1002, 1003], MARCH) as stream:
        async for _ in stream:
            break

    assert recording.hook._open == {}
    (span,) = recording.spans("smappee stream")
    assert (span.attributes or {})["smappee.outcome"] == "cancelled"


async def test_no_secret_and_no_query_string_is_exported(cloud: Cloud, recording: Recording) -> None:
    cloud.sim.add_fault(Fault("unauthorized", times=1, route="park_sessions"))
    client = await cloud.connect(on_event=recording.hook)

    await client.sessions([1001, 1002], MARCH).collect()

    exported = "".join(span.to_json() for span in recording.spans())
    account = cloud.sim.account
    secrets = [account.client_id, account.client_secret, account.username, account.password, "range=", "Bearer"]
    assert exported
    assert [secret for secret in secrets if secret in exported] == []


async def test_under_fastapi_the_span_of_the_request_is_the_parent(cloud: Cloud, recording: Recording) -> None:
    client = await cloud.connect(on_event=recording.hook)
    app = FastAPI()

    @app.get("/count")
    async def count() -> int:
        return len(await client.sessions(1001, MARCH).collect())

    FastAPIInstrumentor.instrument_app(app, tracer_provider=recording.tracer_provider)
    assert await get(app, "/count") == 200

    (request,) = recording.spans("GET /count")
    assert parents(recording.spans("smappee stream")) == ids([request])


async def get(app: FastAPI, path: str) -> int:
    """Ask an ASGI application, without a server; gives the status."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    await app(scope, receive, send)
    status: int = next(message["status"] for message in sent if message["type"] == "http.response.start")
    return status
