"""What a query asks, and the key under which that is stored."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smappee_async.query.target import Target

parks = st.integers(1, 2**63 - 1).map(Target)
stations = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True).map(lambda serial: Target(serial_number=serial))


@given(parks | stations)
def test_a_key_brings_the_target_back(target: Target) -> None:
    assert Target.from_key(target.key) == target


def test_the_form_of_a_key_is_documented() -> None:
    assert [Target(12345).key, Target(serial_number="6120009999").key] == ["park:12345", "station:6120009999"]


@pytest.mark.parametrize("text", ["", "12345", "park 12345", "park:", "park:x", "station:", "station:a b", "hub:1"])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not the key of a park or a station"):
        Target.from_key(text)


def test_a_target_is_named_for_people() -> None:
    assert [str(Target(12345)), str(Target(serial_number="5"))] == ["park 12345", "station 5"]
