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
from smappee_async.protocol.wire import WireRecords
from smappee_async.query.account import StreamAccount
from smappee_async.query.plan import Chunk
from smappee_async.query.select import Selection, select_sessions
from smappee_async.query.target import Target
from smappee_async.timerange import TimeRange

START, END = 1_709_600_000_000, 1_709_700_000_000
CHUNK = Chunk(Target(12345), TimeRange.from_ms(START, END))
OPEN_CHUNK = Chunk(Target(12345), TimeRange.from_ms(START))
STATES: tuple[SessionState, ...] = ("completed", "active", "all")
OPEN = sorted(OPEN_STATUSES)
LATER = END + 5_000_000

Record = dict[str, Any]


def record(number: int = 1, **changes: Any) -> Record:
    made = {"id": number, "serialNumber": "6", "from": START, "to": LATER, "status": "STOPPED", **changes}
    return {name: value for name, value in made.items() if value is not None}


@attrs.define
class Selected:
    """What was selected, and what was said of the rest."""

    slices: list[list[ChargingSession]]
    last: list[bool]
    account: StreamAccount
    told: list[str]
    conflicts: list[Chunk]

    @property
    def sessions(self) -> list[ChargingSession]:
        return [session for each in self.slices for session in each]


def select_all(
    *responses: list[Any], chunk: Chunk = CHUNK, state: SessionState = "all", account: StreamAccount | None = None
) -> Selected:
    account = StreamAccount() if account is None else account
    told: list[str] = []
    conflicts: list[Chunk] = []
    raws = [[msgspec.Raw(json.dumps(each).encode()) for each in response] for response in responses]
    slices = select_sessions(
        chunk,
        raws,
        state,
        account,
        on_invalid="collect",
        on_unknown_status=told.append,
        on_conflict=conflicts.append,
    )
    found = list(slices)
    return Selected([kept for kept, _ in found], [last for _, last in found], account, told, conflicts)


def balance(account: StreamAccount) -> int:
    return account.kept + account.filtered + account.duplicates + len(account.invalid)


# --- the account ------------------------------------------------------------------------------------------------------

any_records = st.builds(
    record,
    st.integers(1, 4) | st.just("one"),
    **{
        "serialNumber": st.sampled_from(["6", 6, "7"]),
        "from": st.sampled_from([START - 1, START, END - 1, END, None]),
        "to": st.sampled_from([None, LATER]),
        "status": st.sampled_from([*SessionStatus, "PARKED", "FINISHED"]),
    },
)


@given(
    st.lists(st.lists(any_records, max_size=6), max_size=3),
    st.sampled_from(STATES),
    st.sampled_from([CHUNK, OPEN_CHUNK]),
)
def test_every_record_is_accounted_for_exactly_once(
    responses: list[list[Record]], state: SessionState, chunk: Chunk
) -> None:
    selected = select_all(*responses, state=state, chunk=chunk)
    account = selected.account
    assert account.received == sum(map(len, responses)) == balance(account)
    assert account.kept == len(selected.sessions)
    identities = {(*session.key, session.serial_number, session.from_ms) for session in selected.sessions}
    assert len(identities) == account.kept
    assert len({session.key for session in selected.sessions}) == account.kept - account.conflicts
    assert sum(account.unknown_statuses.values()) == sum(not session.status.is_known for session in selected.sessions)


@given(st.lists(any_records, max_size=6), st.sampled_from(STATES))
def test_the_account_balances_also_where_the_first_unreadable_record_ends_it(
    response: list[Record], state: SessionState
) -> None:
    account = StreamAccount()
    raws = [msgspec.Raw(json.dumps(each).encode()) for each in response]
    try:
        list(select_sessions(CHUNK, [raws], state, account, on_invalid="raise", on_unknown_status=lambda _: None))
    except ResponseDecodeError:
        assert len(account.invalid) == 1
    else:
        assert account.received == len(response)
        assert account.invalid == []
    assert account.received == balance(account)


def test_an_account_goes_on_from_chunk_to_chunk() -> None:
    account = StreamAccount()
    for _ in range(2):
        select_all([record(1), record(2)], account=account)
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
    selected = select_all([record(**{"from": started_ms}, status="PARKED")], state=state)
    assert (len(selected.sessions), selected.account.filtered) == (int(kept), int(not kept))


