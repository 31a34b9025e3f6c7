"""Arbitrary bytes as responses: the result is valid records, an outcome of a token call, or a ``SmappeeError``.

The first byte chooses what the rest is read as, the second the status. For long runs, with atheris (not for Windows)::

    python3 -m venv /tmp/fuzz && /tmp/fuzz/bin/pip install atheris .
    mkdir -p /tmp/found && cp tests/fuzz/corpus/* /tmp/found
    /tmp/fuzz/bin/python tests/fuzz/fuzz_decoder.py /tmp/found -max_total_time=3600 -max_len=4096 -rss_limit_mb=1024

A crash leaves a file with its bytes; ``python tests/fuzz/fuzz_decoder.py crash-...`` repeats it. The test suite runs the
seeds, and examples of hypothesis, through the same check.
"""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import attrs

from smappee_async.errors import SmappeeError
from smappee_async.models import ChargingSession, ServiceLocation, ServiceLocationInfo
from smappee_async.protocol import responses
from smappee_async.protocol.converter import SESSION_READER, converter
from smappee_async.protocol.oauth import Granted, Refused, Unclear, Unspent, read_token
from smappee_async.protocol.responses import (
    Response,
    read_service_location_info,
    read_service_locations,
    read_sessions,
    retry_after_s,
)
from smappee_async.query.truncation import cut_in_two
from smappee_async.timerange import TimeRange

STATUSES = (200, 200, 200, 200, 204, 400, 401, 403, 404, 429, 500, 503, 307, 299)
_ALWAYS = TimeRange.from_ms(946_684_800_000, 4_000_000_000_000)


def check(data: bytes) -> None:
    """One input; an assertion or any exception is a finding."""
    if len(data) < 2:
        return
    status = STATUSES[data[1] % len(STATUSES)]
    try:
        _KINDS[data[0] % len(_KINDS)](Response(status=status, body=data[2:]))
    except SmappeeError as error:
        # The text of an error must be printable, whatever the bytes were.
        str(error).encode()


def _sessions(response: Response) -> None:
    whole, in_steps = _outcome(response), _outcome(response, step=16)
    assert whole == in_steps, "a large response would be read differently"
    records = read_sessions(response)
    assert response.status in (200, 204)
    cut_in_two(_ALWAYS, records)
    one_by_one = []
    for raw in records:
        try:
            session = SESSION_READER.read(raw, 1001)
        except SmappeeError as error:
            str(error).encode()
        else:
            _is_sound(session)
            one_by_one.append(attrs.evolve(session, service_location_id=None))
    if response.status == 200:
        try:
            at_once = converter.structure(response.body, list[ChargingSession])
        except SmappeeError:
            assert len(one_by_one) < len(records), "the converter refuses what is read one by one"
        else:
            assert at_once == one_by_one, "the converter reads an array differently"


def _outcome(response: Response, *, step: int = 2**62) -> list[bytes] | str:
    """The records when they are split in steps of so many bytes, or what is wrong."""
    with patch.object(responses, "SPLIT_STEP_BYTES", step):
        steps = responses.read_sessions_in_steps(response)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                return list(map(bytes, end.value))
            except SmappeeError as error:
                return str(error)


def _record(response: Response) -> None:
    _is_sound(SESSION_READER.read(bytes(response.body), 1001))


def _locations(response: Response) -> None:
    for location in read_service_locations(response):
        assert type(location) is ServiceLocation
        assert type(location.id) is int


def _info(response: Response) -> None:
    info = read_service_location_info(response)
    assert type(info) is ServiceLocationInfo
    for value in (info.latitude, info.longitude, info.electricity_cost):
        assert value is None or (type(value) is float and math.isfinite(value))


def _token(response: Response) -> None:
    outcome = read_token(response)
    assert type(outcome) in (Granted, Refused, Unspent, Unclear)
    repr(outcome).encode()
    if isinstance(outcome, Granted):
        assert response.status == 200
        assert 0 < outcome.expires_in_s <= 30 * 86400
        # It is sent in a header, and must not be able to end it.
        assert outcome.access_token.reveal().isprintable()
        assert outcome.access_token.reveal().isascii()


def _retry_after(response: Response) -> None:
    text = response.body.decode("latin-1")
    wait, _, date = text.partition("\n")
    seconds = retry_after_s({"retry-after": wait, "date": date})
    assert seconds is None or (math.isfinite(seconds) and seconds > 0)


def _is_sound(session: ChargingSession) -> None:
    """Every value is of the type that the class says; JSON libraries and coercing converters do not ensure that."""
    assert type(session) is ChargingSession
    for name in ("id", "from_ms"):
        assert type(getattr(session, name)) is int
    for field in attrs.fields(ChargingSession):
        value = getattr(session, field.name)
        if isinstance(value, float):
            assert math.isfinite(value), field.name
        if isinstance(value, bool):
            assert field.name in ("suspended_by_user", "external_control"), field.name
    assert type(session.started_at) is datetime
    assert session.rfid is None or isinstance(session.rfid, str)
    assert session.energy_kwh is None or session.energy_kwh.is_finite()
    hash(session)
    repr(session).encode(errors="surrogatepass")
    assert session.elapsed is None or session.ended_at is not None


_KINDS: tuple[Callable[[Response], None], ...] = (_sessions, _record, _locations, _info, _token, _retry_after)


def main() -> None:
    """Fuzz, or repeat one input."""
    atheris: Any = importlib.import_module("atheris")  # only for long runs

    for name in [name for name in sys.modules if name.partition(".")[0] == "smappee_async"]:
        del sys.modules[name]
    # Imported again, this file and the package with it, so that atheris sees which branches an input takes.
    with atheris.instrument_imports(include=["smappee_async"]):
        harness = importlib.import_module(Path(__file__).stem)
    atheris.Setup(sys.argv, harness.check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
