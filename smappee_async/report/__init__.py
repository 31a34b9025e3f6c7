"""Sums over sessions, from the records alone: by day, card, connector, and hour of the week.

::

    from smappee_async.report import SessionSummary

    summary = SessionSummary(ZoneInfo("Europe/Brussels"))
    async for batch in smappee.sessions(1001, october, state="all").batches():
        summary.add(batch.sessions)
    print(summary.total.sessions, summary.total.energy_kwh)
"""

from smappee_async.report.days import local_days
from smappee_async.report.summary import Connector, SessionSummary, Total, by_energy

__all__ = ["Connector", "SessionSummary", "Total", "by_energy", "local_days"]
