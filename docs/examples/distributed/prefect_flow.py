"""Parts with a Prefect 3 flow: one task run for each.

::

    python prefect_flow.py parts.json s3://lake/sessions

The tasks are threads of the process that runs the flow, and share its client.
``prefect-dask`` and ``prefect-ray`` have runners that send the same tasks to a cluster.

A killed process: Prefect marks the flow run as crashed if its worker sees the end of the
process, and does not start it again by itself. Run the flow again: finished parts are
skipped. ``retries`` is for errors.
"""

import json
import sys
from pathlib import Path

from prefect import flow, task
from prefect.task_runners import ThreadPoolTaskRunner
from smappee_async.distributed import Part, WrittenPart, write_part


# Without a cache: what is finished is known by its file.
@task(retries=3, retry_delay_seconds=60, cache_policy=None)
def write(part: Part, to: str) -> WrittenPart:
    return write_part(part, to)


@flow(task_runner=ThreadPoolTaskRunner(max_workers=4))
def charging_sessions(parts_file: str, to: str) -> int:
    parts = [Part.from_json(plain) for plain in json.loads(Path(parts_file).read_text())]
    written = [run.result() for run in write.map(parts, to=to)]
    return sum(each.missing for each in written)


if __name__ == "__main__":
    print("missing:", charging_sessions(*sys.argv[1:]))
