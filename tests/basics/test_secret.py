"""Only ``reveal`` shows what a secret contains."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import traceback
from collections.abc import Callable
from importlib import import_module

import attrs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smappee_async.secret import Opaque, Secret, to_optional_secret, to_secret

HIDDEN = "hunter2-hunter2"


@attrs.frozen
class Holder:
    """A class with a secret in it."""

    secret: Secret


def test_only_revealing_gives_the_text() -> None:
    assert Secret(HIDDEN).reveal() == HIDDEN


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        format,
        lambda secret: f"{secret} ",
        lambda secret: f"{secret!r:>40}",
        lambda secret: "%s %r" % (secret, secret),  # noqa: UP031 - old formatting must not show it either
        lambda secret: repr([secret]),
        lambda secret: repr(Holder(secret)),
        lambda secret: repr(attrs.asdict(Holder(secret))),
        lambda secret: repr(attrs.astuple(Holder(secret))),
        lambda secret: logging.makeLogRecord({"msg": "got %s", "args": (secret,)}).getMessage(),
        lambda secret: json.dumps({"secret": secret}, default=repr),
    ],
)
def test_no_way_of_printing_shows_it(show: Callable[[Secret], str]) -> None:
    shown = show(Secret(HIDDEN))
    assert "***" in shown
    assert HIDDEN not in shown


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_it_cannot_be_pickled(protocol: int) -> None:
    with pytest.raises(TypeError, match="not pickled or copied") as caught:
        pickle.dumps(Holder(Secret(HIDDEN)), protocol)
    assert HIDDEN not in str(caught.value)


@pytest.mark.parametrize("make_copy", [copy.copy, copy.deepcopy])
def test_it_cannot_be_copied(make_copy: Callable[[Secret], Secret]) -> None:
    with pytest.raises(TypeError, match="not pickled or copied"):
        make_copy(Secret(HIDDEN))


def test_it_is_no_json() -> None:
    with pytest.raises(TypeError):
        json.dumps(Secret(HIDDEN))


def test_it_has_no_attributes_for_tools_to_print() -> None:
    with pytest.raises(TypeError):
        vars(Secret(HIDDEN))


def test_a_traceback_that_shows_locals_does_not_show_it() -> None:
    def fail(secret: Secret) -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError) as caught:
        fail(Secret(HIDDEN))
    shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert "Secret('***')" in shown
    assert HIDDEN not in shown.replace("HIDDEN", "")


@given(st.text(), st.text())
def test_secrets_are_equal_as_their_texts_are(one: str, two: str) -> None:
    assert (Secret(one) == Secret(two)) is (one == two)
    assert Secret(one) == Secret(one)
    assert hash(Secret(one)) == hash(Secret(one))


def test_texts_that_utf8_cannot_say_compare_too() -> None:
    assert Secret("\udc80") == Secret("\udc80")
    assert Secret("\udc80") != Secret("\udc81")


def test_a_secret_is_not_equal_to_its_text() -> None:
    assert Secret(HIDDEN) != HIDDEN


def test_an_empty_secret_is_false() -> None:
    assert not Secret("")
    assert Secret(" ")


@pytest.mark.parametrize("value", [None, b"x", 5, Secret("x")])
def test_only_a_text_can_be_a_secret(value: object) -> None:
    with pytest.raises(TypeError, match="a secret is text, not"):
        Secret(value)  # type: ignore[arg-type]


def test_a_secret_is_not_wrapped_twice() -> None:
    secret = Secret(HIDDEN)
    assert to_secret(secret) is secret
    assert to_secret(HIDDEN) == secret
    assert to_optional_secret(secret) is secret
    assert to_optional_secret(None) is None


class Inside(Opaque, msgspec.Struct):
    """A value inside the client that holds a text in the clear."""

    rfid: str


@pytest.mark.parametrize("show", [repr, str, "{}".format, lambda value: repr([value])])
def test_an_opaque_value_shows_no_field(show: Callable[[object], str]) -> None:
    assert HIDDEN not in show(Inside(HIDDEN))


def test_every_opaque_value_of_the_client_names_opaque_first() -> None:
    import_module("smappee_async.client")
    assert [each for each in Opaque.__subclasses__() if each.__mro__[1] is not Opaque] == []
