"""The command line: what can be asked for, read and handed on. The work is done in the modules named after it."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Final, TypeAlias

import typer

from smappee_async import defaults
from smappee_async._version import __version__
from smappee_async.cli.account import LoginOptions
from smappee_async.cli.choices import OnErrorChoice, OrderChoice, StateChoice
from smappee_async.cli.demo.show import Demo, show_demo
from smappee_async.cli.exits import HELP, PROGRAM, ExitCode
from smappee_async.cli.login import log_in
from smappee_async.cli.output import Format
from smappee_async.cli.parks import show_parks
from smappee_async.cli.ranges import AskedRange
from smappee_async.cli.rows import Rfid
from smappee_async.cli.sessions import Presentation, SessionsOptions, show_sessions
from smappee_async.cli.simulate import AssumptionSet, SimulateOptions, WorldName, serve
from smappee_async.limits import Limits

app: Final = typer.Typer(
    rich_markup_mode="rich",
    add_completion=False,
    pretty_exceptions_enable=False,  # they print local variables, and tracebacks
    context_settings={"help_option_names": ["-h", "--help"]},
)

_ACCOUNT: Final = "Account"
_WHEN: Final = "Which stretch of time"
_HOW: Final = "How it is asked"
_SHOWN: Final = "How it is shown"

BaseUrl: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        envvar="SMAPPEE_BASE_URL",
        show_default=defaults.BASE_URL,
        help="Where the service is, such as the simulator.",
        rich_help_panel=_ACCOUNT,
    ),
]
ClientId: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="TEXT", envvar="SMAPPEE_CLIENT_ID", help="From support@smappee.com.", rich_help_panel=_ACCOUNT
    ),
]
Username: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="TEXT",
        envvar="SMAPPEE_USERNAME",
        help="The account's user name, which is not its e-mail address.",
        rich_help_panel=_ACCOUNT,
    ),
]
TokenFile: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        envvar="SMAPPEE_TOKEN_FILE",
        show_default="~/.config/smappee-async/token.json, where it exists and no password is set",
        help="Where the token is kept between runs.",
        rich_help_panel=_ACCOUNT,
    ),
]
Concurrency: TypeAlias = Annotated[
    int, typer.Option(min=1, metavar="N", help="Calls in flight at once.", rich_help_panel=_HOW)
]
FormatOption: TypeAlias = Annotated[
    Format,
    typer.Option("--format", help="A table for people; JSON lines or CSV for programs.", rich_help_panel=_SHOWN),
]

_SECRETS = (
    "SMAPPEE_CLIENT_SECRET and SMAPPEE_PASSWORD, or SMAPPEE_REFRESH_TOKEN, are read from the environment only, "
    "for other users of a machine can see its command lines."
)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"{PROGRAM} {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True, epilog=HELP)
def start(
    context: typer.Context,
    *,
    version: Annotated[  # noqa: ARG001 - its callback has answered
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Charging sessions of Smappee EV charging parks.

    Without an account: [bold]smappee-async demo[/bold] shows what it does, on a simulated cloud.

    With one: [bold]smappee-async login[/bold], then [bold]parks[/bold] and [bold]sessions[/bold].
    """
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit(ExitCode.USAGE)


@app.command(epilog=HELP)
def demo(
    *,
    parks: Annotated[int, typer.Option(min=1, max=5000, metavar="N", help="Charging parks.")] = 24,
    sessions: Annotated[
        int, typer.Option(min=1, max=20_000_000, metavar="N", help="Sessions of a year at least, all parks together.")
    ] = 200_000,
    seed: Annotated[int, typer.Option(metavar="N", help="The same seed gives the same sessions.")] = 1,
    concurrency: Concurrency = defaults.CONCURRENCY,
    plain: Annotated[bool, typer.Option("--plain", help="No bar, no colours, nothing but ASCII.")] = False,
) -> None:
    """Fetch a year of a simulated cloud through faults, and compare every record with its ledger.

    Fails if a single record is lost, doubled or altered.

    Examples:
      smappee-async demo
      smappee-async demo --parks 100 --sessions 1000000 --concurrency 16
      smappee-async demo --plain 2>/dev/null | tail -1
    """
    limits = Limits(concurrency=concurrency)
    raise typer.Exit(show_demo(Demo(parks=parks, sessions=sessions, seed=seed, limits=limits, plain=plain)))


