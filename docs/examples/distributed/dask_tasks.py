"""Parts with Dask: one task for each.

::

    python dask_tasks.py parts.json s3://lake/sessions

``DASK_SCHEDULER_ADDRESS`` names a cluster; without it, this machine's cores are one. The
workers log in with the variables of their own environment.

A killed worker: the scheduler gives its tasks to others. A task that has lost more than
three workers (``distributed.scheduler.allowed-failures``) fails. ``retries`` is for
errors, which are no deaths. If the scheduler or this program dies, run it again: finished
parts are skipped.
"""

import json
import sys
from pathlib import Path

from smappee_async.distributed import Part, write_part

from distributed import Client, as_completed


def main(parts_file: str, to: str) -> None:
    parts = [Part.from_json(plain) for plain in json.loads(Path(parts_file).read_text())]
    with Client() as dask:
        # By their names, or Dask would make keys of what is in the parts.
        names = [part.name for part in parts]
        tasks = dask.map(write_part, parts, to=to, key=names, retries=3)
        for done, (_, written) in enumerate(as_completed(tasks, with_results=True), 1):
            print(f"{done}/{len(parts)}", written.path, f"missing: {written.missing}")


if __name__ == "__main__":
    main(*sys.argv[1:])
