"""The list of parts that the other programs here read, made once and kept.

::

    python make_parts.py parks.txt 2025 parts.json
    python make_parts.py parks.txt 2026-01-01..2026-11-01 parts.json \\
        --last-run sessions-of-2025 2025

``parks.txt`` has one service location id a line. Keep the list until every part is
finished: other parks, or other hints, give other parts, and a finished part is found by
its name.
"""

import argparse
import json
from pathlib import Path

import pyarrow.dataset as ds
from smappee_async import TimeRange, seen_in
from smappee_async.distributed import partition


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("parks", type=Path)
    parser.add_argument("time_range", type=TimeRange.parse)
    parser.add_argument("output", type=Path)
    parser.add_argument("--parks-per-part", type=int, default=100)
    parser.add_argument("--last-run", nargs=2, metavar=("FILES", "RANGE"))
    given = parser.parse_args()

    parks = [int(line) for line in given.parks.read_text().split()]
    seen = None
    if given.last_run is not None:
        files, read = given.last_run
        columns = ["service_location_id", "started_at"]
        table = ds.dataset(files, format="parquet").to_table(columns=columns)
        seen = seen_in(table, TimeRange.parse(read))
    parts = partition(
        parks, given.time_range, parks_per_part=given.parks_per_part, seen=seen
    )
    given.output.write_text(json.dumps([part.to_json() for part in parts]))
    print(len(parts), "parts of", len(parks), "parks")


if __name__ == "__main__":
    main()