@app.command("sessions", epilog=f"{_SECRETS}\n\n{HELP}")
def sessions_(
    *,
    parks: Annotated[
        list[str], typer.Argument(metavar="PARK...", help="Service location ids; serial numbers with --stations.")
    ],
    range_: Annotated[
        str | None,
        typer.Option(
            "--range",
            metavar="TEXT",
            help="2026, 2026-10, 2026-10-03, 2026-10-01..2026-11-01, 2026-10-01T06:00Z.. (open end), 7d (the latest).",
            rich_help_panel=_WHEN,
        ),
    ] = None,
    month: Annotated[str | None, typer.Option(metavar="YYYY-MM", help="One month.", rich_help_panel=_WHEN)] = None,
    day: Annotated[str | None, typer.Option(metavar="YYYY-MM-DD", help="One day.", rich_help_panel=_WHEN)] = None,
    year: Annotated[str | None, typer.Option(metavar="YYYY", help="One year.", rich_help_panel=_WHEN)] = None,
    tz: Annotated[
        str,
        typer.Option(
            metavar="ZONE",
            help="Zone of dates, such as Europe/Brussels; 'park' for each park's own.",
            rich_help_panel=_WHEN,
        ),
    ] = "UTC",
    state: Annotated[StateChoice, typer.Option(help="Which sessions.", rich_help_panel=_HOW)] = StateChoice.COMPLETED,
    order: Annotated[
        OrderChoice, typer.Option(help="As they arrive, or by start over all parks.", rich_help_panel=_HOW)
    ] = OrderChoice.ARRIVAL,
    stations: Annotated[
        bool, typer.Option("--stations", help="Ask charging stations, by serial number.", rich_help_panel=_HOW)
    ] = False,
    on_error: Annotated[
        OnErrorChoice,
        typer.Option(
            help="End at the first range that cannot be read; or go on, list it at the end and exit with 3.",
            rich_help_panel=_HOW,
        ),
    ] = OnErrorChoice.RAISE,
    deadline: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="How long it may take.", rich_help_panel=_HOW)
    ] = None,
    concurrency: Concurrency = defaults.CONCURRENCY,
    format_: FormatOption = Format.TABLE,
    limit: Annotated[int, typer.Option(min=0, metavar="N", help="Rows of a table.", rich_help_panel=_SHOWN)] = 40,
    rfid: Annotated[
        Rfid, typer.Option(help="RFIDs name persons: last three characters, all, or none.", rich_help_panel=_SHOWN)
    ] = Rfid.MASK,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Write to a file, which is there only once it is complete.",
            rich_help_panel=_SHOWN,
        ),
    ] = None,
    base_url: BaseUrl = None,
    client_id: ClientId = None,
    username: Username = None,
    token_file: TokenFile = None,
) -> None:
    """Charging sessions of parks, or stations, that started in a stretch of time.

    JSON lines and CSV hold every field: times in UTC, energy as exact decimal text. A table is for people.

    Examples:
      smappee-async sessions 12345 --month 2026-10 --tz Europe/Brussels
      smappee-async sessions 12345 67890 --range 7d --state all --order start
      smappee-async sessions 12345 --year 2026 --tz park --format csv --output 2026.csv
      smappee-async sessions 6100000001 --stations --day 2026-10-03 --format jsonl | jq .energy_kwh
    """
    if deadline is not None and not 0 < deadline < 1e9:
        raise typer.BadParameter("it must be a number of seconds above 0", param_hint="--deadline")
    options = SessionsOptions(
        ids=tuple(parks),
        stations=stations,
        asked=AskedRange.of(range=range_, month=month, day=day, year=year),
        zone=tz,
        state=state.value,
        order=order.value,
        on_error=on_error.value,
        deadline=None if deadline is None else timedelta(seconds=deadline),
    )
    account = LoginOptions.of(base_url=base_url, client_id=client_id, username=username, token_file=token_file)
    presentation = Presentation(format=format_, rfid=rfid, limit=limit)
    raise typer.Exit(show_sessions(account, options, presentation, output, Limits(concurrency=concurrency)))


