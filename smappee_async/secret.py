"""A text that must not be seen: the one wrapper that every credential and token travels in."""

from __future__ import annotations

import hmac
from typing import NoReturn, final


@final
class Secret:
    """A secret text. Printing, formatting, pickling and copying it never show what it holds.

    Tracebacks, crash reporters and loggers print the ``repr`` of whatever they meet, so a plain ``str`` in a local
    variable is enough to leak it. Only :meth:`reveal` gives the text, and only the wire and the token stores call it.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            raise TypeError(f"a secret is a text, not a {type(text).__name__}")
        self._text = text

    def reveal(self) -> str:
        """The text itself."""
        return self._text

    def __repr__(self) -> str:
        return "Secret('***')"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        # Constant time, so that comparing tells nothing of how much was right.
        return hmac.compare_digest(
            self._text.encode("utf-8", "surrogatepass"), other._text.encode("utf-8", "surrogatepass")
        )

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __bool__(self) -> bool:
        return bool(self._text)

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "secrets are not pickled or copied; keep tokens in a TokenStore and credentials in the environment"
        )


def to_secret(value: str | Secret) -> Secret:
    """Wrap a text; a secret stays as it is."""
    return value if isinstance(value, Secret) else Secret(value)


def to_optional_secret(value: str | Secret | None) -> Secret | None:
    """Like :func:`to_secret`, where nothing may be given."""
    return None if value is None else to_secret(value)
