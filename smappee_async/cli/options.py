"""The options that commands have, as typer reads them: names and help texts."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Final, TypeAlias

import typer

from smappee_async import defaults
from smappee_async.cli.output import FileFormat, Format, SessionFormat
from smappee_async.cli.rfids import KeepRfid, Rfid
from smappee_async.export.text import CsvDialect
from smappee_async.models import SessionState
from smappee_async.query.session_query import OnError, Order

_LOGIN: Final = "Login"
_TIME: Final = "Time range"
_QUERY: Final = "Query"
_OUTPUT: Final = "Output"

SECRETS: Final = (
    "SMAPPEE_CLIENT_SECRET and SMAPPEE_PASSWORD, or SMAPPEE_REFRESH_TOKEN, are read from the environment only, "
    "because other users of the machine can see command lines."
)

# --- login -----

BaseUrl: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        envvar="SMAPPEE_BASE_URL",
        show_default=defaults.BASE_URL,
        help="Base URL of the service, or of a simulator.",
        rich_help_panel=_LOGIN,
    ),
]
ClientId: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="TEXT",
        envvar="SMAPPEE_CLIENT_ID",
        help="The client id that support@smappee.com gave you.",
        rich_help_panel=_LOGIN,
    ),
]
Username: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="TEXT",
        envvar="SMAPPEE_USERNAME",
        help="The user name of the account, which is not its e-mail address.",
        rich_help_panel=_LOGIN,
    ),
]
TokenFile: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        envvar="SMAPPEE_TOKEN_FILE",
        show_default="~/.config/smappee-async/token.json, if it exists and no password is set",
        help="The file that keeps the token between runs.",
        rich_help_panel=_LOGIN,
    ),
]
ProxyUrl: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--proxy",
        metavar="URL",
        show_default="HTTPS_PROXY, ALL_PROXY and NO_PROXY of the environment",
        help="An http proxy. If it needs a password, set HTTPS_PROXY instead.",
        rich_help_panel=_LOGIN,
    ),
]
CaFile: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--ca-file",
        metavar="FILE",
        show_default="those that the system trusts",
        help="Certificate authorities to trust, as PEM.",
        rich_help_panel=_LOGIN,
    ),
]
Concurrency: TypeAlias = Annotated[
    int, typer.Option(min=1, metavar="N", help="Number of calls at the same time.", rich_help_panel=_QUERY)
]
FormatOption: TypeAlias = Annotated[
    Format,
    typer.Option("--format", help="A table for people; JSON lines or CSV for programs.", rich_help_panel=_OUTPUT),
]

# --- sessions ---

Parks: TypeAlias = Annotated[
    list[str],
    typer.Argument(
        metavar="PARK...",
        help="Service location ids; serial numbers with --stations. @FILE: those in a file. -: those of stdin.",
    ),
]
Range: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--range",
        metavar="TEXT",
        help="2026, 2026-10, 2026-10-03, 2026-10-01..2026-11-01, 2026-10-01T06:00Z.. (open end), 7d (the last 7 days).",
        rich_help_panel=_TIME,
    ),
]
Month: TypeAlias = Annotated[str | None, typer.Option(metavar="YYYY-MM", help="One month.", rich_help_panel=_TIME)]
Day: TypeAlias = Annotated[str | None, typer.Option(metavar="YYYY-MM-DD", help="One day.", rich_help_panel=_TIME)]
Year: TypeAlias = Annotated[str | None, typer.Option(metavar="YYYY", help="One year.", rich_help_panel=_TIME)]
Zone: TypeAlias = Annotated[
    str,
    typer.Option(
        metavar="ZONE",
        help="Time zone of the dates, such as Europe/Brussels; 'park': the zone of each park.",
        rich_help_panel=_TIME,
    ),
]
State: TypeAlias = Annotated[SessionState, typer.Option(help="State of the sessions.", rich_help_panel=_QUERY)]
OrderOption: TypeAlias = Annotated[
    Order, typer.Option(help="As they arrive, or by start over all parks.", rich_help_panel=_QUERY)
]
Stations: TypeAlias = Annotated[
    bool, typer.Option("--stations", help="PARK... are serial numbers of charging stations.", rich_help_panel=_QUERY)
]
OnErrorOption: TypeAlias = Annotated[
    OnError,
    typer.Option(
        help="raise: stop at the first error. collect: go on, list at the end what is missing, and exit with 3.",
        rich_help_panel=_QUERY,
    ),
]
Deadline: TypeAlias = Annotated[
    float | None, typer.Option(metavar="SECONDS", help="Longest duration of the command.", rich_help_panel=_QUERY)
]


def checked_deadline(deadline: float | None) -> timedelta | None:
    """The value of :data:`Deadline`.

    :raises typer.BadParameter: it is no length of time.
    """
    if deadline is not None and not 0 < deadline < 1e9:
        raise typer.BadParameter("it must be a number of seconds above 0", param_hint="--deadline")
    return None if deadline is None else timedelta(seconds=deadline)


Limit: TypeAlias = Annotated[
    int, typer.Option(min=0, metavar="N", help="Number of rows in the table.", rich_help_panel=_OUTPUT)
]
RfidOption: TypeAlias = Annotated[
    Rfid,
    typer.Option(
        help="An RFID identifies a person. mask: show its last three characters; hash: a hash with the key in "
        "SMAPPEE_RFID_KEY.",
        rich_help_panel=_OUTPUT,
    ),
]
SessionFormatOption: TypeAlias = Annotated[
    SessionFormat,
    typer.Option(
        "--format", help="A table for people; JSON lines, CSV or Parquet for programs.", rich_help_panel=_OUTPUT
    ),
]
DialectOption: TypeAlias = Annotated[
    CsvDialect,
    typer.Option(
        "--dialect",
        help="Of the CSV. excel-eu: semicolons, decimal commas, local times, no formulas.",
        rich_help_panel=_OUTPUT,
    ),
]
Output: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="Write to a file, which appears only when it is complete; or to a pipe.",
        rich_help_panel=_OUTPUT,
    ),
]

# --- export -----

ExportFormatOption: TypeAlias = Annotated[
    FileFormat, typer.Option("--format", help="Format of the file.", rich_help_panel=_OUTPUT)
]
OutputFile: TypeAlias = Annotated[
    str,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="The file, which appears only when it is complete.",
        rich_help_panel=_OUTPUT,
    ),
]

# --- copies -----

_COPY: Final = "Copy"

ParkIds: TypeAlias = Annotated[
    list[str],
    typer.Argument(metavar="PARK...", help="Service location ids. @FILE: those in a file. -: those of stdin."),
]
Copy: TypeAlias = Annotated[
    str,
    typer.Option(
        metavar="URL",
        help="Where the copy is: sqlite:///FILE, or postgresql://HOST/DATABASE.",
        envvar="SMAPPEE_COPY",
        rich_help_panel=_COPY,
    ),
]
OptionalCopy: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Where the copy is: sqlite:///FILE; in memory by default.", rich_help_panel=_COPY),
]
_SINCE_HELP: Final = "Where the copy of a park begins that is not in it yet."
Since: TypeAlias = Annotated[str, typer.Option(metavar="YYYY-MM-DD", help=_SINCE_HELP, rich_help_panel=_COPY)]
OptionalSince: TypeAlias = Annotated[
    str | None, typer.Option(metavar="YYYY-MM-DD", help=_SINCE_HELP, rich_help_panel=_COPY)
]
CopyZone: TypeAlias = Annotated[
    str,
    typer.Option(metavar="ZONE", help="Time zone of the dates, such as Europe/Brussels.", rich_help_panel=_COPY),
]
KeepRfidOption: TypeAlias = Annotated[
    KeepRfid,
    typer.Option(
        help="What the copy keeps of RFIDs. hash: a hash with the key in SMAPPEE_RFID_KEY; drop: nothing.",
        rich_help_panel=_COPY,
    ),
]

# --- summary ----

OptionalParks: TypeAlias = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[PARK...]",
        help="Service location ids; with --from all of the copy by default. @FILE: those in a file. -: those of stdin.",
    ),
]
CopyToRead: TypeAlias = Annotated[
    str,
    typer.Option(
        "--from",
        metavar="URL",
        help="The copy: sqlite:///FILE, or postgresql://HOST/DATABASE.",
        envvar="SMAPPEE_COPY",
        rich_help_panel=_COPY,
    ),
]
FromCopy: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="URL",
        help="Read this copy in place of the service: sqlite:///FILE, or postgresql://HOST/DATABASE.",
        rich_help_panel=_QUERY,
    ),
]
OptionalZone: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="ZONE",
        show_default="the zone of each park; UTC with --from",
        help="Time zone of the days and hours, such as Europe/Brussels; 'park': the zone of each park.",
        rich_help_panel=_TIME,
    ),
]
GroupLimit: TypeAlias = Annotated[
    int, typer.Option(min=1, metavar="N", help="Number of cards, and of connectors, shown.", rich_help_panel=_OUTPUT)
]
AsJson: TypeAlias = Annotated[
    bool, typer.Option("--json", help="One JSON object, with all of them and exact sums.", rich_help_panel=_OUTPUT)
]
