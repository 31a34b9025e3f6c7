"""The example integration in a real Home Assistant, against the simulator on loopback.

Run on request, because it needs Home Assistant and its test harness, with settings of their own::

    pytest -c tests/home_assistant/pytest.ini tests/home_assistant

The job ``home-assistant`` of ``.github/workflows/long.yml`` shows what to install. Elsewhere each module is skipped.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from smappee_async.simulator import Park, SimulatedClock, SimulatedSession, Simulator, World
from smappee_async.testing.thread import in_thread

#: The integration asks for the days before now, so the world is made around it.
NOW = datetime.now(UTC).replace(microsecond=0)
CARD = "04A2B3C4D5E6F7"
HOME, OFFICE, EMPTY = 1001, 1002, 1003


def session(number: int, start_h: float, end_h: float | None, **fields: Any) -> SimulatedSession:
    """A session from and to so many hours from now."""
    start_ms, end_ms = (
        None if hours is None else int((NOW + timedelta(hours=hours)).timestamp() * 1000) for hours in (start_h, end_h)
    )
    assert start_ms is not None
    return SimulatedSession(id=number, start_ms=start_ms, end_ms=end_ms, rfid=CARD, **fields)


HOME_STATION = {"serial_number": 6_100_000_001}
OFFICE_STATION = {"serial_number": 6_100_000_002}
AT_HOME = (
    session(1, -50, -48, energy_ckwh=1050, connector=1, **HOME_STATION),
    session(2, -10, 10, energy_ckwh=2400, connector=1, **HOME_STATION),
    session(3, -5, -3, energy_ckwh=1425, connector=2, **HOME_STATION),
)
AT_THE_OFFICE = (
    session(4, -200, -190, energy_ckwh=3333, connector=1, **OFFICE_STATION),
    session(5, 0.5, 4, energy_ckwh=800, connector=2, **OFFICE_STATION),
)


@pytest.fixture
def sim(socket_enabled: None) -> Iterator[Simulator]:
    """The service. The harness lets sockets reach 127.0.0.1 only."""
    world = World.of([Park.fixed(HOME, AT_HOME), Park.fixed(OFFICE, AT_THE_OFFICE), Park.fixed(EMPTY)], seed=5)
    with in_thread(lambda: Simulator(world, clock=SimulatedClock.at(NOW))) as simulator:
        yield simulator


@pytest.fixture
def integration(sim: Simulator, hass: Any, enable_custom_integrations: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Home Assistant can load the integration, which asks the simulator."""
    monkeypatch.setattr("custom_components.smappee_sessions.client.BASE_URL", sim.base_url)


@pytest.fixture
def answers(sim: Simulator) -> dict[str, str]:
    """What the user types into the form."""
    return {name: getattr(sim.account, name) for name in ("client_id", "client_secret", "username", "password")}


@pytest.fixture
async def entry(hass: Any, integration: None, answers: dict[str, str]) -> Any:
    """The entry that the form makes, set up."""
    flow = await hass.config_entries.flow.async_init("smappee_sessions", context={"source": "user"})
    result = await hass.config_entries.flow.async_configure(flow["flow_id"], answers)
    await hass.async_block_till_done()
    return result["result"]
