"""What a response means: records, or an error of its own class; never something in between."""

from __future__ import annotations

import json
import traceback
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from smappee_async.defaults import SPLIT_STEP_BYTES
from smappee_async.errors import (
    ApiError,
    BadRequest,
    NotFound,
    PermissionDenied,
    RateLimited,
    ResponseDecodeError,
    ServerError,
    SmappeeError,
)
from smappee_async.models import ChargingSession
from smappee_async.protocol import responses
from smappee_async.protocol.converter import SESSION_READER
from smappee_async.protocol.responses import (
    Response,
    raise_for_status,
    read_service_location_info,
    read_service_locations,
    read_sessions,
    read_sessions_in_steps,
    retry_after_s,
)

PERSONAL = "PERSONAL-CARD-77"
TWO_SESSIONS = json.dumps(
    [
        {
            "id": 1,
            "serialNumber": "6120009999",
            "from": 1709622000000,
            "to": 1709640000000,
            "status": "STOPPED",
            "energy": 18.5,
        },
        {
            "id": 2,
            "serialNumber": 5820999999,
            "from": 1709650000000,
            "status": "CHARGING",
            "rfid": PERSONAL,
            "näw": [1, {}],
        },
    ],
    ensure_ascii=False,
).encode()
MAINTENANCE = b"<html><body>The Smappee dashboard is currently under maintenance.</body></html>"


def response(body: bytes | str = b"", status: int = 200, **headers: str) -> Response:
    return Response(
        status=status,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        body=body.encode() if isinstance(body, str) else body,
    )


def read_all(body: bytes) -> list[ChargingSession]:
    return [SESSION_READER.read(record) for record in read_sessions(response(body))]


# --- sessions ---------------------------------------------------------------------------------------------------------


def test_an_array_is_split_into_its_records() -> None:
    assert [session.id for session in read_all(TWO_SESSIONS)] == [1, 2]


@pytest.mark.parametrize("body", [b"[]", b" [ ] \n", b"\xef\xbb\xbf[]"])
def test_an_empty_array_says_that_there_are_none(body: bytes) -> None:
    assert read_sessions(response(body)) == []


@pytest.mark.parametrize("body", [b"", b"anything"])
def test_204_says_that_there_are_none(body: bytes) -> None:
    assert read_sessions(response(body, 204)) == []