@pytest.mark.parametrize(
    ("started_ms", "kept"), [(START - 1, False), (START, True), (END, True), (4_102_444_799_999, True)]
)
def test_a_chunk_with_an_open_end_takes_everything_from_its_start_on(started_ms: int, *, kept: bool) -> None:
    assert bool(select_all([record(**{"from": started_ms})], chunk=OPEN_CHUNK).sessions) is kept


def test_a_session_at_an_edge_is_in_exactly_one_of_two_chunks() -> None:
    following = Chunk(CHUNK.target, TimeRange.from_ms(END, END + 1000))
    for started_ms in (END - 1, END, END + 1):
        response = [record(**{"from": started_ms})]
        assert len(select_all(response).sessions) + len(select_all(response, chunk=following).sessions) == 1


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
    selected = select_all([record(status=status, to=to_ms)], state=state)
    assert (len(selected.sessions), selected.account.filtered) == (int(kept), int(not kept))


# --- twice ------------------------------------------------------------------------------------------------------------


def test_a_session_that_ends_between_two_responses_comes_out_once_and_completed() -> None:
    active, completed = [record(status="CHARGING", to=None)], [record(status="STOPPED")]
    selected = select_all(active, completed)
    assert [session.status for session in selected.sessions] == ["STOPPED"]
    assert selected.account.duplicates == 1


def test_the_later_response_wins_whatever_it_says() -> None:
    selected = select_all([record(energy=1.0)], [record(energy=2.0)], [record(energy=3.0)])
    assert [session.energy for session in selected.sessions] == [3.0]


def test_a_session_that_comes_twice_in_one_response_is_handed_over_once() -> None:
    selected = select_all([record(1), record(2), record(1)])
    assert [session.id for session in selected.sessions] == [1, 2]
    assert selected.account.duplicates == 1


@pytest.mark.parametrize("change", [{"serialNumber": "7"}, {"serialNumber": "06"}, {"from": START + 1}])
@pytest.mark.parametrize("apart", [False, True], ids=["one response", "two responses"])
def test_two_records_with_one_id_that_differ_in_station_or_start_are_both_handed_over_and_counted(
    change: Record, *, apart: bool
) -> None:
    """R44."""
    first, second = record(), record(**change)
    selected = select_all([first], [second]) if apart else select_all([first, second, first, second])
    assert len(selected.sessions) == 2
    assert selected.account.conflicts == 1
    assert selected.account.duplicates == (0 if apart else 2)
    assert selected.conflicts == [CHUNK]


@pytest.mark.parametrize("apart", [False, True], ids=["one response", "two responses"])
def test_a_serial_number_as_number_and_as_text_is_the_same_station(*, apart: bool) -> None:
    """R44."""
    first, second = record(serialNumber=6100000001), record(serialNumber="6100000001")
    selected = select_all([first], [second]) if apart else select_all([first, second])
    assert len(selected.sessions) == 1
    assert (selected.account.duplicates, selected.account.conflicts) == (1, 0)


def test_a_record_of_the_other_state_is_no_conflict() -> None:
    selected = select_all([record(), record(serialNumber="7", status="CHARGING", to=None)], state="completed")
    assert len(selected.sessions) == 1
    assert (selected.account.filtered, selected.account.conflicts) == (1, 0)


def test_two_sessions_with_one_id_are_told_once_for_each_chunk() -> None:
    response = [record(number, serialNumber=str(number % 5)) for number in (1, 2, 1, 6, 7, 6)]
    response += [record(number, serialNumber="9") for number in (1, 2)]
    selected = select_all(response)
    assert selected.account.conflicts == 2
    assert selected.conflicts == [CHUNK]


def test_of_a_large_chunk_what_was_kept_is_still_known_at_its_end() -> None:
    """R44: its records are packed as they come."""
    many = [record(number, serialNumber=number % 3) for number in range(9_000)]
    selected = select_all([*many, *many[::7], record(0, serialNumber=1)])
    assert selected.account.duplicates == len(many[::7])
    assert (selected.account.kept, selected.account.conflicts) == (len(many) + 1, 1)


def test_a_record_that_was_left_out_does_not_hide_another_of_its_session() -> None:
    selected = select_all([record(), record(**{"from": START - 1})], state="completed")
    assert len(selected.sessions) == 1
    assert (selected.account.filtered, selected.account.duplicates) == (1, 0)


# --- unreadable records -----------------------------------------------------------------------------------------------


