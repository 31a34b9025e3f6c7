"""The command line: commands and their options. Each command is carried out by the module that has its name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Annotated, Final, TypeAlias, cast

import typer

from smappee_async import defaults
from smappee_async._version import __version__
from smappee_async.cli.copying import begin_of
from smappee_async.cli.demo.quarter import QuarterDemo, show_quarter
from smappee_async.cli.demo.show import Demo, show_demo
from smappee_async.cli.doctor import show_doctor
from smappee_async.cli.ending import HELP, PROGRAM, ExitCode
from smappee_async.cli.export import ExportOptions, show_export
from smappee_async.cli.login import LoginOptions, log_in
from smappee_async.cli.options import (
    SECRETS,
    AsJson,
    Concurrency,
    Copy,
    CopyToRead,
    CopyZone,
    Day,
    Deadline,
    DialectOption,
    ExportFormatOption,
    FormatOption,
    FromCopy,
    GroupLimit,
    KeepRfidOption,
    Limit,
    Month,
    OnErrorOption,
    OptionalCopy,
    OptionalParks,
    OptionalSince,
    OptionalZone,
    OrderOption,
    Output,
    OutputFile,
    ParkIds,
    Parks,
    Range,
    RfidOption,
    SessionFormatOption,
    Since,
    State,
    Stations,
    Year,
    Zone,
    checked_deadline,
)
from smappee_async.cli.output import Format, SessionFormat
from smappee_async.cli.parks import show_parks
from smappee_async.cli.presentation import Presentation
from smappee_async.cli.ranges import RangeText
from smappee_async.cli.rfids import KeepRfid, Rfid, rfid_choice, shown_rfid
from smappee_async.cli.sessions import SessionsOptions, show_sessions
from smappee_async.cli.simulate import simulate
from smappee_async.cli.summary import SummaryOptions, show_summary
from smappee_async.cli.sync import show_sync
from smappee_async.cli.takes_login import takes_login
from smappee_async.cli.targets import read_ids
from smappee_async.cli.verify import show_verify
from smappee_async.cli.watch import WatchOptions, show_watch
from smappee_async.errors import ConfigurationError
from smappee_async.limits import Limits
from smappee_async.simulator.options import SimulateOptions

#: What a command of typer returns: the work, which :func:`run_app` does after typer has read the command line.
Work: TypeAlias = Callable[[], ExitCode]

app: Final = typer.Typer(
    rich_markup_mode="rich",
    add_completion=False,
    pretty_exceptions_enable=False,  # they print local variables, and tracebacks
    context_settings={"help_option_names": ["-h", "--help"]},
)

# A usage error of the command line: click's UsageError, which typer has in a module of its own since 0.26.
_UsageError: Final = cast("type[Exception]", typer.BadParameter.__bases__[0])


def run_app(arguments: Sequence[str] | None) -> int:
    """Read the command line and do what it says; returns the exit code.

    Typer only reads. The work is done outside of it, because typer ends a program in its own ways on a closed pipe and
    on Ctrl-C.

    :raises ConfigurationError: the command line cannot be read.
    """
    try:
        # "Standalone" typer prints errors in boxes, and exits.
        result: Work | int | None = app(args=arguments, prog_name=PROGRAM, standalone_mode=False)
    except _UsageError as error:
        message = error.format_message()  # type: ignore[attr-defined]  # of click's exceptions
        context = getattr(error, "ctx", None)
        command = context.command_path if context else PROGRAM
        raise ConfigurationError(message.rstrip("."), advice=f"Try: {command} --help") from None
    return result() if callable(result) else int(result or ExitCode.OK)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"{PROGRAM} {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True, epilog=HELP)
def start(
    context: typer.Context,
    *,
    version: Annotated[  # noqa: ARG001 - its callback does it
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Charging sessions of Smappee EV charging parks.

    Without an account: [bold]smappee-async demo[/bold] fetches sessions from a simulated service.

    With an account: [bold]smappee-async login[/bold], then [bold]parks[/bold] and [bold]sessions[/bold].
    """
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit(ExitCode.USAGE)


_SIMULATED: Final = SimulateOptions()


