"""Which records of a response are handed over, and the account of the others."""

from __future__ import annotations

import json
import traceback
from typing import Any

import attrs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smappee_async.defaults import SLICE_SESSIONS
from smappee_async.errors import ResponseDecodeError
from smappee_async.models import OPEN_STATUSES, ChargingSession, SessionState, SessionStatus
from smappee_async.query.plan import Chunk, Target
from smappee_async.query.select import StreamAccount, select_sessions
from smappee_async.timerange import TimeRange

START, END = 1_709_600_000_000, 1_709_700_000_000
PIECE = Chunk(Target(12345), TimeRange.from_ms(START, END))
OPEN_CHUNK = Chunk(Target(12345), TimeRange.from_ms(START))
STATES: tuple[SessionState, ...] = ("completed", "active", "all")
OPEN = sorted(OPEN_STATUSES)
LATER = END + 5_000_000

Record = dict[str, Any]


def record(number: int = 1, **changes: Any) -> Record:
    made = {"id": number, "serialNumber": "6", "from": START, "to": LATER, "status": "STOPPED", **changes}
    return {name: value for name, value in made.items() if value is not None}


@attrs.define
class Sifted:
    """What came of sifting."""

    slices: list[list[ChargingSession]]
    last: list[bool]
    account: StreamAccount
    told: list[str]

    @property
    def sessions(self) -> list[ChargingSession]:
        return [session for each in self.slices for session in each]


def sift_all(
    *responses: list[Any], chunk: Chunk = PIECE, state: SessionState = "all", account: StreamAccount | None = None
) -> Sifted:
    account = StreamAccount() if account is None else account
    told: list[str] = []
    raws = [[msgspec.Raw(json.dumps(each).encode()) for each in response] for response in responses]
    found = list(select_sessions(chunk, raws, state, account, on_invalid="collect", on_unknown_status=told.append))
    return Sifted([kept for kept, _ in found], [last for _, last in found], account, told)


def balance(account: StreamAccount) -> int:
    return account.kept + account.filtered + account.duplicates + len(account.invalid)


# --- the account ------------------------------------------------------------------------------------------------------

any_records = st.builds(
    record,
    st.integers(1, 4) | st.just("one"),
    **{
        "from": st.sampled_from([START - 1, START, END - 1, END, None]),
        "to": st.sampled_from([None, LATER]),
        "status": st.sampled_from([*SessionStatus, "PARKED", "FINISHED"]),
    },
)


@given(
    st.lists(st.lists(any_records, max_size=6), max_size=3),
    st.sampled_from(STATES),
    st.sampled_from([PIECE, OPEN_CHUNK]),
)
def test_every_record_is_accounted_for_exactly_once(
    responses: list[list[Record]], state: SessionState, chunk: Chunk
) -> None:
    sifted = sift_all(*responses, state=state, chunk=chunk)
    account = sifted.account
    assert account.received == sum(map(len, responses)) == balance(account)
    assert account.kept == len(sifted.sessions)
    assert len({session.key for session in sifted.sessions}) == account.kept
    assert sum(account.unknown_statuses.values()) == sum(not session.status.is_known for session in sifted.sessions)


@given(st.lists(any_records, max_size=6), st.sampled_from(STATES))
def test_the_account_balances_also_where_the_first_unreadable_record_ends_it(
    response: list[Record], state: SessionState
) -> None:
    account = StreamAccount()
    raws = [msgspec.Raw(json.dumps(each).encode()) for each in response]
    try:
        list(select_sessions(PIECE, [raws], state, account, on_invalid="raise", on_unknown_status=lambda _: None))
    except ResponseDecodeError:
        assert len(account.invalid) == 1
    else:
        assert account.received == len(response)
        assert account.invalid == []
    assert account.received == balance(account)


def test_an_account_goes_on_from_chunk_to_chunk() -> None:
    account = StreamAccount()
    for _ in range(2):
        sift_all([record(1), record(2)], account=account)
    assert (account.received, account.kept, account.duplicates) == (4, 4, 0)


# --- time -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("started_ms", "kept"),
    [(START - 1, False), (START, True), (START + 1, True), (END - 1, True), (END, False), (END + 1, False)],
)
@pytest.mark.parametrize("state", STATES)
def test_a_session_belongs_to_the_chunk_that_its_start_lies_in(
    started_ms: int, state: SessionState, *, kept: bool
) -> None:
    sifted = sift_all([record(**{"from": started_ms}, status="PARKED")], state=state)
    assert (len(sifted.sessions), sifted.account.filtered) == (int(kept), int(not kept))


@pytest.mark.parametrize(
    ("started_ms", "kept"), [(START - 1, False), (START, True), (END, True), (4_102_444_799_999, True)]
)
def test_a_chunk_with_an_open_end_takes_everything_from_its_start_on(started_ms: int, *, kept: bool) -> None:
    assert bool(sift_all([record(**{"from": started_ms})], chunk=OPEN_CHUNK).sessions) is kept


def test_a_session_at_an_edge_is_in_exactly_one_of_two_chunks() -> None:
    following = Chunk(PIECE.target, TimeRange.from_ms(END, END + 1000))
    for started_ms in (END - 1, END, END + 1):
        response = [record(**{"from": started_ms})]
        assert len(sift_all(response).sessions) + len(sift_all(response, chunk=following).sessions) == 1


