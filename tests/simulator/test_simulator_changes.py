"""How the listing of a session changes, by itself and over HTTP, and what the ledger says of it."""

from __future__ import annotations

from collections import Counter
from datetime import date
from email.utils import parsedate_to_datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smappee_async.simulator import (
    Assumptions,
    Changes,
    Ledger,
    Park,
    SimulatedClock,
    SimulatedSession,
    Simulator,
    Version,
    World,
)
from smappee_async.simulator.changes import version_at
from smappee_async.simulator.responses import SessionResponses
from smappee_async.simulator.routing import SessionQuery

from .calling import DAY_MS, HOUR_MS, NOON_MS, NOW_MS, PARK, session

if TYPE_CHECKING:
    from .calling import Caller, Serve

pytestmark = pytest.mark.anyio

MINUTE_MS = 60_000
OPENED = date(2026, 7, 1)
FIRST_MS = SimulatedClock.at("2026-07-01T00:00:00Z").now_ms
EVERYTHING = Changes(
    long_stays=0.2,
    late=0.2,
    very_late=0.1,
    settled=0.3,
    corrected=0.3,
    moved=0.3,
    reopened=0.3,
    removed=0.1,
    returned=0.2,
    unlisted=0.3,
)


def office(changes: Changes, *, seed: int = 3) -> tuple[World, list[tuple[SimulatedSession, tuple[Version, ...]]]]:
    """A small office, and the sessions of its first three months with all their versions."""
    world = World.of([Park.office(PARK, connectors=4, opened=OPENED)], seed=seed, changes=changes)
    sessions = list(world.sessions(PARK, FIRST_MS, FIRST_MS + 92 * DAY_MS))
    versions = dict(ledger_of(world).versions(PARK, FIRST_MS, FIRST_MS + 92 * DAY_MS))
    return world, [(each, versions[each.id]) for each in sessions]


def ledger_of(world: World) -> Ledger:
    return Ledger(world, SimulatedClock(NOW_MS), Assumptions())


def only(kind: str, **bounds: int) -> list[tuple[SimulatedSession, tuple[Version, ...]]]:
    shares: dict[str, Any] = {kind: 1.0}
    return office(Changes(**shares, **bounds))[1]


def places(versions: tuple[Version, ...]) -> list[str]:
    return [version.place for version in versions]


def end_of(one: SimulatedSession) -> int:
    assert one.end_ms is not None
    return one.end_ms


# What is drawn


def test_without_changes_a_session_is_active_from_its_start_and_completed_from_its_end() -> None:
    world, sessions = office(Changes())
    assert not world.changing(PARK)
    assert all(
        versions == (Version(one.start_ms, "active", one), Version(end_of(one), "completed", one))
        for one, versions in sessions
    )


def test_a_long_stay_is_active_for_days() -> None:
    for one, (first, last) in only("long_stays", stay_days=9):
        assert (first.from_ms, first.place, last.place) == (one.start_ms, "active", "completed")
        assert DAY_MS <= last.from_ms - first.from_ms <= 9 * DAY_MS


@pytest.mark.parametrize(("kind", "least", "most"), [("late", 0, 20), ("very_late", 80, 90)])
def test_a_late_session_is_in_neither_list_for_days(kind: str, least: int, most: int) -> None:
    delays = [versions[0].from_ms - one.start_ms for one, versions in only(kind)]
    assert all(least * DAY_MS < delay_ms <= most * DAY_MS for delay_ms in delays)
    assert max(delays) > (most - 1) * DAY_MS


def test_the_last_energy_of_a_settled_session_comes_minutes_after_its_end() -> None:
    for one, versions in only("settled"):
        assert places(versions) == ["active", "completed", "completed"]
        assert versions[1].session.stop_reading_ckwh < versions[2].session.stop_reading_ckwh == one.stop_reading_ckwh
        assert 0 < versions[2].from_ms - end_of(one) <= 5 * MINUTE_MS


