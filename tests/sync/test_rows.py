"""Sessions as rows, and back; RFIDs as they are kept."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smappee_async import ChargingSession, ConfigurationError, SessionStatus
from smappee_async.models import FrozenDict
from smappee_async.rfid import check_rfid
from smappee_async.sync import HashedRfid, SqliteStore
from smappee_async.sync.run import _Run
from smappee_async.sync.steps import with_rfid
from smappee_async.sync.stores.rows import NAMES, row_json, session_of, to_row
from smappee_async.sync.tiers import DEFAULT_TIERS

from .changing_world import BEGIN_MS, DAY_MS, Version, session
from .support import select, world_of

_MS = st.integers(0, 4_000_000_000_000)
_INTEGERS = st.none() | st.integers(-(2**63), 2**63 - 1)
_FLOATS = st.none() | st.floats(allow_nan=False, allow_infinity=False)
_TEXTS = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)

sessions = st.builds(
    ChargingSession,
    id=st.integers(0, 2**63 - 1),
    serial_number=st.text(max_size=12),
    from_ms=_MS,
    status=st.sampled_from(SessionStatus) | st.text(max_size=6).map(SessionStatus),
    to_ms=st.none() | _MS,
    connector=_INTEGERS,
    authentication_type=_TEXTS,
    rfid=_TEXTS,
    csms_transaction_id=_TEXTS,
    user_id=_INTEGERS,
    start_reading=_FLOATS,
    stop_reading=_FLOATS,
    energy=_FLOATS,
    range=_INTEGERS | _FLOATS,
    duration=_INTEGERS | _FLOATS,
    priority=_INTEGERS,
    suspended_by_user=st.none() | st.booleans(),
    external_control=st.none() | st.booleans(),
    smart_mode=_TEXTS,
    minimum_excess_percentage=_INTEGERS,
    max_amperes=st.none() | st.lists(st.integers(0, 99) | st.floats(0, 99), max_size=3).map(tuple),
    service_location_id=st.integers(1, 2**40),
    extra=st.dictionaries(st.text(max_size=4), _JSON, max_size=3).map(FrozenDict),
)


@given(sessions)
def test_a_session_comes_back_from_its_row(given_session: ChargingSession) -> None:
    row = dict(zip(NAMES, to_row(given_session), strict=True))
    assert session_of(row) == given_session


@given(sessions)
def test_a_session_comes_back_from_the_log(given_session: ChargingSession) -> None:
    text = row_json(to_row(given_session))
    assert text is not None
    assert session_of(json.loads(text)) == given_session


CARD = attrs.evolve(session(7, BEGIN_MS + DAY_MS, BEGIN_MS + 2 * DAY_MS), service_location_id=1, rfid="04AB12CD")
KEY = b"sixteen bytes at least"


def test_a_hashed_rfid_is_the_same_for_the_same_card_and_key() -> None:
    hashed = with_rfid(CARD, HashedRfid(KEY))
    assert hashed.rfid == with_rfid(CARD, HashedRfid(KEY)).rfid != CARD.rfid
    assert hashed.rfid != with_rfid(CARD, HashedRfid(KEY + b"!")).rfid
    assert hashed.rfid != with_rfid(attrs.evolve(CARD, rfid="04AB12CE"), HashedRfid(KEY)).rfid


def test_a_session_without_a_card_has_no_hash() -> None:
    assert with_rfid(attrs.evolve(CARD, rfid=None), HashedRfid(KEY)).rfid is None


def test_a_key_is_not_shown() -> None:
    assert "sixteen" not in repr(HashedRfid(KEY))


@pytest.mark.parametrize("key", [b"", b"short", b"x" * 65])
def test_a_key_that_is_too_short_or_too_long_is_refused(key: bytes) -> None:
    with pytest.raises(ConfigurationError, match="from 16 to 64 bytes"):
        HashedRfid(key)


def test_another_choice_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="HashedRfid"):
        check_rfid("mask")  # type: ignore[arg-type]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("choice", "kept"), [("keep", "04AB12CD"), ("drop", None), (HashedRfid(KEY), HashedRfid(KEY).of("04AB12CD"))]
)
async def test_a_copy_keeps_of_a_card_what_was_chosen(choice, kept, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    world = world_of([Version(CARD.from_ms, "completed", CARD)])
    async with SqliteStore(tmp_path / "copy.db") as store:
        reports = []
        for days in (5, 6, 40):
            world.now_ms = BEGIN_MS + days * DAY_MS
            reports.append(await _Run(world, store, BEGIN_MS, DEFAULT_TIERS, rfid=choice).visit_all([1]))
    assert select(tmp_path / "copy.db", "SELECT rfid FROM sessions") == [{"rfid": kept}]
    assert [(report.changed, report.unchanged) for report in reports[1:]] == [(0, 1)] * 2
    assert b"04AB12CD" not in (tmp_path / "copy.db").read_bytes() or choice == "keep"


@pytest.mark.anyio
@pytest.mark.parametrize("other", ["keep", "drop", HashedRfid(KEY + b"!")])
async def test_a_copy_does_not_change_its_choice_for_cards(other, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    world = world_of([Version(CARD.from_ms, "completed", CARD)])
    world.now_ms = BEGIN_MS + 5 * DAY_MS
    async with SqliteStore(tmp_path / "copy.db") as store:
        await _Run(world, store, BEGIN_MS, DEFAULT_TIERS, rfid=HashedRfid(KEY)).visit_all([1])
        with pytest.raises(ConfigurationError, match="begin a new copy"):
            await _Run(world, store, BEGIN_MS, DEFAULT_TIERS, rfid=other).visit_all([1])
