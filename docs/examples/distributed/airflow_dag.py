"""Parts with Airflow 3: one mapped task for each. Put this file into the folder of DAGs.

``SESSIONS_PARTS`` is the list that make_parts.py wrote, ``SESSIONS_TO`` a directory or
URL. The parts go to the tasks as JSON, through XCom. Airflow maps at most 1,024 tasks
(``core.max_map_length``): make the parts large enough.

A killed worker: its task sends no heartbeat any more, so the scheduler marks it failed
after ``scheduler.task_instance_heartbeat_timeout`` (300 s), and ``retries`` starts it
again. If a run is cleared or started again, it skips the parts that are finished. Each
task is a process with a client of its own, which learns anew how the service answers.
"""

import json
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import dag, task
from smappee_async.distributed import Part, write_part


@dag(schedule=None, catchup=False)
def charging_sessions() -> None:
    @task
    def parts() -> list[dict[str, Any]]:
        plain: list[dict[str, Any]] = json.loads(
            Path(os.environ["SESSIONS_PARTS"]).read_text()
        )
        return plain

    @task(retries=3, retry_delay=timedelta(minutes=1), max_active_tis_per_dagrun=8)
    def write(part: dict[str, Any]) -> dict[str, Any]:
        written = write_part(Part.from_json(part), os.environ["SESSIONS_TO"])
        return {"path": written.path, "missing": written.missing}

    write.expand(part=parts())


charging_sessions()
