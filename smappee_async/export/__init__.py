"""Sessions as files.

::

    from smappee_async import export

    october = TimeRange.month(2026, 10, tz="Europe/Brussels")
    await export.csv(smappee.sessions(parks, october), "october.csv")

A file is written in bounded memory under a temporary name beside its own, and gets its name when it is whole. RFIDs are
masked unless something else is asked for.
"""

from smappee_async.export.files import csv, jsonl, parquet, xlsx
from smappee_async.export.source import ArrowSource, Exported, OnProgress, SessionSource
from smappee_async.export.text import CsvDialect
from smappee_async.export.xlsx_file import About, about_query
from smappee_async.export.zones import Zones
from smappee_async.rfid import HashedRfid, ShownRfid

__all__ = [
    "About",
    "ArrowSource",
    "CsvDialect",
    "Exported",
    "HashedRfid",
    "OnProgress",
    "SessionSource",
    "ShownRfid",
    "Zones",
    "about_query",
    "csv",
    "jsonl",
    "parquet",
    "xlsx",
]