@app.command(epilog=HELP)
def demo(
    *,
    parks: Annotated[
        int | None,
        typer.Option(
            min=1, max=5000, metavar="N", show_default=f"{_SIMULATED.parks}; 8 with --sync", help="Number of parks."
        ),
    ] = None,
    sessions: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=20_000_000,
            metavar="N",
            show_default=f"{_SIMULATED.sessions}; 60000 with --sync",
            help="Least number of sessions in the year, all parks together.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="The same seed gives the same sessions.")] = _SIMULATED.seed,
    concurrency: Concurrency = defaults.CONCURRENCY,
    sync: Annotated[
        bool, typer.Option("--sync", help="Keep a copy of a quarter whose sessions change, through kills.")
    ] = False,
    plain: Annotated[bool, typer.Option("--plain", help="ASCII only: no progress bar, no colours.")] = False,
) -> Work:
    """Fetch a year of sessions from a simulated service through faults, and compare each record with its ledger.

    With --sync it keeps a copy of a quarter in SQLite, through late, corrected, removed and reopened sessions and
    through kills, and compares each row.

    Exits with 1 if one record is lost, doubled or altered.

    Examples:
      smappee-async demo
      smappee-async demo --parks 100 --sessions 1000000 --concurrency 16
      smappee-async demo --sync
      smappee-async demo --plain 2>/dev/null | tail -1
    """
    limits = Limits(concurrency=concurrency)
    if sync:
        return partial(
            show_quarter,
            QuarterDemo(parks=parks or 8, sessions=sessions or 60_000, seed=seed, limits=limits, plain=plain),
        )
    options = Demo(
        parks=parks or _SIMULATED.parks,
        sessions=sessions or _SIMULATED.sessions,
        seed=seed,
        limits=limits,
        plain=plain,
    )
    return partial(show_demo, options)


@app.command("sessions", epilog=f"{SECRETS}\n\n{HELP}")
@takes_login
def sessions_(
    login_options: LoginOptions,
    *,
    parks: Parks,
    range_: Range = None,
    month: Month = None,
    day: Day = None,
    year: Year = None,
    tz: Zone = "UTC",
    state: State = "completed",
    order: OrderOption = "arrival",
    stations: Stations = False,
    on_error: OnErrorOption = "raise",
    deadline: Deadline = None,
    concurrency: Concurrency = defaults.CONCURRENCY,
    format_: SessionFormatOption = SessionFormat.TABLE,
    dialect: DialectOption = "standard",
    limit: Limit = 40,
    rfid: RfidOption = Rfid.MASK,
    output: Output = None,
) -> Work:
    """Charging sessions of parks, or stations, that started in a time range.

    JSON lines, CSV and Parquet hold every field: times in UTC, energy exactly. The table is for people.

    The column extra holds the fields that this version does not know, as JSON.

    Examples:
      smappee-async sessions 12345 --month 2026-10 --tz Europe/Brussels
      smappee-async sessions 12345 67890 --range 7d --state all --order start
      smappee-async sessions 12345 --year 2026 --tz park --format csv --output 2026.csv
      smappee-async sessions 12345 --month 2026-10 --format csv --dialect excel-eu --output october.csv
      smappee-async sessions 12345 --year 2026 --format parquet --output 2026.parquet
      smappee-async sessions @parks.txt --range 7d
      smappee-async sessions 6100000001 --stations --day 2026-10-03 --format jsonl | jq .energy_kwh
    """
    options = SessionsOptions(
        ids=read_ids(parks, stations=stations),
        stations=stations,
        range_text=RangeText.of(range=range_, month=month, day=day, year=year),
        zone=tz,
        state=state,
        order=order,
        on_error=on_error,
        deadline=checked_deadline(deadline),
    )
    presentation = Presentation(format=format_, dialect=dialect, rfid=shown_rfid(rfid), limit=limit, output=output)
    return partial(show_sessions, login_options, options, presentation, Limits(concurrency=concurrency))


