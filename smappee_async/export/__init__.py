"""Sessions as files.

::

    from smappee_async import export

    october = TimeRange.month(2026, 10, tz="Europe/Brussels")
    await export.csv(smappee.sessions(parks, october), "october.csv")

A file is written in bounded memory under a temporary name beside its own, and gets its name when it is whole. RFIDs are
masked unless something else is asked for.
"""

from smappee_async.export.files import csv, jsonl, parquet
from smappee_async.export.source import ArrowSource, Exported, OnProgress, SessionSource
from smappee_async.export.text import CsvDialect, Zones
from smappee_async.rfid import HashedRfid, ShownRfid

__all__ = [
    "ArrowSource",
    "CsvDialect",
    "Exported",
    "HashedRfid",
    "OnProgress",
    "SessionSource",
    "ShownRfid",
    "Zones",
    "csv",
    "jsonl",
    "parquet",
]