# --- state ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "status", "to_ms", "kept"),
    [
        *[("completed", status, None, False) for status in OPEN],
        *[("completed", status, LATER, True) for status in OPEN],
        ("completed", "STOPPED", None, True),
        ("completed", "STOPPED", LATER, True),
        ("completed", "PARKED", None, True),
        ("completed", "PARKED", LATER, True),
        *[("active", status, None, True) for status in OPEN],
        *[("active", status, LATER, True) for status in OPEN],
        ("active", "STOPPED", None, True),
        ("active", "STOPPED", LATER, False),
        ("active", "PARKED", None, True),
        ("active", "PARKED", LATER, True),
        *[("all", status, to_ms, True) for status in [*OPEN, "STOPPED", "PARKED"] for to_ms in (None, LATER)],
    ],
)
def test_only_what_is_certainly_of_the_other_state_is_left_out(
    state: SessionState, status: str, to_ms: int | None, *, kept: bool
) -> None:
    sifted = sift_all([record(status=status, to=to_ms)], state=state)
    assert (len(sifted.sessions), sifted.account.filtered) == (int(kept), int(not kept))


# --- twice ------------------------------------------------------------------------------------------------------------


def test_a_session_that_ends_between_two_responses_comes_out_once_and_completed() -> None:
    active, completed = [record(status="CHARGING", to=None)], [record(status="STOPPED")]
    sifted = sift_all(active, completed)
    assert [session.status for session in sifted.sessions] == ["STOPPED"]
    assert sifted.account.duplicates == 1


def test_the_later_response_wins_whatever_it_says() -> None:
    sifted = sift_all([record(energy=1.0)], [record(energy=2.0)], [record(energy=3.0)])
    assert [session.energy for session in sifted.sessions] == [3.0]


def test_a_session_that_comes_twice_in_one_response_is_handed_over_once() -> None:
    sifted = sift_all([record(1), record(2), record(1)])
    assert [session.id for session in sifted.sessions] == [1, 2]
    assert sifted.account.duplicates == 1


def test_a_record_that_was_left_out_does_not_hide_another_of_its_session() -> None:
    sifted = sift_all([record(), record(**{"from": START - 1})], state="completed")
    assert len(sifted.sessions) == 1
    assert (sifted.account.filtered, sifted.account.duplicates) == (1, 0)


# --- unreadable records -----------------------------------------------------------------------------------------------


def test_an_unreadable_record_is_collected_with_its_place_and_its_text_and_the_others_go_on() -> None:
    bad = record(2, **{"from": "soon", "rfid": "TESTCARD01"})
    sifted = sift_all([record(1), bad, record(3)])
    assert [session.id for session in sifted.sessions] == [1, 3]
    (invalid,) = sifted.account.invalid
    assert json.loads(invalid.raw) == bad
    assert isinstance(invalid.error, ResponseDecodeError)
    assert (invalid.error.index, invalid.error.json_path) == (1, "$.from")
    assert invalid.error.facts.service_location_id == 12345
    assert invalid.error.facts.time_range == PIECE.time_range


def test_an_unreadable_record_of_a_station_names_the_station() -> None:
    chunk = Chunk(Target(serial_number="6120009999"), OPEN_CHUNK.time_range)
    sifted = sift_all([None], chunk=chunk)
    assert sifted.account.invalid[0].error.facts.serial_number == "6120009999"


def test_the_first_unreadable_record_is_raised_where_that_is_asked_and_shows_nothing_of_itself() -> None:
    bad = msgspec.Raw(json.dumps(record(rfid=["PERSONAL"], status="CHARGING")).encode())
    account = StreamAccount()
    with pytest.raises(ResponseDecodeError) as caught:
        list(select_sessions(PIECE, [[bad]], "all", account, on_invalid="raise", on_unknown_status=lambda _: None))
    assert (caught.value.index, caught.value.json_path) == (0, "$.rfid")
    assert caught.value.facts.service_location_id == 12345
    frames = [
        frame for frame, _ in traceback.walk_tb(caught.value.__traceback__) if "smappee" in frame.f_code.co_filename
    ]
    assert frames
    assert "PERSONAL" not in "".join(repr(value) for frame in frames for value in frame.f_locals.values())
    assert "PERSONAL" not in str(caught.value) + repr(account)


# --- unknown statuses -------------------------------------------------------------------------------------------------


def test_an_unknown_status_is_told_once_and_counted_each_time() -> None:
    account = StreamAccount()
    response = [record(1, status="PARKED"), record(2, status="PARKED"), record(3, status="FINISHED"), record(4)]
    assert sift_all(response, account=account).told == ["PARKED", "FINISHED"]
    assert sift_all(response, account=account).told == []
    assert account.unknown_statuses == {"PARKED": 4, "FINISHED": 2}


# --- slices -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lengths", "sizes"),
    [
        ([], [0]),
        ([0], [0]),
        ([0, 0], [0]),
        ([1], [1]),
        ([SLICE_SESSIONS], [SLICE_SESSIONS]),
        ([SLICE_SESSIONS + 1], [SLICE_SESSIONS, 1]),
        ([2, 2 * SLICE_SESSIONS], [SLICE_SESSIONS, SLICE_SESSIONS, 2]),
    ],
)
def test_sessions_come_in_slices_of_which_there_is_a_last_one(lengths: list[int], sizes: list[int]) -> None:
    responses = [[record(1000 * number + each) for each in range(length)] for number, length in enumerate(lengths, 1)]
    sifted = sift_all(*responses)
    assert [len(each) for each in sifted.slices] == sizes
    assert sifted.last == [False] * (len(sizes) - 1) + [True]


def test_nothing_is_read_before_its_slice_is_taken() -> None:
    account = StreamAccount()
    raws = [msgspec.Raw(json.dumps(record(number)).encode()) for number in range(SLICE_SESSIONS + 5)]
    slices = select_sessions(PIECE, [raws], "all", account, on_invalid="raise", on_unknown_status=lambda _: None)
    next(slices)
    assert account.received == SLICE_SESSIONS


def test_the_client_adds_the_park() -> None:
    assert sift_all([record()]).sessions[0].service_location_id == 12345
