"""Any bytes as a response; the same check as ``tests/fuzz/fuzz_decoder.py``, which runs for hours."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

_FUZZ = Path(__file__).parents[1] / "fuzz"
_KEYS = st.sampled_from(
    [
        "id",
        "serialNumber",
        "from",
        "to",
        "status",
        "rfid",
        "energy",
        "maxAmperes",
        "connector",
        "access_token",
        "refresh_token",
        "expires_in",
        "serviceLocations",
        "serviceLocationId",
        "error",
        "lat",
        "startReading",
    ]
)
_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from([1_772_323_200_000, "STOPPED"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS | st.text(), inner, max_size=8),
    max_leaves=20,
)


def _load_check() -> Callable[[bytes], None]:
    spec = importlib.util.spec_from_file_location("fuzz_decoder", _FUZZ / "fuzz_decoder.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Callable[[bytes], None] = module.check
    return found


check = _load_check()


@pytest.mark.parametrize("seed", sorted((_FUZZ / "corpus").iterdir()), ids=lambda path: path.name)
def test_every_seed_of_the_corpus_ends_in_records_or_an_error_of_ours(seed: Path) -> None:
    """R9: each as it is, and cut off at every byte."""
    data = seed.read_bytes()
    for length in range(len(data) + 1):
        check(data[:length])


@settings(max_examples=10_000)
@given(kind=st.integers(0, 11), status=st.integers(0, 13), body=st.binary())
def test_any_bytes_end_in_records_or_an_error_of_ours(kind: int, status: int, body: bytes) -> None:
    """R9."""
    check(bytes([kind, status]) + body)


@settings(max_examples=400)
@given(kind=st.integers(0, 5), value=_JSON)
def test_any_json_ends_in_records_or_an_error_of_ours(kind: int, value: object) -> None:
    """R9: NaN and Infinity, which Python writes, included."""
    check(bytes([kind, 0]) + json.dumps(value).encode())
    check(bytes([kind, 0]) + json.dumps([value], ensure_ascii=False).encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize("body", [b"[" * 100_000, b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 100_000, b"9" * 100_000])
@pytest.mark.parametrize("kind", range(6))
def test_bytes_that_nest_or_count_without_end_are_an_error_of_ours(kind: int, body: bytes) -> None:
    """R9: no RecursionError, and no ValueError for a number of thousands of digits."""
    check(bytes([kind, 0]) + body)
    check(bytes([kind, 0]) + b'[{"id":' + body + b"}]")
    check(bytes([kind, 0]) + b'{"access_token":' + body + b"}")
