"""How a command writes sessions: in which format, with which options, to which place."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import attrs

from smappee_async import export
from smappee_async.cli.output import SessionFormat
from smappee_async.cli.rows import SessionTable
from smappee_async.errors import ConfigurationError
from smappee_async.export import About, CsvDialect, Exported, OnProgress, SessionSource, ShownRfid, Zones
from smappee_async.export.text import CsvText, JsonLinesText, SessionText

#: Formats that are not text: a program cannot begin to read them before they are whole.
_ONLY_FILES: Final = frozenset({SessionFormat.PARQUET, SessionFormat.XLSX})


@attrs.frozen(kw_only=True)
class Presentation:
    """How the sessions are written.

    :param limit: the number of rows in a table.
    :param output: what ``--output`` says.
    :raises ConfigurationError: the options do not go together.
    """

    format: SessionFormat
    dialect: CsvDialect
    rfid: ShownRfid
    output: str | None
    limit: int = 0

    def __attrs_post_init__(self) -> None:
        if self.dialect != "standard" and self.format is not SessionFormat.CSV:
            raise ConfigurationError(f"--dialect {self.dialect} is for --format csv")
        if self.is_only_for_files and self.output in (None, "-"):
            raise ConfigurationError(
                f"--format {self.format} needs --output", advice=f"For example: --output sessions.{self.format}"
            )

    @property
    def is_only_for_files(self) -> bool:
        """Whether :meth:`text` does not have it."""
        return self.format in _ONLY_FILES

    @property
    def path(self) -> Path:
        """The file that :meth:`export` writes."""
        assert self.output is not None
        return Path(self.output)

    def text(self, zones: Mapping[int | str, str], *, colours: bool) -> SessionText:
        """Turns sessions into text.

        :param zones: the time zone of each park or station.
        :param colours: whether the output is a terminal that shows them.
        """
        match self.format:
            case SessionFormat.JSONL:
                return JsonLinesText(self.rfid)
            case SessionFormat.TABLE:
                return SessionTable(zones, rfid=self.rfid, limit=self.limit, colours=colours)
            case _:
                return CsvText(self.dialect, rfid=self.rfid, tz=self._local_times(zones))

    async def export(
        self, source: SessionSource, zones: Zones, *, about: About = (), on_progress: OnProgress
    ) -> Exported:
        """Write a file.

        :param about: what was asked for, for a format that has a place for it.
        :raises ConfigurationError: what it needs is not installed, or it cannot be written there.
        """
        path, rfid = self.path, self.rfid
        try:
            match self.format:
                case SessionFormat.PARQUET:
                    return await export.parquet(source, path, rfid=rfid, on_progress=on_progress)
                case SessionFormat.JSONL:
                    return await export.jsonl(source, path, rfid=rfid, on_progress=on_progress)
                case SessionFormat.XLSX:
                    return await export.xlsx(source, path, tz=zones, rfid=rfid, about=about, on_progress=on_progress)
                case _:
                    tz = self._local_times(zones)
                    return await export.csv(
                        source, path, dialect=self.dialect, rfid=rfid, tz=tz, on_progress=on_progress
                    )
        except ImportError as error:
            raise ConfigurationError(str(error)) from None

    def _local_times(self, zones: Zones) -> Zones | None:
        return zones if self.dialect == "excel-eu" else None