def test_a_byte_order_mark_is_no_part_of_the_response() -> None:
    assert read_all(b"\xef\xbb\xbf" + TWO_SESSIONS) == read_all(TWO_SESSIONS)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "the response is empty"),
        (b" \r\n\t", "the response is empty"),
        (b"\xef\xbb\xbf", "the response is empty"),
        (b"null", "another shape"),
        (b"{}", "another shape"),
        (b'{"message":"no"}', "another shape"),
        (b'"[]"', "another shape"),
        (b"0", "another shape"),
        (b"[", "not whole, valid JSON"),
        (b"[]]", "not whole, valid JSON"),
        (b"[][]", "not whole, valid JSON"),
        (b"[{},]", "not whole, valid JSON"),
        (b"[NaN]", "not whole, valid JSON"),
        (b"Service Unavailable", "not whole, valid JSON"),
        (b"<!DOCTYPE html><p>hello</p>", "an HTML page"),
        (MAINTENANCE, "page about maintenance"),
        (b"\xef\xbb\xbf\n" + MAINTENANCE, "page about maintenance"),
        (b'["\xff"]', "not UTF-8"),
        ('[{"id":1}]'.encode("utf-16"), "not UTF-8"),
        ("[]".encode("utf-16-le"), "not whole, valid JSON"),
        (b"[" * 100_000 + b"]" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_not_one_whole_array_is_an_error_and_never_no_sessions(body: bytes, reason: str) -> None:
    with pytest.raises(ResponseDecodeError, match=reason) as caught:
        read_sessions(response(body, content_type="text/plain"))
    assert caught.value.facts.status == 200
    assert caught.value.index is None
    assert caught.value.advice == f"{len(body)} bytes of text/plain were received"


def test_no_strict_prefix_of_a_response_is_taken_for_the_whole() -> None:
    for length in range(len(TWO_SESSIONS)):
        with pytest.raises(ResponseDecodeError):
            read_sessions(response(TWO_SESSIONS[:length]))


@pytest.mark.parametrize("end", [b"]", TWO_SESSIONS[-20:]])
def test_a_response_that_cannot_be_read_is_nowhere_in_its_error(end: bytes) -> None:
    with pytest.raises(ResponseDecodeError) as caught:
        read_sessions(response(TWO_SESSIONS + end))
    assert not any(PERSONAL in text for text in shown_by(caught.value))


def test_the_repr_of_a_response_shows_neither_body_nor_headers() -> None:
    shown = repr(response(TWO_SESSIONS, set_cookie=PERSONAL))
    assert PERSONAL not in shown
    assert f"<{len(TWO_SESSIONS)} bytes>" in shown


# --- odd records ------------------------------------------------------------------------------------------------------

GOOD = b'{"id":7,"serialNumber":"6","from":1709622000000,"to":1709640000000,"status":"STOPPED"}'
ODD = {
    "half a surrogate pair": GOOD[:-1] + rb',"rfid":"\ud800"}',
    "half a surrogate pair in an unknown key": GOOD[:-1] + rb',"\ud800":1}',
    "NaN": GOOD[:-1] + b',"energy":NaN}',
    "infinity": GOOD[:-1] + b',"new":-Infinity}',
    "deep lists": GOOD[:-1] + b',"new":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    "deep objects": b'{"a":' * 50_000 + b"{}" + b"}" * 50_000,
    "not UTF-8": GOOD[:-1] + b',"rfid":"\xff"}',
    "not UTF-8 in an unknown key": GOOD[:-1] + b',"\xff":1}',
    "not UTF-8 under an unknown key": GOOD[:-1] + b',"new":["\xe4"]}',
    "a line break in a text": GOOD[:-1] + b',"rfid":"\n"}',
    "an unknown escape": GOOD[:-1] + rb',"rfid":"\x"}',
    "no quotes": b"{id:7}",
    "a comma too many": GOOD[:-1] + b",}",
    "a number that is none": GOOD[:-1] + b',"energy":01}',
    "brackets in a text": GOOD[:-1] + rb',"rfid":"}],[{\"","energy":NaN}',
}


def readable(body: bytes, *, step: int | None = None) -> tuple[list[int], list[int]]:
    """The indices of the records that can be read, and of those that cannot."""
    with pytest.MonkeyPatch.context() as patch:
        if step is not None:
            patch.setattr(responses, "SPLIT_STEP_BYTES", step)
        raws = read_in_steps(body)[0]
    good: list[int] = []
    odd: list[int] = []
    for index, raw in enumerate(raws):
        (good if not isinstance(SESSION_READER.decode_one(raw), ResponseDecodeError) else odd).append(index)
    assert not odd or SESSION_READER.decode(raws) is None  # they spoil no other record, and none makes them whole
    return good, odd


@pytest.mark.parametrize("odd", ODD.values(), ids=list(ODD))
@pytest.mark.parametrize("step", [None, 64])
def test_a_record_that_is_not_valid_json_does_not_hide_the_others(odd: bytes, step: int | None) -> None:
    """R45."""
    body = b"[" + b" ,\n".join([GOOD] * 3 + [odd] + [GOOD] * 496) + b"]\n"
    good, bad = readable(body, step=step)
    assert (len(good), bad) == (499, [3])


@given(
    st.lists(st.sampled_from([*([GOOD] * 3), *(text for text in ODD.values() if len(text) < 1000)]), max_size=40),
    st.sampled_from([1, 50, 300, 2**60]),
    st.sampled_from([b",", b" ,\r\n "]),
    st.booleans(),
)
def test_of_n_records_k_odd_ones_leave_all_others(records: list[bytes], step: int, comma: bytes, mark: bool) -> None:
    """R45."""
    body = (b"\xef\xbb\xbf" if mark else b"") + b"[" + comma.join(records) + b"]"
    good, odd = readable(body, step=step)
    assert good == [index for index, text in enumerate(records) if text == GOOD]
    assert len(good) + len(odd) == len(records)


@pytest.mark.parametrize("odd", ODD.values(), ids=list(ODD))
def test_an_odd_record_does_not_make_half_an_array_whole(odd: bytes) -> None:
    """R45, R5."""
    whole = b"[" + b",".join([GOOD, odd, GOOD]) + b"]"
    step = 1 if len(whole) < 1_000 else len(whole) // 50
    for cut in {*range(0, len(whole), step), len(whole) - 1, len(whole) - 2, len(whole) - len(GOOD)}:
        with pytest.raises(ResponseDecodeError, match="response") as caught:
            read_sessions(response(whole[:cut]))
        assert caught.value.index is None


@pytest.mark.parametrize(
    "body",
    [
        b"[%b,]",
        b"[,%b]",
        b"[%b %b]",
        b"[%b][%b]",
        b"[%b]]",
        b"[%b] x",
        b"[%b,NaN]",
        b"[%b,'x']",
        b'[%b,"\xff"]',
        b"[%b,[NaN]]",
        b"[%b:%b]",
        b"{%b}",
        b"[%b,{]",
        b"[%b,}]",
        b"[%b,{[}]",
        b'[%b,{"a":"b]',
        b"\xff[%b]",
        b"[%b,\x0b%b]",
    ],
)
def test_only_an_object_may_be_odd_and_all_else_must_be_right(body: bytes) -> None:
    """R45, R5."""
    body = body.replace(b"%b", ODD["NaN"])
    with pytest.raises(ResponseDecodeError, match="response"):
        read_sessions(response(body))
    assert isinstance(outcome(body, step=20), str)


@pytest.mark.parametrize(
    "filler",
    [b"{},", b"1,", b'{"a":' + b"[]," * 4_000 + b"NaN},", b"{" * 100_000 + b"}" * 100_000 + b","],
    ids=["small objects", "numbers", "many brackets", "deep"],
)
def test_odd_records_of_a_large_response_leave_the_event_loop_its_turns(filler: bytes) -> None:
    """R45, R33."""
    body = b"[" + ODD["NaN"] + b"," + filler * (1_500_000 // len(filler)) + ODD["NaN"] + b"]"
    found, turns = read_in_steps(body)
    assert found[0] == found[-1] == ODD["NaN"]
    assert turns >= len(body) / SPLIT_STEP_BYTES / 3


@pytest.mark.parametrize("inside", [b"[],", b"{},", b'{"a":[1]},'])
def test_a_response_with_a_record_of_very_many_brackets_is_an_error(inside: bytes) -> None:
    """R45, R33: to look at each of them would take long."""
    body = b"[" + ODD["NaN"] + b',{"a":[' + inside * 200_000 + b"1]}]"
    with pytest.raises(ResponseDecodeError, match="response"):
        read_in_steps(body)


def test_a_large_response_with_one_odd_record_is_split_in_few_steps() -> None:
    """R45: what is valid around it is still split fast."""
    body = b"[" + b",".join([GOOD] * 20_000 + [ODD["NaN"]] + [GOOD] * 20_000) + b"]"
    found, turns = read_in_steps(body)
    assert len(found) == 40_001
    assert turns < 5 * len(body) / SPLIT_STEP_BYTES


def test_an_odd_record_is_nowhere_in_the_error_of_its_response() -> None:
    """R34."""
    odd = GOOD[:-1] + b',"rfid":"' + PERSONAL.encode() + b'","energy":NaN}'
    with pytest.raises(ResponseDecodeError) as caught:
        read_sessions(response(b"[" + odd + b","))
    assert not any(PERSONAL in text for text in shown_by(caught.value))


# --- large responses ----------------------------------------------------------------------------------------------------


def read_in_steps(body: bytes, status: int = 200) -> tuple[list[bytes], int]:
    """The records, and how often the event loop could have had its turn."""
    steps = read_sessions_in_steps(response(body, status))
    turns = 0
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return [bytes(raw) for raw in end.value], turns
        turns += 1


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from(["},{", "}, {", '"', "[", "]", "\\"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
RECORDS = st.lists(st.dictionaries(st.text(max_size=3), JSON_VALUES, max_size=3), max_size=12)


def outcome(body: bytes, *, step: int | None = None) -> list[bytes] | str:
    """The records, or the reason why there are none."""
    try:
        if step is None:
            return [bytes(raw) for raw in read_sessions(response(body))]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(responses, "SPLIT_STEP_BYTES", step)
            return read_in_steps(body)[0]
    except ResponseDecodeError as error:
        return error.reason


@given(records=RECORDS, indent=st.sampled_from([None, 0, 2]), step=st.integers(1, 60), only_ascii=st.booleans())
def test_however_large_the_steps_the_records_are_the_same(
    records: list[Any], indent: int | None, step: int, only_ascii: bool
) -> None:
    body = json.dumps(records, indent=indent, ensure_ascii=only_ascii).encode("utf-8", "surrogatepass")
    assert outcome(body, step=step) == outcome(body)


@given(records=RECORDS, step=st.integers(1, 60), data=st.data())
def test_in_steps_just_the_same_is_refused(records: list[Any], step: int, data: st.DataObject) -> None:
    body = json.dumps(records).encode()
    cut = data.draw(st.integers(0, len(body)))
    broken = body[:cut] + data.draw(st.sampled_from([b",", b"]", b"}", b"{", b'"', b"\xff", b"},{"])) + body[cut:]
    for text in (broken, body[:cut]):
        assert outcome(text, step=step) == outcome(text)


@pytest.mark.parametrize("records", [1, 20_000])
def test_a_large_response_leaves_the_event_loop_a_turn_for_each_step(records: int) -> None:
    body = json.dumps([{"id": number, "rfid": "x" * 300} for number in range(records)]).encode()
    found, turns = read_in_steps(body)
    assert len(found) == records
    assert turns == (0 if records == 1 else 2 + len(body) // SPLIT_STEP_BYTES)


def test_a_response_that_cannot_be_taken_apart_is_read_whole() -> None:
    body = b"[" + b",".join([b'{"parts":[' + b"{}," * 400_000 + b"{}]}"] * 2) + b"]"
    found, _ = read_in_steps(body)
    assert len(found) == 2


def test_a_large_response_with_a_bad_status_is_that_error() -> None:
    with pytest.raises(ServerError):
        read_in_steps(b"x" * 2_000_000, 500)


def test_a_large_response_that_breaks_off_shows_no_record_in_its_error() -> None:
    body = b"[" + b",".join([b'{"id":1,"rfid":"' + PERSONAL.encode() + b'"}'] * 60_000)
    with pytest.raises(ResponseDecodeError) as caught:
        read_in_steps(body)
    assert not any(PERSONAL in text for text in shown_by(caught.value))


def shown_by(error: ResponseDecodeError) -> list[str]:
    """Whatever a crash report would show."""
    assert error.__cause__ is error.__context__ is None
    shown = [str(error), repr(error), repr(vars(error))]
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if "smappee_async" in frame.f_code.co_filename:
            shown += [repr(value) for value in frame.f_locals.values()]
    return shown


def assert_sound_or_refused(body: bytes) -> None:
    """Only records and :class:`SmappeeError` come out, and no record holds a number that is none."""
    try:
        raws = read_sessions(response(body))
    except SmappeeError:
        return
    for raw in raws:
        try:
            session = SESSION_READER.read(raw, 12345)
        except SmappeeError:
            continue
        whole = (session.id, session.from_ms, session.to_ms, session.connector, session.user_id, session.priority)
        assert all(value is None or type(value) is int for value in whole)
        numbers = [session.range, session.duration, session.start_reading, session.stop_reading, session.energy]
        assert all(number is None or (type(number) is not bool and abs(number) < 1e309) for number in numbers)
        assert session.started_at.year in range(2000, 2100)
        assert str(session)
        assert session.energy_kwh is None or session.energy_kwh.is_finite()


@given(st.binary())
@settings(max_examples=300)
@example(b"[{}]")
def test_any_bytes_give_records_or_an_error_of_ours(body: bytes) -> None:
    assert_sound_or_refused(body)


@given(st.lists(st.tuples(st.integers(0, len(TWO_SESSIONS) - 1), st.integers(0, 7)), min_size=1, max_size=4))
@settings(max_examples=300)
def test_flipped_bits_give_records_or_an_error_of_ours(flips: list[tuple[int, int]]) -> None:
    body = bytearray(TWO_SESSIONS)
    for position, bit in flips:
        body[position] ^= 1 << bit
    assert_sound_or_refused(bytes(body))


@given(
    st.integers(0, len(TWO_SESSIONS)),
    st.integers(0, len(TWO_SESSIONS)),
    st.binary(max_size=6)
    | st.sampled_from([b"null", b"NaN", b"1e999", b"{", b"]", b'"', b"\\ud800", b"true", b"-0.0"]),
)
@settings(max_examples=300)
def test_chunks_cut_out_and_put_in_give_records_or_an_error_of_ours(start: int, end: int, put_in: bytes) -> None:
    assert_sound_or_refused(TWO_SESSIONS[:start] + put_in + TWO_SESSIONS[end:])


# --- service locations ------------------------------------------------------------------------------------------------


def test_service_locations_are_read_from_their_listing() -> None:
    body = b'{"appName":"a","serviceLocations":[{"serviceLocationId":1},{"serviceLocationId":2,"name":"Depot"}]}'
    assert [(location.id, location.name) for location in read_service_locations(response(body))] == [
        (1, None),
        (2, "Depot"),
    ]


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b"null", b'{"serviceLocations":null}', b'{"serviceLocations":{}}', MAINTENANCE]
)
def test_a_response_without_a_listing_is_an_error(body: bytes) -> None:
    with pytest.raises(ResponseDecodeError):
        read_service_locations(response(body))


def test_an_unreadable_service_location_is_named_by_its_index() -> None:
    with pytest.raises(ResponseDecodeError) as caught:
        read_service_locations(response(b'{"serviceLocations":[{"serviceLocationId":1},{"serviceLocationId":"one"}]}'))
    assert (caught.value.index, caught.value.json_path) == (1, "$.serviceLocationId")


def test_a_service_location_in_detail_is_read() -> None:
    assert (
        read_service_location_info(response(b'{"serviceLocationId":1,"timezone":"Europe/Brussels"}')).timezone
        == "Europe/Brussels"
    )


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"null", b"{", MAINTENANCE])
def test_a_response_without_a_service_location_is_an_error(body: bytes) -> None:
    with pytest.raises(ResponseDecodeError):
        read_service_location_info(response(body))


@pytest.mark.parametrize("read", [read_service_locations, read_service_location_info])
def test_204_says_nothing_about_service_locations(read: Any) -> None:
    with pytest.raises(ResponseDecodeError, match="empty"):
        read(response(b"", 204))


# --- failures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 204])
def test_200_and_204_are_successes(status: int) -> None:
    raise_for_status(response(status=status))


@pytest.mark.parametrize(
    ("status", "kind", "text"),
    [
        (101, ApiError, "Smappee answered 101"),
        (201, ApiError, "Smappee answered 201 Created"),
        (206, ApiError, "Smappee answered 206 Partial Content"),
        (301, ApiError, "redirected"),
        (307, ApiError, "redirected"),
        (400, BadRequest, "Smappee answered 400 Bad Request"),
        (401, BadRequest, "Smappee answered 401 Unauthorized"),
        (403, PermissionDenied, "Smappee answered 403 Forbidden"),
        (404, NotFound, "Smappee answered 404 Not Found"),
        (429, RateLimited, "Smappee answered 429 Too Many Requests"),
        (499, BadRequest, "Smappee answered 499"),
        (500, ServerError, "Smappee answered 500 Internal Server Error"),
        (502, ServerError, "Smappee answered 502 Bad Gateway"),
        (599, ServerError, "Smappee answered 599"),
    ],
)
def test_each_status_raises_its_class_and_is_named(status: int, kind: type[ApiError], text: str) -> None:
    for read in (read_sessions, read_service_locations, read_service_location_info):
        with pytest.raises(ApiError, match=text) as caught:
            read(response(TWO_SESSIONS, status))
        assert type(caught.value) is kind
        assert caught.value.facts.status == status
        assert PERSONAL not in repr(vars(caught.value)) + str(caught.value)


def test_maintenance_is_called_by_its_name() -> None:
    with pytest.raises(ServerError, match="Smappee is under maintenance"):
        raise_for_status(response(MAINTENANCE, 502))


def test_a_redirect_advises_to_look_at_the_base_url() -> None:
    with pytest.raises(ApiError) as caught:
        raise_for_status(response(status=308, location="https://evil.example"))
    assert caught.value.advice == "Check base_url"
    assert "evil" not in str(caught.value)


def test_an_error_carries_the_wait_that_the_server_asks_for() -> None:
    with pytest.raises(RateLimited) as caught:
        raise_for_status(response(status=429, retry_after="30"))
    assert caught.value.retry_after_s == 30.0


# --- Retry-After ------------------------------------------------------------------------------------------------------

SENT = "Fri, 02 Oct 2026 10:00:00 GMT"


@pytest.mark.parametrize(
    ("text", "wait_s"),
    [
        ("1", 1.0),
        ("121", 121.0),
        (" 30 ", 30.0),
        ("0.5", 0.5),
        ("1000000000", 1e9),
        ("Fri, 02 Oct 2026 10:00:30 GMT", 30.0),
        ("Fri, 02 Oct 2026 12:00:30 +0200", 30.0),
        ("Friday, 02-Oct-26 10:02:00 GMT", 120.0),
        ("Fri Oct  2 10:02:00 2026", 120.0),
        ("Fri, 02 Oct 2026 10:02:00", 120.0),
        ("Thu, 31 Dec 9998 23:59:59 GMT", 251_579_829_599.0),
    ],
)
def test_a_wait_is_asked_for_in_seconds_or_by_a_date_relative_to_the_responses_own(text: str, wait_s: float) -> None:
    assert retry_after_s({"retry-after": text, "date": SENT}) == wait_s


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "0.0",
        "-5",
        "+5",
        "nan",
        "inf",
        "1e9",
        "1_0",
        "١٢",
        "5s",
        "soon",
        "1, 2",
        "9" * 5000,
        "Fri, 29 Sep 100000 10:00:00 GMT",
        "Fri, 99 Oct 2026 10:00:00 GMT",
        SENT,
        "Fri, 02 Oct 2026 09:59:59 GMT",
        "Thu, 01 Jan 1970 00:00:00 GMT",
    ],
)
def test_a_wait_that_is_none_or_unreadable_is_as_good_as_not_asked_for(text: str) -> None:
    assert retry_after_s({"retry-after": text, "date": SENT}) is None


@pytest.mark.parametrize("headers", [{}, {"date": SENT}, {"date": "yesterday"}])
def test_a_date_to_wait_for_says_nothing_without_the_date_of_the_response(headers: dict[str, str]) -> None:
    assert retry_after_s({"retry-after": "Fri, 02 Oct 2026 10:00:30 GMT"} if "date" not in headers else headers) is None


@given(st.text(), st.text())
def test_any_headers_give_a_positive_wait_or_none(text: str, date: str) -> None:
    wait_s = retry_after_s({"retry-after": text, "date": date})
    assert wait_s is None or 0 < wait_s < float("inf")