@app.command("export", epilog=HELP)
def export_(
    *,
    parks: OptionalParks = None,
    from_: CopyToRead,
    range_: Range = None,
    month: Month = None,
    day: Day = None,
    year: Year = None,
    tz: CopyZone = "UTC",
    format_: ExportFormatOption,
    dialect: DialectOption = "standard",
    rfid: RfidOption = Rfid.MASK,
    output: OutputFile,
) -> Work:
    """Write a file of the sessions of a copy that started in a time range, without asking the service.

    Exits with 3 if the copy does not have all of the range, and the file is named FILE.incomplete then.

    Examples:
      smappee-async export --from sqlite:///sessions.db --month 2026-10 --format csv --output october.csv
      smappee-async export 12345 --from sqlite:///sessions.db --year 2026 --format parquet --output 2026.parquet
    """
    options = ExportOptions(
        parks=read_ids(parks or (), stations=False),
        copy=from_,
        range_text=RangeText.of(range=range_, month=month, day=day, year=year),
        zone=tz,
    )
    presentation = Presentation(format=SessionFormat(format_), dialect=dialect, rfid=shown_rfid(rfid), output=output)
    return partial(show_export, options, presentation)


@app.command("summary", epilog=f"{SECRETS}\n\n{HELP}")
@takes_login
def summary_(
    login_options: LoginOptions,
    *,
    parks: OptionalParks = None,
    from_: FromCopy = None,
    range_: Range = None,
    month: Month = None,
    day: Day = None,
    year: Year = None,
    tz: OptionalZone = None,
    on_error: OnErrorOption = "raise",
    deadline: Deadline = None,
    concurrency: Concurrency = defaults.CONCURRENCY,
    rfid: RfidOption = Rfid.MASK,
    limit: GroupLimit = 10,
    as_json: AsJson = False,
) -> Work:
    """What the sessions that started in a time range come to: by day, card, connector, and hour of the week.

    Sessions that have not ended are counted apart.

    Examples:
      smappee-async summary 12345 --month 2026-10
      smappee-async summary 12345 67890 --range 7d --json | jq -r .total.energy_kwh
      smappee-async summary --from sqlite:///sessions.db --year 2026 --tz Europe/Brussels
    """
    options = SummaryOptions(
        parks=read_ids(parks or (), stations=False),
        copy=from_,
        range_text=RangeText.of(range=range_, month=month, day=day, year=year),
        zone=tz,
        on_error=on_error,
        deadline=checked_deadline(deadline),
    )
    limits = Limits(concurrency=concurrency)
    return partial(show_summary, login_options, options, shown_rfid(rfid), limit, limits, as_json=as_json)


@app.command("parks", epilog=f"{SECRETS}\n\n{HELP}")
@takes_login
def parks_(
    login_options: LoginOptions,
    *,
    format_: FormatOption = Format.TABLE,
) -> Work:
    """The service locations that the account can see, charging parks among them.

    [bold]smappee-async sessions[/bold] takes their ids.

    Examples:
      smappee-async parks
      smappee-async parks --format jsonl | jq .service_location_id
    """
    return partial(show_parks, login_options, format_)


@app.command(epilog=f"{SECRETS}\n\n{HELP}")
@takes_login
def login(login_options: LoginOptions) -> Work:
    """Log in, and keep the token in a file that only you can read.

    The other commands then need the client id and secret, but no password.

    On a terminal this command asks for user name and password if they are not in the environment.

    Examples:
      smappee-async login
      smappee-async login --username jane --token-file ~/work/smappee-token.json
    """
    return partial(log_in, login_options)


@app.command(epilog=f"{SECRETS}\n\n{HELP}")
@takes_login
def doctor(
    login_options: LoginOptions,
    *,
    parks: Annotated[
        list[int] | None,
        typer.Argument(
            metavar="[PARK...]", min=1, help="Service location ids of charging parks; the account's by default."
        ),
    ] = None,
    days: Annotated[float, typer.Option(min=0.1, max=4000, metavar="N", help="How far back sessions are read.")] = 30.0,
    as_json: Annotated[bool, typer.Option("--json", help="JSON, for an issue.")] = False,
) -> Work:
    """Compare what is assumed about the service with what it does.

    Sends about 25 requests. All of them only read; one renews the token. The report holds nothing personal.

    Examples:
      smappee-async doctor
      smappee-async doctor 12345 --days 90 --json
    """
    return partial(show_doctor, login_options, parks or (), days, as_json=as_json)


