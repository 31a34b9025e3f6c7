"""Parts with Dagster: one partition of an asset for each.

::

    dagster dev -f dagster_assets.py

``SESSIONS_PARTS`` is the list that make_parts.py wrote, ``SESSIONS_TO`` a directory or
URL. A backfill of the asset writes all parts that are missing, each in a run of its own.

A killed run: the daemon finds that its process is gone if ``run_monitoring`` is enabled
in ``dagster.yaml``, and starts it again if ``run_retries`` is enabled too. Without them,
materialize what failed once more: finished parts are skipped. ``RetryPolicy`` is for
errors. Each run is a process with a client of its own, which learns anew how the service
answers.
"""

import json
import os
from pathlib import Path

import dagster as dg
from smappee_async.distributed import Part, write_part

PARTS = {
    part.name: part
    for part in map(
        Part.from_json, json.loads(Path(os.environ["SESSIONS_PARTS"]).read_text())
    )
}


@dg.asset(
    partitions_def=dg.StaticPartitionsDefinition(list(PARTS)),
    retry_policy=dg.RetryPolicy(max_retries=3, delay=60),
)
def charging_sessions(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    written = write_part(PARTS[context.partition_key], os.environ["SESSIONS_TO"])
    return dg.MaterializeResult(metadata={"path": written.path, "missing": written.missing})


defs = dg.Definitions(assets=[charging_sessions])