def test_a_corrected_session_gets_another_energy_days_or_weeks_after_its_end() -> None:
    delays = []
    for one, versions in only("corrected"):
        assert places(versions) == ["active", "completed", "completed"]
        assert versions[2].session.energy_ckwh > one.energy_ckwh
        delays.append(versions[2].from_ms - end_of(one))
    assert DAY_MS // 2 <= min(delays) < 7 * DAY_MS
    assert 50 * DAY_MS < max(delays) <= 60 * DAY_MS


def test_a_start_moves_by_minutes_before_or_after_the_end() -> None:
    while_active = Counter[bool]()
    for one, versions in only("moved", moved_minutes=30):
        before, after = next(
            pair for pair in pairwise(versions) if pair[0].session.start_ms != pair[1].session.start_ms
        )
        assert before.session.start_ms == one.start_ms
        assert 0 < abs(after.session.start_ms - one.start_ms) <= 30 * MINUTE_MS
        while_active[after.place == "active"] += 1
    assert min(while_active[True], while_active[False]) > 100


def test_a_reopened_session_is_active_again_and_then_completed_with_the_old_end_or_a_later_one() -> None:
    later = Counter[bool]()
    for one, versions in only("reopened"):
        assert places(versions) == ["active", "completed", "active", "completed"]
        last = versions[-1].session
        later[end_of(last) > end_of(one)] += 1
        assert end_of(last) >= end_of(one)
    assert min(later[True], later[False]) > 100


def test_a_removed_session_is_in_neither_list_for_good() -> None:
    assert {tuple(places(versions)) for _, versions in only("removed")} == {("active", "completed", "none")}


def test_a_returned_session_comes_back_as_it_was() -> None:
    for one, versions in only("returned", away_days=10):
        assert places(versions) == ["active", "completed", "none", "completed"]
        assert versions[-1].session == one
        assert HOUR_MS <= versions[3].from_ms - versions[2].from_ms <= 10 * DAY_MS


def test_a_session_may_be_in_neither_list_between_active_and_completed() -> None:
    absences = []
    for one, versions in only("unlisted"):
        assert places(versions) == ["active", "none", "completed"]
        assert versions[1].from_ms == one.end_ms
        absences.append(versions[2].from_ms - versions[1].from_ms)
    assert MINUTE_MS <= min(absences) < HOUR_MS < DAY_MS < max(absences) <= 2 * DAY_MS


def test_the_mixture_has_some_of_everything_and_leaves_most_sessions_as_they_are() -> None:
    mixture = Changes.mixture()
    assert all(0 < share < 0.1 for share in mixture.shares)
    world, sessions = office(mixture)
    changing = sum(world.versions(PARK, one) is not None for one, _ in sessions)
    assert 0.08 < changing / len(sessions) < 0.25


@given(seed=st.integers(0, 1 << 32), shares=st.lists(st.sampled_from([0.0, 0.1, 0.5, 1.0]), min_size=10, max_size=10))
@settings(max_examples=25, deadline=None)
def test_versions_are_ordered_the_same_each_time_and_true_to_their_list(seed: int, shares: list[float]) -> None:
    names = [field.name for field in attrs.fields(Changes)][: len(shares)]
    given_shares: dict[str, Any] = dict(zip(names, shares, strict=True))
    changes = Changes(**given_shares)
    _, sessions = office(changes, seed=seed)
    assert sessions == office(changes, seed=seed)[1]
    for one, versions in sessions[::7]:
        assert versions[0].from_ms >= one.start_ms
        for version, after in pairwise([*versions, Version(1 << 60, "none", one)]):
            assert version.from_ms < after.from_ms
            for at_ms in (version.from_ms, after.from_ms - 1):
                if version.place != "none":
                    assert version.session.in_state(version.place, at_ms)


# What is served


async def listed(responses: SessionResponses, at_ms: int, start_ms: int, end_ms: int | None) -> dict[Any, Any]:
    """The records of both lists, by id and list."""
    found = {}
    for active in (True, False):
        records = await responses.records(SessionQuery(PARK, None, start_ms, end_ms, active), at_ms)
        found.update({(record["id"], active): record for record in records})
    return found


