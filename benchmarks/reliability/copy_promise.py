"""``python -m benchmarks.reliability.copy_promise``: what copies hold, beside what the service listed.

A simulated world of parks in which sessions stay for weeks, come late, settle, are corrected, moved, removed, opened
again, or are in neither list for a while. It is read again and again, by this package, by bookmarks of several kinds,
and by ``dlt.sources.incremental``; visits fail at times, and a fifth of the parks are added on day 40. At the end every
version that the service listed is compared with what each copy held at the time. The exit code is 1 unless the copy of
this package lost nothing, is nowhere staler than promised, and missed no removal; in many random worlds too.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import attrs

from benchmarks.reliability.copied_world import WorldSource
from benchmarks.reliability.copying import Bookmark, Copying, DltIncremental, Ours
from smappee_async import ChargingSession, converter
from smappee_async.simulator import Assumptions, Changes, SimulatedClock, World
from smappee_async.simulator.changes import Version, versions_of
from smappee_async.simulator.wire import record

_BEGIN: Final = "2026-01-01T00:00:00Z"
_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 24 * _HOUR_MS
#: The judge's own list: how long a change may stay unseen by the age of its session, and then until the next visit.
_PROMISES_MS: Final = (
    (2 * _DAY_MS, 0),
    (14 * _DAY_MS, _DAY_MS),
    (90 * _DAY_MS, 7 * _DAY_MS),
    (400 * _DAY_MS, 30 * _DAY_MS),
)
#: A removal is believed when two reads have missed the session that are so far apart.
_REMOVED_AFTER_MS: Final = 75 * 60_000

Content = tuple[str, int, int | None, float | None]
"""What counts of a version: its list, start and end, and the energy of a completed one."""


@attrs.frozen(kw_only=True)
class Setting:
    """One world, and how it is read."""

    seed: int = 1
    parks: int = 24
    sessions_per_year: int = 50_000
    days: int = 150
    syncs: int = 1_000
    failing: float = 0.01
    late_parks_day: int = 40
    outages: bool = False


QUICK: Final = Setting(parks=3, sessions_per_year=3_000, syncs=200, outages=True)


@attrs.define
class Tally:
    """What is wrong with one copy."""

    sessions: int = 0
    lost: int = 0
    stale: int = 0
    not_removed: int = 0
    worst: float = 0.0
    """The longest delay, as a share of what is promised for its age."""
    requests: int = 0
    rows: int = 0
    visits: int = 0

    @property
    def keeps_its_promise(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.lost or self.stale or self.not_removed) and self.worst <= 1.0

    def add(self, other: Tally) -> None:
        """Count another world as well."""
        for name in ("sessions", "lost", "stale", "not_removed", "requests", "rows", "visits"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.worst = max(self.worst, other.worst)


class Run:
    """Reads one world in one way, and keeps what was written and when."""

    def __init__(self, setting: Setting, copying: Copying, world: World) -> None:
        self._setting = setting
        self._world = world
        self._copying = copying
        self._clock = SimulatedClock.at(_BEGIN)
        self._begin_ms = self._clock.now_ms
        self._source = WorldSource(world, self._clock)
        self._written: dict[tuple[int, int], list[tuple[int, Content | None]]] = defaultdict(list)
        self._visited_ms: dict[int, list[int]] = defaultdict(list)
        self.tally = Tally()

    async def run(self) -> Tally:
        """Read it to the end, and judge."""
        setting, chance = self._setting, random.Random(self._setting.seed)
        parks = list(self._world.parks)
        late = set(parks[::5]) if setting.late_parks_day else set()
        step_ms = setting.days * _DAY_MS // setting.syncs
        for _ in range(setting.syncs):
            self._clock.move(timedelta(milliseconds=step_ms + chance.randrange(-step_ms // 20, step_ms // 20 + 1)))
            if setting.outages and chance.random() < 0.01:
                self._clock.move(timedelta(days=chance.randrange(1, 20)))
            day = (self._clock.now_ms - self._begin_ms) // _DAY_MS
            known = [park for park in parks if park not in late or day >= setting.late_parks_day]
            failing = frozenset(park for park in known if chance.random() < setting.failing)
            await self._sync(known, failing)
        self._judge()
        return self.tally

    async def _sync(self, parks: Sequence[int], failing: frozenset[int]) -> None:
        self._source.failing = failing
        before = self._source.requests, self._source.rows
        writes = await self._copying.sync(self._source, parks, self._begin_ms)
        self.tally.requests += self._source.requests - before[0]
        self.tally.rows += self._source.rows - before[1]
        self.tally.visits += len(parks)
        now_ms = self._clock.now_ms
        for park in parks:
            if park not in failing:
                self._visited_ms[park].append(now_ms)
        for write in writes:
            self._written[write.park, write.id].append((now_ms, content_of(write.session)))

    # --- the verdict --------------------------------------------------------------------------------------------------

    def _judge(self) -> None:
        end_ms = self._clock.now_ms
        for park in self._world.parks:
            for session in self._world.sessions(park, self._begin_ms, end_ms):
                changed = self._world.versions(park, session)
                versions = versions_of(session, ()) if changed is None else changed
                begun = [version for version in versions if version.from_ms <= end_ms]
                if begun and any(version.place != "none" for version in begun):
                    self.tally.sessions += 1
                    self._judge_session(park, session.id, begun, end_ms)

    def _judge_session(self, park: int, number: int, versions: Sequence[Version], end_ms: int) -> None:
        written = self._written.get((park, number), [])
        ends_ms = [version.from_ms for version in versions[1:]] + [end_ms]
        for version, until_ms in zip(versions, ends_ms, strict=True):
            wanted = listed_content(version)
            if wanted is None and not _was_held(written, version.from_ms):
                continue
            due_ms = self._due_ms(park, version)
            seen_ms = _seen_ms(written, wanted, version.from_ms)
            limit_ms = until_ms if due_ms is None else min(due_ms, until_ms)
            if seen_ms is not None and (due_ms is None or seen_ms <= due_ms):
                if due_ms is not None and seen_ms >= version.from_ms and due_ms > version.from_ms:
                    self.tally.worst = max(self.tally.worst, (seen_ms - version.from_ms) / (due_ms - version.from_ms))
                continue
            if due_ms is None or due_ms > until_ms or limit_ms > until_ms:
                continue  # it was replaced, or the run ended, before it had to be seen
            late_ms = until_ms if seen_ms is None else min(seen_ms, until_ms)
            promised_ms = max(due_ms - version.from_ms, _HOUR_MS)  # a visit may have been due at once
            self.tally.worst = max(self.tally.worst, (late_ms - version.from_ms) / promised_ms)
            if wanted is None:
                self.tally.not_removed += 1
            elif not _was_held(written, end_ms):
                self.tally.lost += 1
            else:
                self.tally.stale += 1
            return  # each session counts once

    def _due_ms(self, park: int, version: Version) -> int | None:
        """The visit at which a version has to be seen; ``None`` if there was none in time, or nothing is promised."""
        age_ms = version.from_ms - version.session.start_ms
        promise_ms = next((delay_ms for limit_ms, delay_ms in _PROMISES_MS if age_ms < limit_ms), None)
        if promise_ms is None:
            return None
        visited_ms = self._visited_ms[park]
        due_ms = next((each for each in visited_ms if each >= version.from_ms + promise_ms), None)
        if version.place == "none" and due_ms is not None:
            return next((each for each in visited_ms if each >= due_ms + _REMOVED_AFTER_MS), None)
        return due_ms


def _was_held(written: Sequence[tuple[int, Content | None]], until_ms: int) -> bool:
    return any(at_ms <= until_ms for at_ms, _ in written)


def _seen_ms(written: Sequence[tuple[int, Content | None]], wanted: Content | None, from_ms: int) -> int | None:
    """When a copy held what was listed, from then on; ``from_ms`` if it held it already."""
    held: list[tuple[int, Content | None]] = [each for each in written if each[0] < from_ms]
    if held and held[-1][1] == wanted:
        return from_ms
    return next((at_ms for at_ms, content in written if at_ms >= from_ms and content == wanted), None)


def listed_content(version: Version) -> Content | None:
    """What a copy should hold of a version; ``None`` for nothing, or marked as vanished."""
    if version.place == "none":
        return None
    wire = record(version.session, version.from_ms, Assumptions())
    return content_of(converter.structure(wire, ChargingSession))


def content_of(session: ChargingSession | None) -> Content | None:
    """What counts of a session."""
    if session is None:
        return None
    if session.to_ms is None:
        return "active", session.from_ms, None, None
    return "completed", session.from_ms, session.to_ms, session.energy


# --- the program ------------------------------------------------------------------------------------------------------


def copyings(place: Path, *, with_dlt: bool) -> dict[str, Copying]:
    """The ways to keep a copy, by name; files are made in a directory."""
    several: dict[str, Copying] = {
        "one bookmark for all parks": Bookmark(per_park=False, active=False),
        "a bookmark per park, active and completed": Bookmark(),
        "the same, 7 days of look-back": Bookmark(look_back=timedelta(days=7)),
        "the same, 30 days of look-back": Bookmark(look_back=timedelta(days=30)),
    }
    if with_dlt:
        several["dlt.sources.incremental, lag of 7 days"] = DltIncremental(lag=timedelta(days=7))
        several["dlt.sources.incremental, lag of 30 days"] = DltIncremental(lag=timedelta(days=30))
    several["smappee_async.sync"] = Ours()
    several["smappee_async.sync, in SQLite"] = Ours(place / "copy.db")
    return several


def world_of(setting: Setting) -> World:
    """The world of a setting."""
    changes = Changes.mixture()
    return World.demo(
        seed=setting.seed, parks=setting.parks, sessions_per_year=setting.sessions_per_year, changes=changes
    )


def random_worlds(count: int) -> Tally:
    """This package in worlds that differ in size, rhythm, failures and outages."""
    total = Tally()
    for seed in range(1, count + 1):
        chance = random.Random(seed)
        days = chance.randrange(100, 160)
        setting = Setting(
            seed=seed,
            parks=chance.randrange(1, 4),
            sessions_per_year=chance.randrange(300, 4_000),
            days=days,
            syncs=days * 24 // chance.choice([2, 3, 5, 8, 13, 24]),
            failing=chance.choice([0.0, 0.01, 0.1]),
            late_parks_day=chance.choice([0, 40]),
            outages=chance.random() < 0.5,
        )
        total.add(asyncio.run(Run(setting, Ours(), world_of(setting)).run()))
    return total


def main(argv: Sequence[str] | None = None) -> int:
    """Run it, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reliability.copy_promise", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small world, without dlt")
    parser.add_argument("--worlds", type=int, default=None, help="random worlds (60; 3 with --quick)")
    parser.add_argument("--json", type=Path, default=None, help="write the figures to a file")
    parser.add_argument("--chart", type=Path, default=None, help="draw the figures of --json, which exists, as SVG")
    given = parser.parse_args(argv)
    if given.chart is not None:
        draw(json.loads(given.json.read_text()), given.chart)
        return 0
    setting = QUICK if given.quick else Setting()
    print(f"{setting.syncs:,} syncs in {setting.days} days, {setting.parks} parks")
    print(f"{'':45} {'lost':>7} {'stale':>7} {'kept':>6} {'worst':>9} {'requests':>9} {'rows':>7}")
    found: dict[str, Tally] = {}
    with TemporaryDirectory() as place:
        for name, copying in copyings(Path(place), with_dlt=not given.quick).items():
            tally = found[name] = asyncio.run(Run(setting, copying, world_of(setting)).run())
            print(_line(name, tally), flush=True)
    worlds = given.worlds or (3 if given.quick else 60)
    name = f"smappee_async.sync, {worlds} random worlds"
    found[name] = random_worlds(worlds)
    print(_line(name, found[name]))
    print(f"sessions: {found['smappee_async.sync'].sessions:,}, and {found[name].sessions:,} in the random worlds")
    if given.json is not None:
        given.json.write_text(json.dumps({each: attrs.asdict(tally) for each, tally in found.items()}, indent=1) + "\n")
    is_met = all(tally.keeps_its_promise for each, tally in found.items() if each.startswith("smappee_async"))
    print("all of it met" if is_met else "NOT MET")
    return 0 if is_met else 1


