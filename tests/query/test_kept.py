"""What a stream remembers of the sessions that it kept: enough to recognise one that moved, and no more than so much."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import attrs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smappee_async.defaults import KEPT_SESSIONS, MOVED_WITHIN_MS
from smappee_async.models import ChargingSession, SessionStatus
from smappee_async.query.account import StreamAccount
from smappee_async.query.kept import KeptSessions, Packed, has_moved, is_same, pack
from smappee_async.query.plan import Chunk
from smappee_async.query.select import Selection, select_sessions
from smappee_async.query.target import Target
from smappee_async.timerange import TimeRange

START = 1_709_600_000_000
HOUR = 3_600_000
PARK, OTHER = Target(12345), Target(12346)


@attrs.define
class Row:
    """All that the selection looks at."""

    id: int
    from_ms: int = START
    to_ms: int | None = START + HOUR
    serial_number: int | str = "6"
    status: SessionStatus = SessionStatus.STOPPED


def chunk_at(number: int, target: Target = PARK, hours: int = 24) -> Chunk:
    begin_ms = START + number * hours * HOUR
    return Chunk(target, TimeRange.from_ms(begin_ms, begin_ms + hours * HOUR))


def remember(kept: KeptSessions, chunk: Chunk, rows: list[Row]) -> tuple[StreamAccount, int]:
    """Select the rows of a chunk, and remember them; returns the account, and how many others were forgotten."""
    account = StreamAccount()
    selection = Selection(chunk, "all", account, lambda _: None, earlier=kept.of(chunk.target))
    selection.left_out(rows)
    return account, kept.add(chunk.target, chunk.time_range, *selection.kept())


# --- what is the same session -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (Row(1), True),
        (Row(1, to_ms=None), True),
        (Row(1, serial_number=6), True),
        (Row(1, serial_number="06"), False),
        (Row(1, serial_number="7"), False),
        (Row(1, from_ms=START + 1), False),
    ],
)
def test_two_records_are_of_one_session_if_station_and_start_agree(other: Row, *, same: bool) -> None:
    """R44."""
    assert is_same(pack(Row(1)), pack(other)) is same


@pytest.mark.parametrize(
    ("from_ms", "to_ms", "serial_number", "moved"),
    [
        (START + 1, START + HOUR, "6", True),
        (START - 5 * HOUR, START + HOUR, "6", True),
        (START + 5 * HOUR, START + 6 * HOUR, "6", True),
        (START + HOUR, START + 9 * HOUR, "6", True),
        (START + 5 * HOUR, None, "6", True),
        (START + HOUR + 1, START + 9 * HOUR, "6", False),
        (START - 9 * HOUR, START - 1, "6", False),
        (START + 1, START + HOUR, "7", False),
        (START + 5 * HOUR, None, "7", False),
    ],
    ids=[
        "same end",
        "longer",
        "equally long",
        "overlapping",
        "no end",
        "after it",
        "before it",
        "another station",
        "another station and no end",
    ],
)
def test_a_start_was_corrected_unless_the_station_is_another_or_one_session_follows_the_other(
    from_ms: int, to_ms: int | None, serial_number: str, *, moved: bool
) -> None:
    """R44: an id that a station uses again is another session."""
    there = pack(Row(1, from_ms, to_ms, serial_number))
    assert has_moved(pack(Row(1)), there) is has_moved(there, pack(Row(1))) is moved


# --- how much is remembered -------------------------------------------------------------------------------------------


def test_a_target_that_is_finished_is_forgotten() -> None:
    kept = KeptSessions()
    remember(kept, chunk_at(0), [Row(number) for number in range(10)])
    remember(kept, chunk_at(0, OTHER), [Row(number) for number in range(5)])
    kept.drop(PARK)
    assert (len(kept), kept.of(PARK)) == (5, {})
    kept.drop(OTHER)
    assert not kept


def test_when_it_is_too_much_the_oldest_chunks_keep_what_is_near_their_edges() -> None:
    """R44."""
    kept = KeptSessions(most=100)
    first = chunk_at(0)
    end_ms = first.time_range.end_ms or 0
    starts = [
        START,
        START + MOVED_WITHIN_MS - 1,
        START + MOVED_WITHIN_MS,
        end_ms - MOVED_WITHIN_MS - 1,
        end_ms - MOVED_WITHIN_MS,
        end_ms - 1,
    ]
    remember(kept, first, [Row(number, start_ms) for number, start_ms in enumerate(starts)])
    middle_ms = START + 36 * HOUR
    _, forgotten = remember(kept, chunk_at(1), [Row(number, middle_ms) for number in range(100, 180)])
    assert sorted(key for key in kept.of(PARK) if isinstance(key, int) and key < 100) == [0, 1, 4, 5]
    assert forgotten == 2


def test_it_never_remembers_more_than_it_may_and_says_how_many_were_forgotten() -> None:
    """R44."""
    kept, added, forgotten = KeptSessions(most=200), 0, 0
    for number in range(50):
        chunk = chunk_at(number, Target(number % 7), hours=1)  # all of it is near an edge
        rows = [Row(1000 * number + each, chunk.time_range.start_ms) for each in range(30)]
        forgotten += remember(kept, chunk, rows)[1]
        added += len(rows)
        assert len(kept) <= 200
        assert len(kept) + forgotten == added
    for number in range(7):
        kept.drop(Target(number))
    assert not kept


def test_what_a_stream_may_remember_takes_less_than_25_megabytes() -> None:
    """R44, R30: also in very many parks with a few sessions each."""
    for parks, each in ((1, 2 * KEPT_SESSIONS), (40_000, 5)):
        kept = KeptSessions()
        tracemalloc.start()
        try:
            for park in range(parks):
                rows = [Row(1_000_000 + park * each + number, START + number) for number in range(each)]
                remember(kept, chunk_at(0, Target(park)), rows)
                del rows
            taken, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert taken < 25_000_000


def test_a_service_that_gives_all_sessions_one_id_is_read_whole_and_costs_no_more() -> None:
    """R44."""
    kept = KeptSessions()
    account, _ = remember(kept, chunk_at(0), [Row(0, START + number) for number in range(5_000)])
    assert (account.kept, account.conflicts, account.duplicates) == (5_000, 4_999, 0)
    assert len(kept) < 20


# --- a model ----------------------------------------------------------------------------------------------------------

SESSIONS, CHUNKS = 6, 4


@attrs.define
class Service:
    """A service that corrects starts while it is read."""

    starts: list[int]

    def response(self, chunk: Chunk) -> list[msgspec.Raw]:
        records: list[dict[str, Any]] = [
            {"id": number, "serialNumber": number % 2, "from": start_ms, "to": start_ms + HOUR, "status": "STOPPED"}
            for number, start_ms in enumerate(self.starts)
            if chunk.time_range.contains_ms(start_ms)
        ]
        return [msgspec.Raw(json.dumps(record).encode()) for record in records]


moments = st.integers(0, CHUNKS * 24 - 1).map(lambda hour: START + hour * HOUR)


@given(
    st.lists(moments, min_size=SESSIONS, max_size=SESSIONS),
    st.permutations(range(CHUNKS)),
    st.lists(st.lists(st.tuples(st.integers(0, SESSIONS - 1), moments), max_size=3), min_size=CHUNKS, max_size=CHUNKS),
)
def test_however_starts_are_corrected_between_chunks_each_session_comes_once(
    starts: list[int], order: list[int], corrections: list[list[tuple[int, int]]]
) -> None:
    """R44."""
    service, kept, account = Service(list(starts)), KeptSessions(), StreamAccount()
    came: list[ChargingSession] = []
    first_seen: dict[int, int] = {}
    repeated = 0
    for place, (number, moves) in enumerate(zip(order, corrections, strict=True), 1):
        chunk = chunk_at(number)
        for session, start_ms in enumerate(service.starts):
            if chunk.time_range.contains_ms(start_ms):
                repeated += session in first_seen
                first_seen.setdefault(session, start_ms)
        slices = select_sessions(
            chunk,
            [service.response(chunk)],
            "all",
            account,
            on_invalid="raise",
            on_unknown_status=lambda _: None,
            kept=kept,
            has_more=place < CHUNKS,
        )
        came += [session for sessions, _ in slices for session in sessions]
        for session, start_ms in moves:
            service.starts[session] = start_ms

    assert {session.id: session.from_ms for session in came} == first_seen
    assert len(came) == len(first_seen)
    assert account.moved == account.duplicates == repeated
    assert account.received == account.kept + account.duplicates
    assert (account.conflicts, account.forgotten, len(kept)) == (0, 0, 0)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.sampled_from([6, "6", 7])), max_size=12), st.booleans()
)
def test_records_with_one_id_are_one_session_exactly_if_they_agree_in_station_and_start(
    drawn: list[tuple[int, int, int | str]], packed: bool
) -> None:
    """R44: within one response."""
    rows = [Row(number, START + start_ms, serial_number=serial) for number, start_ms, serial in drawn]
    account, earlier = StreamAccount(), Packed()
    selection = Selection(chunk_at(0), "all", account, lambda _: None, earlier=earlier)
    left_out: list[int] = []
    for position, row in enumerate(rows):
        left_out += [position] if selection.left_out([row]) else []
        if packed:
            selection.kept()
    seen: set[tuple[int, int, str]] = set()
    expected = []
    for position, row in enumerate(rows):
        identity = (row.id, row.from_ms, str(row.serial_number))
        if identity in seen:
            expected.append(position)
        seen.add(identity)
    assert left_out == expected
    assert account.duplicates == len(expected)
    assert account.conflicts == len(seen) - len({number for number, _, _ in seen})
    assert account.moved == 0
