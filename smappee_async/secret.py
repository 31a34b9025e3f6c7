"""What keeps secrets out of tracebacks and logs: secret text, and values whose ``repr`` shows no field."""

from __future__ import annotations

import hmac
from typing import NoReturn, final


@final
class Secret:
    """A secret text. Printing, formatting, pickling and copying it do not show the text.

    Tracebacks, crash reporters and loggers print the ``repr`` of objects. A plain ``str`` in a local variable is enough
    to leak it. Only :meth:`reveal` returns the text; only the code that sends requests and the token stores call it.

    :raises TypeError: the value is not a ``str``.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            raise TypeError(f"a secret is text, not {type(text).__name__}")
        self._text = text

    def reveal(self) -> str:
        """The text itself."""
        return self._text

    def __repr__(self) -> str:
        return "Secret('***')"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        # In constant time, so that the duration does not show how many characters are equal.
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
    """Wrap text; a secret is returned as it is."""
    return value if isinstance(value, Secret) else Secret(value)


def to_optional_secret(value: str | Secret | None) -> Secret | None:
    """Like :func:`to_secret`, but ``None`` stays ``None``."""
    return None if value is None else to_secret(value)


class Opaque:
    """What a value inside the client inherits, so that its ``repr`` shows no field: many hold personal data."""

    __slots__ = ()
    __repr__ = object.__repr__
