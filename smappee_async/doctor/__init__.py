"""Checks, with read-only calls to the service, what this package assumes about it.

::

    async with SmappeeClient(Credentials.from_env()) as smappee:
        report = await examine(smappee)
    for finding in report.findings:
        print(finding.verdict, finding.assumption, finding.seen)

Nobody who wrote this package could call the real service: see service.md. A report holds counts, names of keys and
statuses, and no id, no name and no RFID, so it can be sent to the project as it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from smappee_async.client import SmappeeClient
from smappee_async.doctor.checks import examine_observations
from smappee_async.doctor.findings import DoctorReport, Finding, Verdict
from smappee_async.doctor.observe import observe
from smappee_async.query.session_query import Park

__all__ = ["DoctorReport", "Finding", "Verdict", "examine"]


async def examine(
    client: SmappeeClient, parks: Iterable[Park] | None = None, *, period: timedelta = timedelta(days=30)
) -> DoctorReport:
    """Compare the service with what is assumed about it, with about 25 requests.

    :param parks: charging parks with sessions; at most three are asked. By default those that the account can see.
    :param period: how far back sessions are read.
    :raises SmappeeError: the service locations cannot be read at all.
    """
    observations = await observe(client, parks, period)
    return DoctorReport(examine_observations(observations), observations.requests)
