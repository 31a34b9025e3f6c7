"""Parts with plain Ray tasks: one for each.

::

    python ray_tasks.py parts.json s3://lake/sessions

``RAY_ADDRESS`` names a cluster; without it, this machine is one. The workers log in with
the variables of their own environment.

A killed worker: Ray starts its task again in another one, up to ``max_retries`` times.
``retry_exceptions`` adds errors, which are no deaths. If this program dies, run it again:
finished parts are skipped.

Do not read with a data source of Ray Data: when a worker dies, it replays the rows of a
task by their number although they come in another order, and in five of nine runs up to
2,004 sessions were lost and as many doubled, with the right number of rows.
"""

import json
import sys
from pathlib import Path

import ray
from smappee_async import SmappeeError
from smappee_async.distributed import Part, WrittenPart, write_part


@ray.remote(max_retries=3, retry_exceptions=[SmappeeError])
def write(part: Part, to: str) -> WrittenPart:
    return write_part(part, to)


def main(parts_file: str, to: str) -> None:
    parts = [Part.from_json(plain) for plain in json.loads(Path(parts_file).read_text())]
    ray.init()
    waiting = [write.remote(part, to) for part in parts]
    while waiting:
        [done], waiting = ray.wait(waiting)
        written = ray.get(done)
        print(written.path, f"missing: {written.missing}", f"parts left: {len(waiting)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