@given(
    seed=st.integers(0, 1 << 32),
    hours=st.lists(st.integers(0, 24 * 200), min_size=1, max_size=4),
    cut=st.integers(0, 90 * DAY_MS),
)
@settings(max_examples=20, deadline=None)
async def test_the_ledger_at_any_instant_is_what_both_lists_serve(seed: int, hours: list[int], cut: int) -> None:
    world = World.of([Park.office(PARK, connectors=3, opened=OPENED)], seed=seed, changes=EVERYTHING)
    responses, ledger = SessionResponses(world, Assumptions(), cache_bytes=1 << 20), ledger_of(world)
    for at_ms in (FIRST_MS + hour * HOUR_MS for hour in hours):
        truth = {
            (number, version.place == "active"): ledger.wire(version.session, at_ms)
            for number, version in ledger.at(PARK, at_ms).items()
        }
        assert await listed(responses, at_ms, 0, None) == truth
        edge_ms = FIRST_MS + cut
        lower = await listed(responses, at_ms, 0, edge_ms)
        upper = await listed(responses, at_ms, edge_ms, None)
        assert not lower.keys() & upper.keys()
        assert lower | upper == truth
        for state, active in (("active", True), ("completed", False)):
            digest = ledger.digest(PARK, edge_ms, None, state, at_ms)  # type: ignore[arg-type]
            assert digest == ledger.digest_of(record for key, record in upper.items() if key[1] is active)


async def test_the_routes_serve_what_the_ledger_lists(serve: Serve) -> None:
    world = World.of([Park.office(PARK, connectors=3, opened=OPENED)], changes=EVERYTHING)
    caller = await serve(world, clock=SimulatedClock(FIRST_MS))
    for _ in range(5):
        caller.sim.clock.move(17 * 86_400 + 4_321)
        now_ms, ledger = caller.sim.clock.now_ms, caller.sim.ledger
        at = ledger.at(PARK, now_ms)
        for place, active in (("active", "true"), ("completed", "false")):
            truth = [ledger.wire(version.session) for version in at.values() if version.place == place]
            for _ in range(2):  # computed, and from the cache
                served = await caller.sessions(f"active={active}&range=0")
                assert ledger.digest_of(served) == ledger.digest_of(truth)
                assert [each["from"] for each in served] == sorted((each["from"] for each in served), reverse=True)


async def test_a_station_serves_its_sessions_as_they_have_changed(serve: Serve) -> None:
    world = World.of([Park.office(PARK, connectors=4, opened=OPENED)], changes=EVERYTHING)
    caller = await serve(world)
    by_station = []
    for serial_number in world.stations:
        reply = await caller.get(f"/dev/v3/chargingstations/{serial_number}/sessions?active=false&range=0")
        by_station += reply.json
    whole = await caller.sessions("active=false&range=0")
    assert caller.sim.ledger.digest_of(by_station) == caller.sim.ledger.digest_of(whole)


Lists = tuple[list[int], list[int]]


async def both(caller: Caller, query: str = "range=0") -> Lists:
    return await caller.ids(f"active=true&{query}"), await caller.ids(f"active=false&{query}")


async def test_a_fixed_session_is_served_as_it_says_that_it_changes(serve: Serve) -> None:
    one = (
        session(1, NOON_MS, NOON_MS + HOUR_MS)
        .changed(NOON_MS + 2 * HOUR_MS, energy_ckwh=2_000)
        .changed(NOON_MS + 3 * HOUR_MS, end_ms=None)
        .changed(NOON_MS + 4 * HOUR_MS, end_ms=NOON_MS + 4 * HOUR_MS)
        .changed(NOON_MS + 5 * HOUR_MS, listed=False)
        .changed(NOON_MS + 6 * HOUR_MS, listed=True)
        .changed(NOON_MS + 7 * HOUR_MS, start_ms=NOON_MS - MINUTE_MS)
    )
    caller = await serve(Park.fixed(PARK, [one]), clock=SimulatedClock(NOON_MS))
    seen = []
    for _ in range(7):
        seen.append(await both(caller))
        caller.sim.clock.move(3600)
    active: Lists = ([1], [])
    completed: Lists = ([], [1])
    neither: Lists = ([], [])
    assert seen == [active, completed, completed, active, completed, neither, completed]
    assert await both(caller, f"range={NOON_MS}") == neither
    assert await both(caller, f"range={NOON_MS - MINUTE_MS},{NOON_MS}") == completed
    (record,) = await caller.sessions("active=false&range=0")
    assert (record["energy"], record["to"]) == (20.0, NOON_MS + 4 * HOUR_MS)


