"""What is remembered of one park between two syncs, as plain JSON. Every time in it is the service's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs
import cattrs

from smappee_async.errors import ConfigurationError
from smappee_async.models import JsonValue

_VERSION: Final = 1


@attrs.frozen
class Missing:
    """A session that is in neither list of the service.

    :param start_ms: its start, milliseconds since 1970.
    :param missed_ms: when it was first missed.
    :param next_ms: when it is asked for again.
    :param tries: how often it was asked for in vain.
    :param was_open: whether it was never seen completed. Then it is asked for until it is.
    """

    start_ms: int
    missed_ms: int
    next_ms: int
    tries: int = 0
    was_open: bool = False


@attrs.frozen
class Backfill:
    """The first reading of a park, as far as it has come.

    :param began_ms: when it began, milliseconds since 1970.
    :param read: the time ranges of which the completed sessions are in the copy.
    """

    began_ms: int
    read: list[tuple[int, int | None]] = attrs.field(factory=list)


@attrs.frozen
class ParkState:
    """One park.

    :param since_ms: the start of the copy, milliseconds since 1970.
    :param backfill: the first reading; ``None`` when it is complete.
    :param tiers_ms: when each tier was read last.
    :param open: the start of each session that runs, by its id.
    :param missing: the sessions that are in neither list, by id.
    :param rfid: what the copy keeps of RFIDs.
    """

    since_ms: int
    backfill: Backfill | None = None
    tiers_ms: list[int] = attrs.field(factory=list)
    open: dict[int, int] = attrs.field(factory=dict)
    missing: dict[int, Missing] = attrs.field(factory=dict)
    rfid: str = "keep"

    def check_rfid(self, park: int, rfid: str) -> None:
        """See that the copy keeps of RFIDs what is wanted: half of it in another form would be of no use.

        :raises ConfigurationError: it keeps something else.
        """
        if self.rfid != rfid:
            raise ConfigurationError(
                f"the copy of park {park} was made with the choice {self.rfid!r} for RFIDs, not {rfid!r}",
                advice="Give the same rfid, with the same key; for another choice begin a new copy",
            )

    def to_json(self) -> dict[str, JsonValue]:
        """As plain JSON."""
        return {"version": _VERSION, **_CONVERTER.unstructure(self)}

    @classmethod
    def from_json(cls, saved: Mapping[str, JsonValue]) -> ParkState:
        """What :meth:`to_json` gave.

        :raises ConfigurationError: it is of another version, or something else.
        """
        values = dict(saved)
        if values.pop("version", None) == _VERSION:
            try:
                return _CONVERTER.structure(values, cls)
            except cattrs.ClassValidationError:
                pass
        raise ConfigurationError(
            "the state of the copy is not of this version",
            advice="Use the version of this package that wrote it, or a newer one",
        )


_CONVERTER: Final = cattrs.Converter(forbid_extra_keys=True, omit_if_default=True)
# Keys of JSON are texts.
_CONVERTER.register_unstructure_hook_func(
    lambda annotation: annotation in (dict[int, int], dict[int, Missing]),
    lambda several: {str(key): _CONVERTER.unstructure(value) for key, value in several.items()},
)
