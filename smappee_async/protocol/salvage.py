"""Splits an array in which single records are not valid JSON, so that one of them does not hide the others. Pure.

msgspec refuses such an array as a whole: for ``NaN``, half a surrogate pair, bytes that are not UTF-8, or nesting
without end. Here an array is split by its brackets and texts only. What stands between the brackets of one record is
looked at when the record is decoded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from typing import Final

import msgspec

_BOM: Final = b"\xef\xbb\xbf"
_SPACE: Final = re.compile(rb"[ \t\r\n]*+")
#: Up to the next bracket, over whole texts. Possessive, so that no input makes it go back.
_UP_TO_BRACKET: Final = re.compile(rb'(?>[^][{}"]++|"(?>[^"\\]++|\\.)*+")*+', re.DOTALL)
#: Several brackets in one step, because nesting without end is one of the reasons for being here.
_BRACKETS: Final = re.compile(rb"[\[{]++|[\]}]++")
#: A number, a text or a word in place of a record.
_SCALAR: Final = re.compile(rb'(?:"(?>[^"\\]++|\\.)*+"|[^][{}",\s]++)', re.DOTALL)
#: So many values are looked at between two turns of the event loop: a few milliseconds.
_VALUES_IN_STEP: Final = 1_000
#: So many groups of brackets are looked at in one value. A record has less than ten; objects in objects in objects have
#: one for each level.
_MOST_BRACKETS: Final = 200_000
_BRACKETS_IN_STEP: Final = 5_000


def salvage(
    body: bytes | bytearray, decode: Callable[[bytes], list[msgspec.Raw] | None], step: int, border: re.Pattern[bytes]
) -> Generator[None, None, list[msgspec.Raw] | None]:
    """The records of an array, those that are not valid JSON included; ``None`` if the body is not one whole array.

    Only an object may be invalid. It yields between its steps, so that the event loop can have its turn.

    :param decode: the values of a JSON text that is an array; ``None`` if it is not valid.
    :param step: so many bytes are tried at once before they are split bracket by bracket.
    :param border: where one record may end and the next begin; the match ends where the next begins.
    """
    at = _space(body, len(_BOM) if body.startswith(_BOM) else 0)
    if body[at : at + 1] != b"[":
        return None
    at = _space(body, at + 1)
    step = min(step, len(body))
    records: list[msgspec.Raw] = []
    one_by_one_until = at
    while True:
        if at >= one_by_one_until:
            yield
            found = border.search(body, at + step, at + 2 * step)
            block = None if found is None else decode(b"[%b]" % bytes(body[at : found.start() + 1]))
            if found is not None and block is not None:
                # A parser of the whole body begins a record here, as it does at the end of a valid block.
                records += block
                at = found.end()
                continue
            one_by_one_until = at + step if found is None else found.end()
        end = yield from _end_of_value(body, at)
        if end is None:
            return None
        text = bytes(body[at:end])
        if not (text.startswith(b"{") and text.endswith(b"}")) and decode(b"[%b]" % text) is None:
            return None
        records.append(msgspec.Raw(text))
        if len(records) % _VALUES_IN_STEP == 0:
            yield
        at = _space(body, end)
        sign, at = body[at : at + 1], _space(body, at + 1)
        if sign == b"]":
            return records if at == len(body) else None
        if sign != b",":
            return None


def _space(body: bytes | bytearray, at: int) -> int:
    """Where the white space that begins here ends."""
    found = _SPACE.match(body, at)
    return at if found is None else found.end()


def _end_of_value(body: bytes | bytearray, at: int) -> Generator[None, None, int | None]:
    """Where the value that begins here ends; ``None`` if it is not whole, or has too many brackets."""
    if body[at : at + 1] not in (b"{", b"["):
        scalar = _SCALAR.match(body, at)
        return None if scalar is None else scalar.end()
    depth = 0
    for number in range(_MOST_BRACKETS):
        if number % _BRACKETS_IN_STEP == _BRACKETS_IN_STEP - 1:
            yield
        between = _UP_TO_BRACKET.match(body, at)
        brackets = _BRACKETS.match(body, at if between is None else between.end())
        if brackets is None:
            return None  # the body ends within a text, or before the last bracket
        at, many = brackets.end(), brackets.end() - brackets.start()
        if body[at - 1] in b"[{":
            depth += many
        elif many >= depth:
            return at - many + depth
        else:
            depth -= many
    return None