async def test_going_back_in_time_brings_back_the_versions_of_then(serve: Serve) -> None:
    one = session(1).changed("2026-10-20T00:00:00Z", listed=False)
    caller = await serve(Park.fixed(PARK, [one]))
    assert await both(caller) == ([], [])
    caller.sim.clock.move_to("2026-10-19T00:00:00Z")
    assert await both(caller) == ([], [1])


def test_a_fixed_session_can_surface_late() -> None:
    late = session(1).changed(NOON_MS, listed=False).changed(NOON_MS + 90 * DAY_MS, listed=True)
    ledger = ledger_of(World.of([Park.fixed(PARK, [late])]))
    ((number, (first,)),) = ledger.versions(PARK)
    assert (number, first.from_ms, first.place) == (1, NOON_MS + 90 * DAY_MS, "completed")
    assert version_at((first,), first.from_ms - 1) is None
    assert ledger.at(PARK, first.from_ms - 1) == {}


@pytest.mark.parametrize("name", ["id", "later", "nothing"])
def test_a_session_cannot_change_its_id_or_what_it_does_not_have(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        session(1).changed(NOON_MS, **{name: 5})


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_a_share_is_from_0_to_1(share: float) -> None:
    with pytest.raises(ValueError, match="late"):
        Changes(late=share)


# Parks that appear, and clocks that are wrong


@pytest.mark.parametrize("status", [404, 403])
async def test_a_park_that_has_not_appeared_is_refused_and_not_listed(serve: Serve, status: Any) -> None:
    parks = [Park.fixed(PARK, [session(1)]), Park.fixed(1002).appearing("2026-11-02T00:00:00Z")]
    caller = await serve(World.of(parks), assumptions=Assumptions(unknown_park_status=status))

    async def statuses() -> tuple[list[int], int, int]:
        locations = (await caller.get("/dev/v3/servicelocation")).json["serviceLocations"]
        info = await caller.get("/dev/v3/servicelocation/1002/info")
        return [each["serviceLocationId"] for each in locations], (await caller.ask(park=1002)).status, info.status

    assert await statuses() == ([PARK], status, status)
    caller.sim.clock.move_to("2026-11-02T00:00:00Z")
    assert await statuses() == ([PARK, 1002], 200, 200)


async def test_the_date_can_be_ahead_or_behind_and_can_jump(serve: Serve) -> None:
    caller = await serve()

    async def off_s() -> float:
        shown = parsedate_to_datetime((await caller.ask()).headers["Date"])
        return (shown - caller.sim.clock.now).total_seconds()

    assert await off_s() == 0
    caller.sim.clock.put_off(3600)
    caller.sim.clock.put_off(-86_400, at="2026-11-03T00:00:00Z")
    assert await off_s() == 3600
    assert await caller.ids() == [3, 2, 1]  # what the service knows does not depend on the date that it shows
    caller.sim.clock.move_to("2026-11-03T00:00:00Z")
    assert await off_s() == 3600 - 86_400


async def test_a_world_without_changes_keeps_no_versions() -> None:
    world = World.of([Park.office(PARK, connectors=2, opened=OPENED)])
    async with Simulator(world):
        responses = SessionResponses(world, Assumptions(), cache_bytes=1 << 20)
        await responses.body(SessionQuery(PARK, None, 0, None, active=False), NOW_MS)
    assert not world.kept_sessions
