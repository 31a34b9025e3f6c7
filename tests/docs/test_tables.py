"""The tables and the links of the documentation agree with the code and the files."""

from __future__ import annotations

import inspect
import re
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import get_args

import attrs
import pytest

import smappee_async
import smappee_async.distributed
import smappee_async.errors
import smappee_async.report
import smappee_async.simulator
import smappee_async.testing
from smappee_async import ChargingSession, Limits, RetryPolicy, SmappeeClient, SmappeeError, defaults
from smappee_async.cli.app import app
from smappee_async.cli.takes_login import _LOGIN
from smappee_async.events import EventKind, Operation
from smappee_async.query.session_query import QueryOptions, SessionQuery
from smappee_async.tables.schema import SCHEMA

from .pages import PAGES, README, ROOT, blocks, text_of

DOCS = ROOT / "docs"
SETTINGS = text_of(DOCS / "reference" / "settings.md")
TELEMETRY = text_of(DOCS / "how-to" / "telemetry.md")
COMMAND_LINE = text_of(DOCS / "how-to" / "command-line.md")
SUMMARY = text_of(DOCS / "how-to" / "summary.md")


def rows(text: str, heading: str) -> dict[str, str]:
    """The first two cells of each row below a heading."""
    section = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return dict(re.findall(r"^\| ([^|]+?) \| ([^|]*?) \|", section, re.MULTILINE))


def names(cells: Iterable[str]) -> set[str]:
    """What stands in backticks."""
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def test_the_table_of_errors_has_every_error() -> None:
    every = {name for name, value in vars(smappee_async.errors).items() if _is_error(value)} - {"SmappeeError"}

    assert every - names(rows(SETTINGS, "Errors")) == {"ApiError", "RequestError"}


def _is_error(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, SmappeeError)


@pytest.mark.parametrize("settings", [Limits(), RetryPolicy()], ids=lambda settings: type(settings).__name__)
def test_the_table_of_settings_has_every_setting_with_its_default(settings: attrs.AttrsInstance) -> None:
    said = rows(SETTINGS, "Settings, and why")

    shown = {name: said.get(f"`{type(settings).__name__}.{name}`") for name in attrs.asdict(settings)}

    assert shown == {name: _text(value) for name, value in attrs.asdict(settings).items()}


def _text(value: object) -> str:
    return "none" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def test_the_table_of_settings_has_every_setting_of_the_client() -> None:
    parameters = inspect.signature(SmappeeClient).parameters
    said = rows(SETTINGS, "Settings, and why")

    assert set(parameters) - {"credentials", "limits", "retry"} == {name for name in names(said) if "." not in name}
    assert said["`base_url`"] == f"`{defaults.BASE_URL}`"


def test_the_table_of_options_has_every_option_with_its_default() -> None:
    options = {
        f"`{field.name}`": "none" if field.default is None else f'`"{field.default}"`'
        for field in attrs.fields(SessionQuery)
        if field.name in QueryOptions.__annotations__
    }
    # Of a whole query only: what is asked, and in how many chunks.
    assert {field.name for field in attrs.fields(SessionQuery)} - QueryOptions.__annotations__.keys() == {
        "ranges",
        "at_once",
    }

    said = rows(SETTINGS, "Which sessions, and how")

    assert {name: default for name, default in said.items() if name != "option" and "---" not in name} == options


def test_the_table_of_fields_has_every_field() -> None:
    derived = {name for name, value in vars(ChargingSession).items() if isinstance(value, property)}
    every = {field.name for field in attrs.fields(ChargingSession)} | derived

    assert every - names(rows(SETTINGS, "Fields of a session")) == {
        "key",
        "is_certainly_active",
        "is_certainly_completed",
    }


def test_the_table_of_the_schema_is_the_schema() -> None:
    cells = re.findall(
        r"^\| `(\w+)` \| (.+?) \| (yes|no) \| ?(.*?) \|$", text_of(DOCS / "reference" / "tables.md"), re.MULTILINE
    )

    assert [
        (name, kind, null == "yes", dict(re.findall(r"`(\w+)`: `(\w+)`", metadata)))
        for name, kind, null, metadata in cells
    ] == [
        (
            field.name,
            str(field.type),
            field.nullable,
            {key.decode(): value.decode() for key, value in (field.metadata or {}).items()},
        )
        for field in SCHEMA
    ]


