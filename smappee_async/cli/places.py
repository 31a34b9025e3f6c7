"""Paths that begin in the home directory, which is not always known."""

from __future__ import annotations

from pathlib import Path

from smappee_async.errors import ConfigurationError


def with_home(path: str, *, advice: str = "Set HOME") -> Path:
    """A path in which ``~`` is replaced.

    :raises ConfigurationError: the home directory is not known, as for a user of a container without a name.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise ConfigurationError("the home directory of this user is not known", advice=advice) from None