def draw(found: dict[str, dict[str, float]], path: Path) -> None:
    """Draw how many sessions each copy lost, or holds in an old version."""
    import matplotlib as mpl  # noqa: PLC0415 - few need it
    from matplotlib.figure import Figure  # noqa: PLC0415

    mpl.rcParams["svg.hashsalt"] = "smappee_async"
    names = [name for name in found if "random" not in name]
    figure = Figure(figsize=(9, 0.62 * len(names) + 1), layout="constrained")
    axes = figure.subplots()
    kinds = (
        ("lost", "lost", "#c0392b"),
        ("stale", "stale", "#e6a23c"),
        ("not_removed", "removed, but kept", "#7f8c8d"),
    )
    for place, (key, label, colour) in enumerate(kinds):
        values = [found[name][key] for name in names]
        bars = axes.barh(
            [row + 0.27 * (place - 1) for row in range(len(names))], values, 0.25, label=label, color=colour
        )
        axes.bar_label(bars, [f"{value:,.0f}" for value in values], padding=3, fontsize=8)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xscale("symlog", linthresh=1)
    axes.set_xlim(0, 100_000)
    axes.set_xlabel(f"sessions, of {found[names[0]]['sessions']:,.0f}, at the end of 150 simulated days (logarithmic)")
    axes.legend(loc="lower right")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None, "Creator": None})


def _line(name: str, tally: Tally) -> str:
    visits = max(1, tally.visits)
    return (
        f"{name:45} {tally.lost:>7,} {tally.stale:>7,} {tally.not_removed:>6,} {tally.worst:>9,.3f} "
        f"{tally.requests / visits:>9.2f} {tally.rows / visits:>7.1f}"
    )


if __name__ == "__main__":
    sys.exit(main())