def test_an_unreadable_record_is_collected_with_its_place_and_its_text_and_the_others_go_on() -> None:
    bad = record(2, **{"from": "soon", "rfid": "TESTCARD01"})
    selected = select_all([record(1), bad, record(3)])
    assert [session.id for session in selected.sessions] == [1, 3]
    (invalid,) = selected.account.invalid
    assert json.loads(invalid.raw) == bad
    assert isinstance(invalid.error, ResponseDecodeError)
    assert (invalid.error.index, invalid.error.json_path) == (1, "$.from")
    assert invalid.error.facts.service_location_id == 12345
    assert invalid.error.facts.time_range == CHUNK.time_range


def test_an_unreadable_record_of_a_station_names_the_station() -> None:
    chunk = Chunk(Target(serial_number="6120009999"), OPEN_CHUNK.time_range)
    selected = select_all([None], chunk=chunk)
    assert selected.account.invalid[0].error.facts.serial_number == "6120009999"


def test_the_first_unreadable_record_is_raised_if_that_is_asked_for_and_shows_nothing_of_itself() -> None:
    bad = msgspec.Raw(json.dumps(record(rfid=["PERSONAL"], status="CHARGING")).encode())
    account = StreamAccount()
    with pytest.raises(ResponseDecodeError) as caught:
        list(select_sessions(CHUNK, [[bad]], "all", account, on_invalid="raise", on_unknown_status=lambda _: None))
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
    assert select_all(response, account=account).told == ["PARKED", "FINISHED"]
    assert select_all(response, account=account).told == []
    assert account.unknown_statuses == {"PARKED": 4, "FINISHED": 2}


# --- building ---------------------------------------------------------------------------------------------------------


def built_of(responses: list[list[Record]], state: SessionState, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The ids of the records that were built."""
    built: list[int] = []
    build = WireRecords.build

    def building(records: WireRecords[ChargingSession], park: int | None = None) -> list[ChargingSession]:
        built.extend(wire.id for wire in records.wires)
        return build(records, park)

    monkeypatch.setattr(WireRecords, "build", building)
    selected = select_all(*responses, state=state)
    assert sorted(session.id for session in selected.sessions) == sorted(built)
    return built


@pytest.mark.parametrize("more", [{}, {"new": 1}, {"energy": "7.5"}], ids=["known keys", "unknown key", "odd number"])
def test_only_what_is_selected_is_built(more: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    early, running = record(1, **{"from": START - 1}), record(2, status="CHARGING", to=None)
    response = [early, running, record(3, **more), record(3), record(4)]
    assert built_of([response], "completed", monkeypatch) == [3, 4]


@given(st.lists(any_records, max_size=8), st.sampled_from(STATES), st.lists(st.booleans(), min_size=8, max_size=8))
def test_unknown_keys_stay_with_their_record_whatever_is_left_out(
    response: list[Record], state: SessionState, unknown: list[bool]
) -> None:
    for number, (each, is_unknown) in enumerate(zip(response, unknown, strict=False)):
        each["priority"] = number
        if is_unknown:
            each["new"] = number
    for session in select_all(response, state=state).sessions:
        assert session.priority is not None
        assert session.extra == ({"new": session.priority} if unknown[session.priority] else {})


@attrs.define
class Row:
    """A row of columns: all that the selection looks at."""

    id: int
    from_ms: int
    to_ms: int | None
    status: SessionStatus
    serial_number: int | str = "6"


def test_the_selection_looks_at_id_station_start_end_and_status_only() -> None:
    account = StreamAccount()
    selection = Selection(CHUNK, "completed", account, lambda _: None)
    stopped, charging = SessionStatus.STOPPED, SessionStatus.CHARGING
    rows = [
        Row(1, START, LATER, stopped),
        Row(1, START, LATER, stopped),
        Row(2, START, None, charging),
        Row(3, END, LATER, stopped),
    ]
    assert selection.left_out(rows) == [1, 2, 3]
    assert selection.left_out(rows[:1]) == [0]
    assert (account.kept, account.filtered, account.duplicates) == (1, 2, 2)


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
    selected = select_all(*responses)
    assert [len(each) for each in selected.slices] == sizes
    assert selected.last == [False] * (len(sizes) - 1) + [True]


def test_nothing_is_read_before_its_slice_is_taken() -> None:
    account = StreamAccount()
    raws = [msgspec.Raw(json.dumps(record(number)).encode()) for number in range(SLICE_SESSIONS + 5)]
    slices = select_sessions(CHUNK, [raws], "all", account, on_invalid="raise", on_unknown_status=lambda _: None)
    next(slices)
    assert account.received == SLICE_SESSIONS


def test_the_client_adds_the_park() -> None:
    assert select_all([record()]).sessions[0].service_location_id == 12345