def test_the_tables_of_events_have_every_event() -> None:
    told = names(rows(TELEMETRY, "Pairs"))
    pairs = {f"{operation}_{end}" for operation in get_args(Operation) for end in ("started", "ended")}

    assert told == {*get_args(Operation), *set(get_args(EventKind)) - pairs}


def test_the_table_of_options_of_the_summary_has_every_option_with_its_default() -> None:
    own = [each for each in signature_of("summary").values() if each.name not in _LOGIN]
    defaults_ = {f"--{each.name.strip('_').replace('_', '-')}": each.default for each in own}
    defaults_["--json"] = defaults_.pop("--as-json")
    del defaults_["--parks"]  # it is the argument

    said = {name: default for cell, default in rows(SUMMARY, "Options").items() for name in names([cell])}

    assert set(said) == {"PARK...", *defaults_}
    shown = {name: str(value) for name, value in defaults_.items() if value not in (None, False)}
    assert {name: said[name].strip("`") for name in shown} == shown


def signature_of(command: str) -> Mapping[str, inspect.Parameter]:
    (found,) = [each for each in app.registered_commands if each.name == command]
    assert found.callback is not None
    return inspect.signature(found.callback).parameters


def test_the_table_of_variables_has_every_variable_that_a_worker_reads() -> None:
    read = "".join(
        inspect.getsource(each)
        for each in (smappee_async.distributed.client_from_env, smappee_async.Credentials.from_env)
    )
    page = text_of(DOCS / "how-to" / "beyond-one-machine.md")

    assert names(rows(page, "Workers log in from their environment")) == set(re.findall(r"SMAPPEE_[A-Z_]+", read))


def test_the_table_of_exit_codes_is_that_of_the_command(reader: Path) -> None:
    shown = subprocess.run(["smappee-async", "--help"], capture_output=True, text=True, check=True).stdout
    codes = re.findall(r"(?:: |, )(\d+)\s", " ".join(shown.split()).partition("Exit codes")[2])

    said = rows(COMMAND_LINE, "Exit codes")

    assert [code for code in said if code.isdecimal()] == codes


@pytest.mark.parametrize(
    "package",
    [smappee_async, smappee_async.distributed, smappee_async.report, smappee_async.simulator, smappee_async.testing],
    ids=lambda package: package.__name__,
)
def test_the_reference_has_every_public_name(package: object) -> None:
    reference = "".join(map(text_of, sorted((DOCS / "reference").glob("*.md"))))
    prefix = getattr(package, "__name__", "")

    described = set(re.findall(rf"^\.\. auto\w+:: {re.escape(prefix)}\.(\w+)(?:\(\))?$", reference, re.MULTILINE))

    assert set(getattr(package, "__all__", ())) - {"__version__"} <= described


def test_both_commands_of_the_readme_are_there() -> None:
    commands = [block.text for block in blocks(README) if block.language == "sh"]

    assert [command.rstrip("\n") for command in commands[:2]] == [
        "python3 -m venv .venv && .venv/bin/pip install '.[cli]' && .venv/bin/smappee-async demo",
        "python3 -m venv .venv && .venv/bin/pip install '.[test]' && .venv/bin/pytest",
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text_of(page))
    files = [target for target in targets if "://" not in target and not target.startswith("mailto:")]

    assert [target for target in files if not (page.parent / target).exists()] == []


def test_every_page_is_in_the_table_of_contents() -> None:
    index = text_of(DOCS / "index.md")
    listed = {line for tree in re.findall(r"```\{toctree\}\n(.*?)```", index, re.DOTALL) for line in tree.split()}

    pages = {str(page.relative_to(DOCS).with_suffix("")) for page in PAGES if page.is_relative_to(DOCS)}

    assert pages - listed == {"index"}


def test_the_picture_shows_what_the_demonstration_says_at_its_end() -> None:
    picture = text_of(DOCS / "images" / "demo.svg").replace("&#160;", " ")

    assert "every record agrees" in picture
    assert "lost 0, doubled 0" in picture
