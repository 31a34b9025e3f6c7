"""One fetch under faults, compared with the ledger: what came, what was refused and named, and what is missing.

What is expected under every fault: each session comes exactly once, with the payload that it has. If a fetch gives up,
it raises an error that names park and range, or lists the chunks that failed. A fetch that resumes from the checkpoint
brings the rest, and nothing twice. Some faults change the records themselves, and this is expected to show:

``bad_json_record``, ``odd_record``, ``nan``
    The record comes in ``stream.invalid`` and not in the stream, with its raw bytes.
``late_finalisation``
    A session that ended within the settling time may be missing, because the service says that it still runs, or may
    come without its final readings.
``same_id``
    The sessions of the other station come as well, and are counted in ``stats.conflicts``.
``moved_start``
    A session that moved into the next chunk comes once, with one start or the other. Where a response was asked for in
    two parts it may come twice, and is counted in ``stats.conflicts``; a stream that was resumed remembers nothing.
``zero_end``
    An end of 0 is no end.
``status_backwards``, ``unknown_status``
    The status is what the service said; everything else is as it happened.
``unknown_fields``
    They come in ``extra``; everything else is as it happened.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Final

import attrs

from benchmarks.reliability.comparison import Payload, Truth, payload, truth_about
from benchmarks.reliability.counting import is_attempt
from benchmarks.reliability.faults import LIMITS, RECIPES, RETRY, SETTLING_S
from benchmarks.reliability.service import ChunkKey, FaultJson, Requested, Service, Setup, credentials
from smappee_async import ChargingSession, SmappeeClient, SmappeeError, TimeRange
from smappee_async.events import ClientEvent
from smappee_async.models import JsonValue
from smappee_async.query.stream import SessionStream
from smappee_async.simulator.alterations import OTHER_STATION, UNKNOWN_FIELDS
from smappee_async.simulator.wire_fields import wire_record

_ID: Final = re.compile(rb'"id":([0-9]+)')
_ODD: Final = frozenset({"bad_json_record", "odd_record", "nan"})
_YEAR_MS: Final = 366 * 86_400_000
#: How often a fetch is resumed under the faults, before it is resumed once more without faults.
_RESUMED: Final = 20
_EXPIRE_EVERY_S: Final = 0.2
#: A 401 strikes every so many calls and not at random, because a second 401 in one call rightly ends it.
_SPARED_BETWEEN_401S: Final = 29
_401S: Final = 8
_RARER: Final[Mapping[str, float]] = {
    "stall_before_headers": 0.2,
    "stall_after_headers": 0.2,
    "redirect": 0.3,
    "not_found": 0.1,
}


@attrs.frozen
class Scene:
    """What is fetched, and the truth about it.

    :ivar starts: when each session of the truth started, milliseconds since 1970.
    :ivar unsettled: sessions that ended so recently that the service may not know their end yet.
    """

    parks: tuple[int, ...]
    time_range: TimeRange
    truth: Truth
    starts: Mapping[tuple[int, int], int]
    unsettled: frozenset[tuple[int, int]]

    @classmethod
    def of(cls, setup: Setup, sessions: int) -> Scene:
        """The latest sessions of all parks, at least so many, in a range with an open end."""
        ledger, world, now_ms = setup.ledger, setup.world, setup.clock.now_ms
        parks = tuple(world.parks)
        start_ms = now_ms - int(_YEAR_MS * 0.95 * sessions / setup.sessions_per_year)
        while len(truth := truth_about(ledger, parks, start_ms, None)) < sessions:
            start_ms -= (now_ms - start_ms) // 20  # some weeks have fewer sessions than others
        recent_ms = now_ms - int(SETTLING_S * 1000)
        unsettled = frozenset(
            (park, session.id)
            for park in parks
            for session in ledger.sessions(park, max(start_ms, recent_ms - 7 * 86_400_000))
            if session.end_ms is not None and session.end_ms > recent_ms
        )
        starts = {(park, each.id): each.start_ms for park in parks for each in ledger.sessions(park, start_ms, None)}
        return cls(parks, TimeRange.from_ms(start_ms), truth, starts, unsettled)


@attrs.frozen(kw_only=True)
class Row:
    """The result of one fetch under faults; from ``unnamed`` on, everything must be 0.

    :ivar calls: different chunks that were requested, however often each.
    :ivar attempts: requests for sessions, as the client counts them in ``stats``.
    :ivar hits: requests for sessions, as the service counts them.
    :ivar struck: how often a fault struck.
    :ivar failed: chunks that the stream listed in ``failures``.
    :ivar raised: how often the fetch raised and was resumed from its checkpoint.
    :ivar invalid: sessions whose record was listed as unreadable.
    :ivar altered: sessions that differ from the truth as the fault makes them differ.
    :ivar left_out: records that the stream left out: duplicates, and records outside the query.
    :ivar unnamed: errors and failures that do not name park and range.
    :ivar uncounted: by how much the attempts, the events and the hits differ, for each chunk.
    """

    name: str
    kinds: tuple[str, ...]
    sessions: int
    calls: int
    attempts: int
    hits: int
    struck: int
    failed: int
    raised: int
    seconds: float
    invalid: int
    altered: int
    left_out: int
    unnamed: int
    uncounted: int
    lost: int
    doubled: int
    phantom: int
    stale: int
    errors: dict[str, int]

    @property
    def is_clean(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.unnamed or self.uncounted or self.lost or self.doubled or self.phantom or self.stale)


def faults_of(kinds: Sequence[str], probability: float) -> list[FaultJson]:
    """The faults of some kinds; each strikes this share of the requests that it concerns."""
    return [fault for place, kind in enumerate(kinds) for fault in _faults_of(kind, place, probability)]


def _faults_of(kind: str, place: int, probability: float) -> list[FaultJson]:
    recipe = RECIPES[kind]
    if kind in ("token_odd", "token_lost"):
        return [{**recipe, "probability": 0.3}]
    aimed = {**recipe, "route": "park_sessions"}
    if kind in ("unauthorized", "token_revoked"):
        return [{**aimed, "skip": _SPARED_BETWEEN_401S * number + 11 * place, "times": 1} for number in range(_401S)]
    return [{**aimed, "probability": probability * _RARER.get(kind, 1.0)}]


class Fetch:
    """One query, read and resumed until all of it has come."""

    def __init__(self, scene: Scene, kinds: Sequence[str]) -> None:
        self._scene = scene
        self._kinds = frozenset(kinds)
        self._came: Counter[tuple[int, int]] = Counter()
        self._named_invalid: set[tuple[int, int]] = set()
        self._phantom = self._stale = self._altered = 0
        self._attempts = self._left_out = self._conflicts = self._probes = 0
        self._attempts_by_chunk: Counter[ChunkKey] = Counter()
        self._failed = self._raised = self._unnamed = self._unbalanced = 0
        self._errors: Counter[str] = Counter()

    def note(self, event: ClientEvent) -> None:
        """Count the attempts for each chunk, by the events of the client."""
        facts = event.facts
        if is_attempt(event) and facts.time_range is None and facts.method == "GET":
            self._probes += 1  # the client counts it among its requests, but it asks for no sessions
        elif is_attempt(event) and facts.time_range is not None:
            key = facts.service_location_id, facts.time_range.start_ms, facts.time_range.end_ms
            self._attempts_by_chunk[key] += 1

    async def run(self, service: Service, name: str, faults: Sequence[FaultJson]) -> Row:
        """Fetch everything under these faults, and compare it with the truth."""
        await service.set_faults(faults)
        before, began_at = await service.stats(), time.perf_counter()
        async with (
            _tokens_that_end(service, often=bool(self._kinds & {"token_odd", "token_lost"})),
            SmappeeClient(
                credentials(), base_url=service.base_url, limits=LIMITS, retry=RETRY, on_event=self.note
            ) as client,
        ):
            checkpoint = await self._while_it_raises(client)
            struck = sum((await service.strikes()).values())
            await service.set_faults(())
            if checkpoint is not None:
                await self._read(client, checkpoint)
        seconds = time.perf_counter() - began_at
        after = await service.stats()
        requested = await service.requested(after.hits - before.hits)
        return self._row(name, seconds, struck, requested)

    async def _while_it_raises(self, client: SmappeeClient) -> Mapping[str, JsonValue] | None:
        """Read and resume under the faults; returns a checkpoint if chunks are still missing."""
        checkpoint: Mapping[str, JsonValue] | None = None
        for _ in range(_RESUMED):
            failed = self._failed
            checkpoint, raised = await self._read(client, checkpoint)
            if not raised:
                return checkpoint if self._failed > failed else None
        return checkpoint

    async def _read(
        self, client: SmappeeClient, resume: Mapping[str, JsonValue] | None
    ) -> tuple[Mapping[str, JsonValue], bool]:
        """Read what is left; returns the checkpoint, and whether the stream raised."""
        scene, raised = self._scene, False
        stream = client.sessions(scene.parks, scene.time_range, on_error="collect", on_invalid="collect", resume=resume)
        try:
            async with stream:
                async for batch in stream.batches():
                    for session in batch.sessions:
                        self._take(session)
        except SmappeeError as error:
            raised = True
            self._raised += 1
            self._name(error, error.facts.service_location_id, error.facts.time_range)
        self._settle(stream)
        return stream.checkpoint(), raised

    # --- what came ----------------------------------------------------------------------------------------------------

    def _take(self, session: ChargingSession) -> None:
        key = (session.service_location_id or 0, session.id)
        if "same_id" in self._kinds and session.serial_number == str(OTHER_STATION):
            self._altered += 1
            return
        self._came[key] += 1
        expected = self._scene.truth.get(key)
        if expected is None:
            moved_in = "moved_start" in self._kinds and session.from_ms == self._scene.time_range.start_ms
            self._phantom += key not in self._scene.unsettled and not moved_in
        elif payload(wire_record(session)) != expected:
            if self._is_expected(key, session, expected):
                self._altered += 1
            else:
                self._stale += 1

    def _is_expected(self, key: tuple[int, int], session: ChargingSession, expected: Payload) -> bool:
        """Whether the faults of this row explain the difference."""
        if "late_finalisation" in self._kinds and key in self._scene.unsettled:
            return True
        record = wire_record(session)
        if "unknown_fields" in self._kinds and record.keys() >= UNKNOWN_FIELDS.keys():
            record = {name: value for name, value in record.items() if name not in UNKNOWN_FIELDS}
        if "moved_start" in self._kinds:
            record["from"] = self._scene.starts[key]
        odd = {"status_backwards": "CHARGING", "unknown_status": "HIBERNATING"}
        if record["status"] in {status for kind, status in odd.items() if kind in self._kinds}:
            record["status"] = "STOPPED"
        return payload(record) == expected

    def _settle(self, stream: SessionStream) -> None:
        """Add up the counts and failures of one stream."""
        stats = stream.stats
        self._attempts += stats.requests
        self._left_out += stats.duplicates + stats.filtered
        self._conflicts += stats.conflicts
        self._unbalanced += abs(stats.received - stats.sessions - stats.filtered - stats.duplicates - stats.invalid)
        self._failed += len(stream.failures)
        for failure in stream.failures:
            self._name(failure.error, failure.service_location_id, failure.time_range)
        for invalid in stream.invalid:
            park = invalid.error.facts.service_location_id
            self._name(invalid.error, park, invalid.error.facts.time_range)
            found = _ID.search(invalid.raw)
            self._named_invalid.add((park or 0, int(found[1]) if found else -1))

    def _name(self, error: SmappeeError, park: int | None, time_range: object) -> None:
        self._errors[type(error).__name__] += 1
        if park not in self._scene.parks or time_range is None:
            self._unnamed += 1

    # --- the row ------------------------------------------------------------------------------------------------------

    def _row(self, name: str, seconds: float, struck: int, requested: Requested) -> Row:
        return Row(
            name=name,
            kinds=tuple(sorted(self._kinds)),
            sessions=self._came.total(),
            calls=len(self._attempts_by_chunk),
            attempts=self._attempts - self._probes,
            hits=requested.chunks.total(),
            struck=struck,
            failed=self._failed,
            raised=self._raised,
            seconds=seconds,
            invalid=len(self._named_invalid),
            altered=self._altered,
            left_out=self._left_out,
            unnamed=self._unnamed,
            uncounted=self._uncounted(requested) + self._unbalanced,
            lost=sum(1 for _ in self._missing()),
            # A record that was unreadable in one response and readable in another has come, and was also listed.
            doubled=self._doubled(),
            phantom=self._phantom + sum(1 for key in self._named_invalid if key not in self._scene.truth),
            stale=self._stale,
            errors=dict(self._errors),
        )

    def _uncounted(self, requested: Requested) -> int:
        own, hits = self._attempts_by_chunk, requested.chunks
        unseen, uncounted = (own - hits).total(), (hits - own).total()
        unseen = max(0, unseen - requested.closed_early)
        difference = abs(self._attempts - self._probes - own.total())
        # A fetch that raises cancels the attempts that are running. One side may have counted them, but not the other.
        cancelled = self._raised * LIMITS.concurrency
        return max(0, unseen + uncounted - cancelled) + max(0, difference - cancelled)

    def _doubled(self) -> int:
        doubled = sum(times - 1 for times in self._came.values())
        if "moved_start" not in self._kinds:
            return doubled
        return 0 if self._raised or self._failed else max(0, doubled - self._conflicts)

    def _missing(self) -> Iterable[tuple[int, int]]:
        may_be_late = self._scene.unsettled if "late_finalisation" in self._kinds else frozenset()
        may_be_bad = self._named_invalid if _ODD & self._kinds else frozenset()
        return (
            key
            for key in self._scene.truth
            if key not in self._came and key not in may_be_late and key not in may_be_bad
        )


@contextlib.asynccontextmanager
async def _tokens_that_end(service: Service, *, often: bool) -> AsyncIterator[None]:
    """End the access tokens a few times a second, so that there are token calls that a fault can strike."""

    async def end_them() -> None:
        while True:
            await asyncio.sleep(_EXPIRE_EVERY_S)
            await service.expire_tokens()

    ending = [asyncio.create_task(end_them())] if often else []
    try:
        yield
    finally:
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
