"""The list of parts that the other programs here read, made once and kept.

::

    python make_parts.py parks.txt 2025 parts-2025.json
    python make_parts.py parks.txt 2026-01-01..2026-11-01 parts.json \\
        --last-run parts-2025.json sessions-2025

``parks.txt`` has one service location id a line. Keep the list until every part is
finished: other parks, or other hints, give other parts, and a finished part is found by
its name.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

import pyarrow.dataset as ds
from smappee_async import Seen, TimeRange, seen_in
from smappee_async.distributed import Part, partition


def seen_last_time(parts_file: str, files: str) -> Mapping[int, Seen]:
    parts = [Part.from_json(plain) for plain in json.loads(Path(parts_file).read_text())]
    # Lists of failures lie beside the files, and are left out.
    rows = ds.dataset(files, format="parquet", exclude_invalid_files=True)
    table = rows.to_table(columns=["service_location_id", "started_at"])
    parks = {park for part in parts for park in part.parks}
    return seen_in(table, parts[0].time_range, parks=parks)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("parks", type=Path)
    parser.add_argument("time_range", type=TimeRange.parse)
    parser.add_argument("output", type=Path)
    parser.add_argument("--parks-per-part", type=int, default=100)
    parser.add_argument("--last-run", nargs=2, metavar=("PARTS", "FILES"))
    given = parser.parse_args()

    parks = [int(line) for line in given.parks.read_text().split()]
    parts = partition(
        parks,
        given.time_range,
        parks_per_part=given.parks_per_part,
        seen=seen_last_time(*given.last_run) if given.last_run else None,
    )
    given.output.write_text(json.dumps([part.to_json() for part in parts]))
    print(len(parts), "parts of", len(parks), "parks")


if __name__ == "__main__":
    main()