@app.command("parks", epilog=f"{_SECRETS}\n\n{HELP}")
def parks_(
    *,
    format_: FormatOption = Format.TABLE,
    base_url: BaseUrl = None,
    client_id: ClientId = None,
    username: Username = None,
    token_file: TokenFile = None,
) -> None:
    """The service locations that the account sees; charging parks are among them.

    Their ids are what [bold]smappee-async sessions[/bold] asks for.

    Examples:
      smappee-async parks
      smappee-async parks --format jsonl | jq .service_location_id
    """
    account = LoginOptions.of(base_url=base_url, client_id=client_id, username=username, token_file=token_file)
    raise typer.Exit(show_parks(account, format_))


@app.command(epilog=f"{_SECRETS}\n\n{HELP}")
def login(
    *,
    base_url: BaseUrl = None,
    client_id: ClientId = None,
    username: Username = None,
    token_file: TokenFile = None,
) -> None:
    """Log in, and keep the token in a file that only you can read.

    The commands that follow need no password then, but still client id and secret.

    On a terminal it asks for user name and password, if they are not in the environment.

    Examples:
      smappee-async login
      smappee-async login --username jane --token-file ~/work/smappee-token.json
    """
    account = LoginOptions.of(base_url=base_url, client_id=client_id, username=username, token_file=token_file)
    raise typer.Exit(log_in(account))


@app.command(epilog=HELP)
def simulate(
    *,
    port: Annotated[int, typer.Option(min=0, max=65535, metavar="N", help="0 lets the system choose.")] = 0,
    host: Annotated[str, typer.Option(metavar="HOST", help="Where it listens.")] = "127.0.0.1",
    allow_remote: Annotated[
        bool, typer.Option("--allow-remote", help="Let --host be one that other machines reach.")
    ] = False,
    world: Annotated[WorldName, typer.Option(help="Many parks of all kinds, or one of each kind.")] = WorldName.DEMO,
    seed: Annotated[int, typer.Option(metavar="N", help="The same seed gives the same sessions.")] = 1,
    parks: Annotated[int, typer.Option(min=1, max=5000, metavar="N", help="Parks of the demo world.")] = 24,
    sessions: Annotated[
        int, typer.Option(min=1, max=20_000_000, metavar="N", help="Sessions of a year at least, in the demo world.")
    ] = 200_000,
    now: Annotated[
        str | None,
        typer.Option(
            metavar="INSTANT",
            help="Let the world stand still at an instant, such as 2026-11-01T00:00Z.",
            show_default="the time of day",
        ),
    ] = None,
    assumptions: Annotated[
        AssumptionSet, typer.Option(help="How to read the service where documentation and public clients disagree.")
    ] = AssumptionSet.DEFAULT,
) -> None:
    """Smappee's cloud in a box: serve invented parks on this machine until Ctrl-C.

    Prints its address and its invented account, as lines for a shell.

    Examples:
      smappee-async simulate
      smappee-async simulate --port 8080 --world small --now 2026-11-01T00:00Z
    """
    wish = SimulateOptions(
        host=host,
        port=port,
        allow_remote=allow_remote,
        world=world,
        seed=seed,
        parks=parks,
        sessions=sessions,
        now=now,
        reading=assumptions,
    )
    raise typer.Exit(serve(wish))
