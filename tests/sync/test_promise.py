"""What a copy promises, in a world whose sessions change in every way that is known."""

from __future__ import annotations

import asyncio
import random
from bisect import bisect_left
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from smappee_async.sync import SqliteStore

from .changing_world import BEGIN_MS, DAY_MS, HOUR_MS, ChangingWorld, Version, by_chance
from .support import select, sync_once

#: Of each age, how long a change may stay unseen, besides the time until the next sync.
PROMISES_MS = ((2 * DAY_MS, 0), (14 * DAY_MS, DAY_MS), (90 * DAY_MS, 7 * DAY_MS), (400 * DAY_MS, 30 * DAY_MS))


def rows(path: Path) -> dict[tuple[int, int], dict[str, Any]]:
    return {(row["service_location_id"], row["id"]): row for row in select(path, "SELECT * FROM sessions")}


def promised_ms(age_ms: int) -> int:
    return next(delay for age, delay in PROMISES_MS if age_ms < age)


def is_as(row: dict[str, Any] | None, version: Version) -> bool:
    if version.listed is None:
        return row is None or row["vanished_at"] is not None
    return (
        row is not None
        and row["vanished_at"] is None
        and (row["status"], row["energy"]) == (str(version.session.status), version.session.energy)
    )


def overdue(world: ChangingWorld, path: Path, syncs_ms: list[int]) -> list[tuple[int, int, str]]:
    """The sessions that are not as they should be by now: park, id, and what was promised."""
    copy = rows(path)
    late: list[tuple[int, int, str]] = []
    for park, sessions in world.versions.items():
        for number in sessions:
            version = world.served(park, number)
            if version is None or is_as(copy.get((park, number)), version):
                continue
            due_ms = version.from_ms + promised_ms(version.from_ms - version.session.from_ms)
            read_ms = first_since(syncs_ms, due_ms)
            if version.listed is None:  # it is read twice before it counts as removed
                read_ms = None if read_ms is None else first_since(syncs_ms, read_ms + 3 * HOUR_MS)
            if read_ms is not None:
                late.append((park, number, f"{version} was to be seen at {read_ms}"))
            elif version.listed == "completed" and ran_at(world, park, number, syncs_ms[-2:-1]):
                late.append((park, number, f"{version} ran at the last sync"))
    return late


def first_since(syncs_ms: list[int], instant_ms: int) -> int | None:
    place = bisect_left(syncs_ms, instant_ms)
    return syncs_ms[place] if place < len(syncs_ms) else None


def ran_at(world: ChangingWorld, park: int, number: int, at_ms: list[int]) -> bool:
    if not at_ms:
        return False
    then = [each for each in world.versions[park][number] if each.from_ms <= at_ms[0]]
    return bool(then) and then[-1].listed == "active"


@settings(
    max_examples=4,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    seed=st.integers(0, 10_000),
    hours=st.sampled_from([3, 8]),
    outages=st.booleans(),
)
def test_nothing_is_lost_and_nothing_is_stale_for_longer_than_promised(seed: int, hours: int, outages: bool) -> None:
    """Each session is as the service listed it when the tier of its age was last read."""
    world, chance = by_chance(seed, parks=2, days=110), random.Random(seed)

    async def main(path: Path) -> None:
        syncs_ms: list[int] = []
        world.now_ms = BEGIN_MS + DAY_MS
        async with SqliteStore(path) as store:
            while world.now_ms < BEGIN_MS + 125 * DAY_MS:
                world.now_ms += hours * HOUR_MS + chance.randrange(-60_000, 60_000)
                if outages and chance.random() < 0.02:
                    world.now_ms += chance.randrange(1, 20) * DAY_MS
                assert (await sync_once(world, store)).failures == ()
                syncs_ms.append(world.now_ms)
                if len(syncs_ms) % 10 == 0:
                    assert overdue(world, path, syncs_ms) == []

    with TemporaryDirectory() as place:
        asyncio.run(main(Path(place) / "copy.db"))
