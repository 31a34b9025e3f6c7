"""The command line: commands and their options. Each command is carried out by the module that has its name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Annotated, Final, TypeAlias, cast

import typer

from smappee_async import defaults
from smappee_async._version import __version__
from smappee_async.cli.demo.show import Demo, show_demo
from smappee_async.cli.doctor import show_doctor
from smappee_async.cli.ending import HELP, PROGRAM, ExitCode
from smappee_async.cli.login import LoginOptions, log_in
from smappee_async.cli.options import (
    SECRETS,
    BaseUrl,
    CaFile,
    ClientId,
    Concurrency,
    Day,
    Deadline,
    FormatOption,
    Limit,
    Month,
    OnErrorOption,
    OrderOption,
    Output,
    Parks,
    ProxyUrl,
    Range,
    RfidOption,
    State,
    Stations,
    TokenFile,
    Username,
    Year,
    Zone,
)
from smappee_async.cli.output import Format
from smappee_async.cli.parks import show_parks
from smappee_async.cli.ranges import RangeText
from smappee_async.cli.rows import Rfid
from smappee_async.cli.sessions import Presentation, SessionsOptions, show_sessions
from smappee_async.cli.simulate import simulate
from smappee_async.cli.sync import show_sync
from smappee_async.cli.targets import read_ids
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
    parks: Annotated[int, typer.Option(min=1, max=5000, metavar="N", help="Number of parks.")] = _SIMULATED.parks,
    sessions: Annotated[
        int,
        typer.Option(
            min=1, max=20_000_000, metavar="N", help="Least number of sessions in the year, all parks together."
        ),
    ] = _SIMULATED.sessions,
    seed: Annotated[int, typer.Option(metavar="N", help="The same seed gives the same sessions.")] = _SIMULATED.seed,
    concurrency: Concurrency = defaults.CONCURRENCY,
    plain: Annotated[bool, typer.Option("--plain", help="ASCII only: no progress bar, no colours.")] = False,
) -> Work:
    """Fetch a year of sessions from a simulated service through faults, and compare each record with its ledger.

    Exits with 1 if one record is lost, doubled or altered.

    Examples:
      smappee-async demo
      smappee-async demo --parks 100 --sessions 1000000 --concurrency 16
      smappee-async demo --plain 2>/dev/null | tail -1
    """
    limits = Limits(concurrency=concurrency)
    return partial(show_demo, Demo(parks=parks, sessions=sessions, seed=seed, limits=limits, plain=plain))


@app.command("sessions", epilog=f"{SECRETS}\n\n{HELP}")
def sessions_(
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
    format_: FormatOption = Format.TABLE,
    limit: Limit = 40,
    rfid: RfidOption = Rfid.MASK,
    output: Output = None,
    base_url: BaseUrl = None,
    client_id: ClientId = None,
    username: Username = None,
    token_file: TokenFile = None,
    proxy: ProxyUrl = None,
    ca_file: CaFile = None,
) -> Work:
    """Charging sessions of parks, or stations, that started in a time range.

    JSON lines and CSV hold every field: times in UTC, energy as exact decimal text. The table is for people.

    The column extra holds the fields that this version does not know, as JSON.

    Examples:
      smappee-async sessions 12345 --month 2026-10 --tz Europe/Brussels
      smappee-async sessions 12345 67890 --range 7d --state all --order start
      smappee-async sessions 12345 --year 2026 --tz park --format csv --output 2026.csv
      smappee-async sessions @parks.txt --range 7d
      smappee-async sessions 6100000001 --stations --day 2026-10-03 --format jsonl | jq .energy_kwh
    """
    if deadline is not None and not 0 < deadline < 1e9:
        raise typer.BadParameter("it must be a number of seconds above 0", param_hint="--deadline")
    options = SessionsOptions(
        ids=read_ids(parks, stations=stations),
        stations=stations,
        range_text=RangeText.of(range=range_, month=month, day=day, year=year),
        zone=tz,
        state=state,
        order=order,
        on_error=on_error,
        deadline=None if deadline is None else timedelta(seconds=deadline),
    )
    login_options = LoginOptions.of(
        base_url=base_url,
        client_id=client_id,
        username=username,
        token_file=token_file,
        proxy=proxy,
        ca_file=ca_file,
    )
    presentation = Presentation(format=format_, rfid=rfid, limit=limit)
    return partial(show_sessions, login_options, options, presentation, output, Limits(concurrency=concurrency))


@app.command("parks", epilog=f"{SECRETS}\n\n{HELP}")
def parks_(
    *,
    format_: FormatOption = Format.TABLE,
    base_url: BaseUrl = None,
    client_id: ClientId = None,
    username: Username = None,
    token_file: TokenFile = None,
    proxy: ProxyUrl = None,
    ca_file: CaFile = None,
) -> Work:
    """The service locations that the account can see, charging parks among them.

    [bold]smappee-async sessions[/bold] takes their ids.

    Examples:
      smappee-async parks
      smappee-async parks --format jsonl | jq .service_location_id
    """
    login_options = LoginOptions.of(
        base_url=base_url,
        client_id=client_id,
        username=username,
        token_file=token_file,
        proxy=proxy,
        ca_file=ca_file,
    )
    return partial(show_parks, login_options, format_)


@app.command(epilog=f"{SECRETS}\n\n{HELP}")
def login(
    *,
    base_url: BaseUrl = None,
    client_id: ClientId = None,
    username: Username = None,
    token_file: TokenFile = None,
    proxy: ProxyUrl = None,
    ca_file: CaFile = None,
) -> Work:
    """Log in, and keep the token in a file that only you can read.

    The other commands then need the client id and secret, but no password.

    On a terminal this command asks for user name and password if they are not in the environment.

    Examples:
      smappee-async login
      smappee-async login --username jane --token-file ~/work/smappee-token.json
    """
    login_options = LoginOptions.of(
        base_url=base_url,
        client_id=client_id,
        username=username,
        token_file=token_file,
        proxy=proxy,
        ca_file=ca_file,
    )
    return partial(log_in, login_options)


@app.command(epilog=f"{SECRETS}\n\n{HELP}")
def doctor(
    *,
    parks: Annotated[
        list[int] | None,
        typer.Argument(
            metavar="[PARK...]", min=1, help="Service location ids of charging parks; the account's by default."
        ),
    ] = None,
    days: Annotated[float, typer.Option(min=0.1, max=4000, metavar="N", help="How far back sessions are read.")] = 30.0,
    as_json: Annotated[bool, typer.Option("--json", help="JSON, for an issue.")] = False,
    base_url: BaseUrl = None,
    client_id: ClientId = None,
    username: Username = None,
    token_file: TokenFile = None,
    proxy: ProxyUrl = None,
    ca_file: CaFile = None,
) -> Work:
    """Compare what is assumed about the service with what it does.

    Sends about 25 requests. All of them only read; one renews the token. The report holds nothing personal.

    Examples:
      smappee-async doctor
      smappee-async doctor 12345 --days 90 --json
    """
    login_options = LoginOptions.of(
        base_url=base_url,
        client_id=client_id,
        username=username,
        token_file=token_file,
        proxy=proxy,
        ca_file=ca_file,
    )
    return partial(show_doctor, login_options, parks or (), days, as_json=as_json)


@app.command("sync", epilog=f"{SECRETS}\n\n{HELP}")
def sync_(
    *,
    parks: Parks,
    to: Annotated[str, typer.Option(metavar="URL", help="Where the copy is: sqlite:///FILE.", envvar="SMAPPEE_COPY")],
    since: Annotated[
        str, typer.Option(metavar="YYYY-MM-DD", help="Where the copy of a park begins that is not in it yet.")
    ],
    tz: Zone = "UTC",
    concurrency: Concurrency = defaults.CONCURRENCY,
    base_url: BaseUrl = None,
    client_id: ClientId = None,
    username: Username = None,
    token_file: TokenFile = None,
    proxy: ProxyUrl = None,
    ca_file: CaFile = None,
) -> Work:
    """Bring a copy of sessions up to date: what is new, what ended, what was corrected, what was removed.

    Run it again and again, as from cron; two runs at the same time do no harm. The first run reads the whole history
    and may be interrupted.

    Examples:
      smappee-async sync 12345 67890 --to sqlite:///sessions.db --since 2025-01-01
      smappee-async sync @parks.txt --to sqlite:////var/lib/sessions.db --since 2025-01-01 --tz Europe/Brussels
    """
    login_options = LoginOptions.of(
        base_url=base_url,
        client_id=client_id,
        username=username,
        token_file=token_file,
        proxy=proxy,
        ca_file=ca_file,
    )
    begin = RangeText.of(range=f"{since}..", month=None, day=None, year=None).in_zone(tz).start
    numbers = [int(number) for number in read_ids(parks, stations=False)]
    return partial(show_sync, login_options, numbers, to, begin, Limits(concurrency=concurrency))


app.command(epilog=HELP)(simulate)
