"""How pandas, polars, DuckDB and a Parquet dataset take a table, each in the way that the documentation shows.

Every consumer gives all rows, and the totals of each park and month, which it computes itself. Months are those of
``ZONE``.
"""

from __future__ import annotations

import abc
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import attrs
import duckdb
import pyarrow as pa
import pyarrow.compute
import pyarrow.dataset as ds

from tests.analysis import need

#: Its functions are made when it is imported.
pc: Final[Any] = pyarrow.compute

ZONE: Final = "Europe/Brussels"
Row = dict[str, Any]


@attrs.frozen
class Total:
    """What the sessions of one park and month come to."""

    sessions: int
    energy_kwh: Decimal
    least_id: int
    greatest_id: int
    first_start: datetime
    last_end: datetime | None


Totals = dict[tuple[int, str], Total]


class Consumer(abc.ABC):
    """One way to take a table.

    :param folder: where it may write.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @abc.abstractmethod
    def rows(self, table: pa.Table) -> list[Row]:
        """All rows, as plain values."""

    @abc.abstractmethod
    def totals(self, table: pa.Table) -> Totals:
        """The totals of each park and month."""

    @abc.abstractmethod
    def columns(self, table: pa.Table) -> list[str]:
        """The names of the columns."""


class Pandas(Consumer):
    """With Arrow types, which keep whole numbers and decimals as they are."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.pd = need("pandas")

    def frame(self, table: pa.Table) -> Any:
        return table.to_pandas(types_mapper=self.pd.ArrowDtype)

    def plain(self, value: Any) -> Any:
        if isinstance(value, self.pd.Timestamp):
            return value.to_pydatetime()
        if hasattr(value, "tolist"):  # an array, where the table has a list
            return value.tolist()
        return None if value is self.pd.NA or value is self.pd.NaT else value

    def rows(self, table: pa.Table) -> list[Row]:
        records = self.frame(table).to_dict("records")
        return [{name: self.plain(value) for name, value in row.items()} for row in records]

    def totals(self, table: pa.Table) -> Totals:
        frame = self.frame(table)
        month = frame["started_at"].dt.tz_convert(ZONE).dt.strftime("%Y-%m").rename("month")
        return {
            (int(park), str(of_month)): Total(
                len(group),
                group["energy_kwh"].sum(),
                int(group["id"].min()),
                int(group["id"].max()),
                self.plain(group["started_at"].min()),
                self.plain(group["ended_at"].max()),
            )
            for (park, of_month), group in frame.groupby(["service_location_id", month])
        }

    def columns(self, table: pa.Table) -> list[str]:
        return list(self.frame(table).columns)


class Polars(Consumer):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.pl = need("polars")

    def rows(self, table: pa.Table) -> list[Row]:
        rows: list[Row] = self.pl.DataFrame(table).to_dicts()
        return rows

    def totals(self, table: pa.Table) -> Totals:
        pl = self.pl
        month = pl.col("started_at").dt.convert_time_zone(ZONE).dt.strftime("%Y-%m").alias("month")
        totals = (
            pl.DataFrame(table)
            .group_by("service_location_id", month)
            .agg(
                pl.len(),
                pl.sum("energy_kwh"),
                pl.min("id").alias("least_id"),
                pl.max("id").alias("greatest_id"),
                pl.min("started_at"),
                pl.max("ended_at"),
            )
        )
        return {(park, of_month): Total(*values) for park, of_month, *values in totals.rows()}

    def columns(self, table: pa.Table) -> list[str]:
        columns: list[str] = self.pl.DataFrame(table).columns
        return columns


class DuckDb(Consumer):
    def query(self, sessions: pa.Table, query: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        with duckdb.connect() as database:
            database.register("sessions", sessions)
            result = database.execute(query)
            return [column[0] for column in result.description or ()], result.fetchall()

    def rows(self, table: pa.Table) -> list[Row]:
        names, rows = self.query(table, "FROM sessions")
        return [dict(zip(names, row, strict=True)) for row in rows]

    def totals(self, table: pa.Table) -> Totals:
        query = f"""
            SELECT service_location_id, strftime(started_at AT TIME ZONE '{ZONE}', '%Y-%m') AS month,
                count(*), sum(energy_kwh), min(id), max(id), min(started_at), max(ended_at)
            FROM sessions GROUP BY ALL
        """
        return {(park, of_month): Total(*values) for park, of_month, *values in self.query(table, query)[1]}

    def columns(self, table: pa.Table) -> list[str]:
        return self.query(table, "FROM sessions")[0]


class Dataset(Consumer):
    """Parquet files, a directory for each month and in it one for each park, read by pyarrow."""

    def written(self, table: pa.Table) -> pa.Table:
        """The table with two columns more, read from the dataset."""
        month = pc.strftime(table["started_at"].cast(pa.timestamp("ms", tz=ZONE)), format="%Y-%m")
        whole = table.append_column("month", month).append_column("park", table["service_location_id"])
        self.folder.mkdir(exist_ok=True)  # without rows nothing is written
        ds.write_dataset(
            whole, self.folder, format="parquet", partitioning=["month", "park"], partitioning_flavor="hive"
        )
        return ds.dataset(self.folder, schema=whole.schema, partitioning="hive").to_table()

    def rows(self, table: pa.Table) -> list[Row]:
        rows: list[Row] = self.written(table).drop_columns(["month", "park"]).to_pylist()
        return rows

    def totals(self, table: pa.Table) -> Totals:
        values = [("id", "count"), ("energy_kwh", "sum"), ("id", "min"), ("id", "max")]
        values += [("started_at", "min"), ("ended_at", "max")]
        totals = self.written(table).group_by(["park", "month"]).aggregate(values)
        return {
            (row["park"], row["month"]): Total(*(row[f"{name}_{how}"] for name, how in values))
            for row in totals.to_pylist()
        }

    def columns(self, table: pa.Table) -> list[str]:
        names: list[str] = self.written(table).schema.names[:-2]
        return names
