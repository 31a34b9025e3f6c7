"""The live page in a real browser: it changes while the service does, without being loaded again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from smappee_async.simulator import Simulator

from .chromium import Tab, open_tab
from .live import environment_of, make_simulator, serve_live_page
from .serving import until

pytestmark = [
    pytest.mark.anyio,
    # One browser is enough: what the app does on either loop is tested beside this.
    pytest.mark.parametrize("anyio_backend", [("asyncio", {"use_uvloop": False})], ids=["asyncio"], indirect=True),
    pytest.mark.timeout(180),
]

IDS = "Array.from(document.querySelectorAll('#sessions tr'), (row) => row.id).sort().join(' ')"


@pytest.fixture
async def sim(anyio_backend: object, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Simulator]:
    async with make_simulator() as simulator:
        for name, value in environment_of(simulator).items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("SMAPPEE_REFRESH_TOKEN", raising=False)
        yield simulator


@pytest.fixture
async def tab(anyio_backend: object, tmp_path: Path) -> AsyncIterator[Tab]:
    profile = tmp_path / "profile"
    profile.mkdir()
    async with open_tab(profile) as opened:
        yield opened


def shows(*sessions: int) -> str:
    return f"{IDS} === '{' '.join(f'session-1001-{number}' for number in sessions)}'"


async def test_the_table_of_a_browser_follows_the_service_without_a_reload(sim: Simulator, tab: Tab) -> None:
    async with serve_live_page() as page:
        await tab.open(f"{page.url}/")
        await tab.until(f"document.readyState === 'complete' && {shows(1, 2)}")
        await tab.value("window.sameDocument = true")
        energy = "document.querySelector('#session-1001-2 td:last-child').textContent"
        kwh = float(await tab.value(energy))

        sim.clock.move(60)
        await tab.until(shows(1, 2, 3))
        sim.clock.move(60)
        await tab.until(shows(2, 3))
        sim.clock.move(3600)
        await tab.until(f"Number({energy}) > {kwh}")

        assert await tab.value("window.sameDocument")
        assert await tab.value("document.getElementById('count').textContent") == "2"
        assert await tab.value("document.getElementById('state').textContent") == "live"
        assert await tab.value("performance.getEntriesByType('resource').map((each) => each.name)") in (
            [],  # a stream is listed when it has ended
            [f"{page.url}/events"],
        )


async def test_a_browser_connects_again_by_itself_and_is_right(sim: Simulator, tab: Tab) -> None:
    async with serve_live_page() as page:
        await tab.open(f"{page.url}/")
        await tab.until(shows(1, 2))
        # Its stream ends, and what happens meanwhile it has to learn when it comes back.
        page.feed.close()
        await until(lambda: page.feed.listeners == 0)
        await tab.until("document.getElementById('state').textContent !== 'live'")
        before = page.feed.number
        sim.clock.move(120)
        await until(lambda: page.feed.number >= before + 2)
        page.feed.closed = False
        await tab.until(shows(2, 3))
        await tab.until("document.getElementById('state').textContent === 'live'")
