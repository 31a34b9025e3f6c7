"""Sessions as a table of Apache Spark (extra ``spark``).

::

    from smappee_async.spark import SmappeeDataSource

    spark.dataSource.register(SmappeeDataSource)
    sessions = spark.read.format("smappee").option("parks", "1001,1002").option("month", "2026-10").option("tz", "UTC")
    sessions.load().write.parquet("s3a://lake/sessions")

Each part of some parks (:func:`smappee_async.distributed.partition`) is one task. Executors log in with the variables
of their own environment; nothing secret is an option.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from smappee_async.spark.source import SmappeeDataSource as SmappeeDataSource

__all__ = ["SmappeeDataSource"]


def _load(name: str) -> object:
    # Loaded when it is first used, because the options and filters need no pyspark.
    if name != "SmappeeDataSource":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from smappee_async.spark.source import SmappeeDataSource  # noqa: PLC0415

    globals()[name] = SmappeeDataSource
    return SmappeeDataSource


if not TYPE_CHECKING:  # type checkers must find a name that does not exist
    __getattr__ = _load
