"""The unknown keys of records as the JSON texts of the column ``extra``, made in Arrow."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Final

import pyarrow as pa

from smappee_async.tables.schema import pc

#: The column type of each type of JSON values; objects and lists have none.
JSON_TYPES: Final[Mapping[type, pa.DataType]] = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
}
#: Keys whose text in the JSON is known; JSON may write other characters in several ways.
PLAIN_KEY: Final = re.compile(r"[A-Za-z0-9_ .-]{1,64}", re.ASCII)
#: JSON writes these characters in another way.
_WRITTEN_OTHERWISE: Final = r"[^ !#-\[\]-~]"
#: Outside of these Python writes a number with an exponent, where Arrow may not.
_LEAST, _MOST = 1e-4, 1e15


def extra_texts(columns: Mapping[str, pa.Array], length: int, text: bytes) -> pa.Array | None:
    """The texts of the column ``extra``; ``None`` if Arrow cannot write one of them as Python does.

    :param columns: the values of each unknown key.
    :param length: how many records there are.
    :param text: what was parsed.
    """
    pieces: list[pa.Array] = []
    for key, values in sorted(columns.items()):
        if _is_ambiguous(key, values, text):
            return None
        if values.null_count == length:
            continue
        written = _written(values)
        if written is None:
            return None
        pieces.append(pc.binary_join_element_wise(f"{json.dumps(key)}: ", written, ""))
    if not pieces:
        return pa.nulls(length, pa.string())
    # With an empty first piece, because pyarrow 26 drops a row of which all pieces are null.
    joined = pc.binary_join_element_wise("", *pieces, ", ", null_handling="skip")
    inner = pc.binary_replace_slice(joined, 0, 2, "{")
    return pc.if_else(pc.equal(joined, ""), None, pc.binary_join_element_wise(inner, "}", ""))


def _is_ambiguous(key: str, values: pa.Array, text: bytes) -> bool:
    """Whether the text may have ``null`` or a whole number where the column does not tell it from absent, or a float.

    It is looked up in the text where the column has such values at all; also a key may be written with escapes.
    """
    has_whole = values.type == pa.float64() and pc.any(pc.equal(pc.floor(values), values)).as_py()
    if not values.null_count and not has_whole:
        return False
    whole = pa.Array.from_buffers(pa.large_binary(), 1, [None, pa.py_buffer(_offsets(text)), pa.py_buffer(text)])
    number = r"|-?[0-9]+\s*[,}]" if has_whole else ""
    pattern = rf'"{re.escape(key)}"\s*:\s*(null{number})|\\u00[2-7]'
    return bool(pc.any(pc.match_substring_regex(whole, pattern)).as_py())


def _offsets(text: bytes) -> bytes:
    return (0).to_bytes(8, "little") + len(text).to_bytes(8, "little")


def _written(values: pa.Array) -> pa.Array | None:
    if values.type == pa.string():
        if pc.any(pc.match_substring_regex(values, _WRITTEN_OTHERWISE)).as_py():
            return None
        return pc.binary_join_element_wise('"', values, '"', "")
    if values.type == pa.bool_():
        return pc.if_else(values, "true", "false")
    written = pc.cast(values, pa.string())
    if values.type == pa.float64():
        size = pc.abs(values)
        if not pc.all(pc.and_(pc.greater_equal(size, _LEAST), pc.less(size, _MOST))).as_py():
            return None
        is_whole = pc.match_substring_regex(written, "^-?[0-9]+$")
        return pc.if_else(is_whole, pc.binary_join_element_wise(written, ".0", ""), written)
    return written
