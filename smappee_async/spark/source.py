"""The data source that Spark knows by the name ``smappee``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from smappee_async.distributed import MakeClient, MissingSessions, Part, client_from_env, read_part
from smappee_async.errors import SmappeeError
from smappee_async.spark.filters import Condition, Operator
from smappee_async.spark.options import ReadOptions

if TYPE_CHECKING:
    import pyarrow as pa

try:
    from pyspark.sql.datasource import (  # pyright: ignore[reportMissingImports] - 450 MB, and asked for
        DataSource,
        DataSourceReader,
        EqualNullSafe,
        EqualTo,
        Filter,
        GreaterThan,
        GreaterThanOrEqual,
        In,
        InputPartition,
        LessThan,
        LessThanOrEqual,
    )
    from pyspark.sql.types import StructType  # pyright: ignore[reportMissingImports] - the same
except ModuleNotFoundError as error:
    raise ImportError("smappee_async.spark needs an extra: pip install 'smappee-async[spark]'") from error

from smappee_async.spark.schema import FAILURES_DDL, SESSIONS_DDL, failure_batch, session_batches

#: Rows of a record batch: Spark's own number for those that Python gives it.
_ROWS_PER_BATCH: Final = 10_000
_SHOWN_PARKS: Final = 5
_OPERATORS: Final[Mapping[type[Filter], Operator]] = {
    EqualTo: "=",
    EqualNullSafe: "=",
    In: "in",
    GreaterThan: ">",
    GreaterThanOrEqual: ">=",
    LessThan: "<",
    LessThanOrEqual: "<=",
}


class SmappeeDataSource(DataSource):
    """Charging sessions of many parks: ``spark.read.format("smappee")``.

    Register it with ``spark.dataSource.register(SmappeeDataSource)``.
    """

    @classmethod
    def name(cls) -> str:
        """The name of the format."""
        return "smappee"

    def client(self) -> MakeClient:
        """What makes the client of each Python process of an executor. A subclass may give another function."""
        return client_from_env

    def schema(self) -> str:
        """The columns of a session, or of what is missing.

        :raises ConfigurationError: an option is wrong. Spark asks for the schema first, so a mistake is told early.
        """
        return FAILURES_DDL if self._read().failures == "table" else SESSIONS_DDL

    def reader(self, schema: StructType) -> DataSourceReader:  # noqa: ARG002 - Spark compares it with what is read
        """Reads the sessions.

        :raises ConfigurationError: an option is wrong.
        """
        read = self._read()
        return (_NarrowedReader if read.push_filters else _PartReader)(read, self.client())

    def _read(self) -> ReadOptions:
        # Once for a DataFrame, because a file of parks may change between two actions.
        found: ReadOptions | None = vars(self).get("_parsed")
        if found is None:
            found = self._parsed = ReadOptions.parse(self.options)
        return found


class _PartReader(DataSourceReader):
    """Plans the tasks on the driver, and reads one part in each task."""

    def __init__(self, options: ReadOptions, client: MakeClient) -> None:
        self._options = options
        self._client = client
        self._conditions: list[Condition] = []

    def partitions(self) -> Sequence[InputPartition]:
        """One for each part."""
        return [InputPartition(part) for part in self._options.parts(self._conditions)]

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        """The rows of one part, in the same order each time: Spark may repeat a task after others used its rows.

        :raises SmappeeError: sessions are missing for good, or could not be read this time. Spark tries both again.
        """
        part: Part | None = partition.value
        if part is None:  # Spark makes one partition where there is none
            return
        found = read_part(part, client=self._client)
        if self._options.failures == "table":
            yield failure_batch(found.missing)
            return
        if found.missing and self._options.failures == "raise":
            raise _missing_error(found.missing)
        yield from session_batches(found.table, _ROWS_PER_BATCH)


class _NarrowedReader(_PartReader):
    """Reads less where filters allow it. A class of its own, because Spark refuses it unless filters are pushed."""

    def pushFilters(self, filters: list[Filter]) -> Iterable[Filter]:  # noqa: N802 - Spark's name
        """Take what narrows the read. All filters are returned, which tells Spark to check them as well."""
        for each in filters:
            operator = _OPERATORS.get(type(each))
            if operator is not None:
                self._conditions.append(Condition(".".join(each.attribute), operator, each.value))
        return filters


def _missing_error(missing: Sequence[MissingSessions]) -> SmappeeError:
    parks = sorted({each.service_location_id for each in missing if each.service_location_id is not None})
    more = f" and {len(parks) - _SHOWN_PARKS} more" if len(parks) > _SHOWN_PARKS else ""
    return SmappeeError(
        f"sessions of the parks {', '.join(map(str, parks[:_SHOWN_PARKS]))}{more} cannot be read, and trying again "
        f"would not help; the first of {len(missing)}: {missing[0].reason}",
        advice='.option("failures", "table") lists them, and .option("failures", "omit") reads the others',
    )
