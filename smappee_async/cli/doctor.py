"""``smappee-async doctor``: what is assumed about the service, compared with what it does."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import msgspec

from smappee_async.cli.ending import ExitCode, run_async, tell
from smappee_async.cli.login import LoginOptions
from smappee_async.cli.output import Column, TableWriter
from smappee_async.cli.sinks import open_sink
from smappee_async.doctor import DoctorReport, examine

_COLUMNS: Final = (
    Column("assumption", "What is assumed"),
    Column("verdict", "It is"),
    Column("seen", "Seen"),
    Column("consequence", "What the client does"),
)


def show_doctor(login_options: LoginOptions, parks: Sequence[int], days: float, *, as_json: bool) -> ExitCode:
    """Examine the service, and print the findings."""
    report = run_async(_examine(login_options, parks, timedelta(days=days)))
    with open_sink(None) as sink:
        if as_json:
            sink.write(msgspec.json.format(msgspec.json.encode(report.to_dict()), indent=2).decode() + "\n")
        else:
            table = TableWriter(_COLUMNS, what="assumptions", colours=sink.is_terminal)
            table.add(
                {
                    "assumption": finding.assumption,
                    "verdict": finding.verdict,
                    "seen": finding.seen,
                    "consequence": finding.consequence or None,
                }
                for finding in report.findings
            )
            sink.write(table.end())
    tell(f"{report.requests} requests were sent; the report holds no id, no name and no RFID")
    return ExitCode.OK


async def _examine(login_options: LoginOptions, parks: Sequence[int], period: timedelta) -> DoctorReport:
    async with await login_options.client() as client:
        return await examine(client, parks or None, period=period)