@app.command("sync", epilog=f"{SECRETS}\n\n{HELP}")
@takes_login
def sync_(
    login_options: LoginOptions,
    *,
    parks: ParkIds,
    to: Copy,
    since: Since,
    tz: CopyZone = "UTC",
    keep_rfid: KeepRfidOption = KeepRfid.KEEP,
    concurrency: Concurrency = defaults.CONCURRENCY,
) -> Work:
    """Bring a copy of sessions up to date: what is new, what ended, what was corrected, what was removed.

    Run it again and again, as from cron; two runs at the same time do no harm. The first run reads the whole history
    and may be interrupted.

    Examples:
      smappee-async sync 12345 67890 --to sqlite:///sessions.db --since 2025-01-01
      smappee-async sync @parks.txt --to sqlite:////var/lib/sessions.db --since 2025-01-01 --tz Europe/Brussels
    """
    limits = Limits(concurrency=concurrency)
    numbers = [int(number) for number in read_ids(parks, stations=False)]
    return partial(show_sync, login_options, numbers, to, begin_of(since, tz), rfid_choice(keep_rfid), limits)


@app.command("watch", epilog=f"{SECRETS}\n\n{HELP}")
@takes_login
def watch_(
    login_options: LoginOptions,
    *,
    parks: ParkIds,
    every: Annotated[
        float, typer.Option(min=1, metavar="SECONDS", help="How often a park with a running session is asked.")
    ] = 60.0,
    idle_every: Annotated[
        float, typer.Option(min=1, metavar="SECONDS", help="How often the other parks are asked.")
    ] = 300.0,
    to: OptionalCopy = None,
    since: OptionalSince = None,
    tz: CopyZone = "UTC",
    consumer: Annotated[
        str, typer.Option(metavar="NAME", help="The name under which a copy remembers how far this command has come.")
    ] = "watch",
    rfid: RfidOption = Rfid.MASK,
    keep_rfid: KeepRfidOption = KeepRfid.KEEP,
    concurrency: Concurrency = defaults.CONCURRENCY,
) -> Work:
    """Watch sessions start, change and end, until it is interrupted.

    On a terminal: a table of the sessions. In a pipe: a JSON object for each event, with the session before and after.

    With --to it keeps a copy as sync does, and goes on after a restart where it was.

    Examples:
      smappee-async watch 12345 67890
      smappee-async watch @parks.txt --to sqlite:///sessions.db --since 2026-01-01 | jq -c 'select(.kind == "ended")'
    """
    options = WatchOptions(
        parks=[int(number) for number in read_ids(parks, stations=False)],
        every=timedelta(seconds=every),
        idle_every=timedelta(seconds=max(every, idle_every)),
        to=to,
        since=None if since is None else begin_of(since, tz),
        consumer=consumer,
        rfid=shown_rfid(rfid),
        keep_rfid=rfid_choice(keep_rfid),
    )
    return partial(show_watch, login_options, options, Limits(concurrency=concurrency))


@app.command("verify", epilog=f"{SECRETS}\n\n{HELP}")
@takes_login
def verify_(
    login_options: LoginOptions,
    *,
    month: Annotated[str, typer.Option(metavar="YYYY-MM", help="The month; it must be over.")],
    to: Copy,
    tz: CopyZone = "UTC",
    keep_rfid: KeepRfidOption = KeepRfid.KEEP,
    concurrency: Concurrency = defaults.CONCURRENCY,
) -> Work:
    """Read a month whole, compare the copy with it, and note what it was: before billing.

    Run again later, it lists what changed since. All parks of the copy are verified.

    Examples:
      smappee-async verify --month 2026-10 --tz Europe/Brussels --to sqlite:///sessions.db
    """
    return partial(show_verify, login_options, month, tz, to, rfid_choice(keep_rfid), Limits(concurrency=concurrency))


app.command(epilog=HELP)(simulate)
