"""The ids of parks and stations from a file (``@FILE``) or from standard input (``-``)."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest

from .harness import Cloud, Run, Start

MONTH = ("--month", "2026-10", "--format", "csv")


def parks_in(csv_text: str) -> set[str]:
    return {line.partition(",")[0] for line in csv_text.splitlines()[1:]}


def test_a_file_names_parks_with_blank_lines_and_comments(call: Run, cloud: Cloud, tmp_path: Path) -> None:
    first, second, third = cloud.parks
    file = tmp_path / "parks.txt"
    file.write_text(f"# the depots\n\n{first}\r\n  {second}  # Ghent\n\t\n", encoding="utf-8-sig")
    named = call("sessions", f"@{file}", third, *MONTH)
    assert (named.code, named.err) == (0, "")
    assert parks_in(named.out) == {str(park) for park in cloud.parks}


def test_a_file_in_the_home_directory_can_be_named_with_a_tilde(call: Run, cloud: Cloud, tmp_path: Path) -> None:
    (tmp_path / "parks.txt").write_text(f"{cloud.parks[0]}\n")
    ended = call("sessions", "@~/parks.txt", *MONTH, env={"HOME": str(tmp_path)})
    assert (ended.code, parks_in(ended.out)) == (0, {str(cloud.parks[0])})


def test_a_park_that_is_named_twice_is_read_once(call: Run, cloud: Cloud, tmp_path: Path) -> None:
    file = tmp_path / "parks.txt"
    file.write_text(f"{cloud.parks[0]}\n0{cloud.parks[0]}\n")
    twice = call("sessions", f"@{file}", cloud.parks[0], *MONTH)
    assert twice.out == call("sessions", cloud.parks[0], *MONTH).out


def test_standard_input_names_parks(start: Start, call: Run, cloud: Cloud) -> None:
    with start("sessions", "-", *MONTH, stdin=subprocess.PIPE) as process:
        out, err = process.communicate(f"{cloud.parks[0]}\n# no more\n", timeout=100)
    assert (process.returncode, err) == (0, "")
    assert out == call("sessions", cloud.parks[0], *MONTH).out


def test_a_file_names_stations(call: Run, cloud: Cloud, tmp_path: Path) -> None:
    park_rows = call("sessions", cloud.parks[0], *MONTH).out.splitlines()
    column = park_rows[0].split(",").index("serial_number")
    serials = sorted({row.split(",")[column] for row in park_rows[1:]})
    file = tmp_path / "stations.txt"
    file.write_text("\n".join(serials))
    ended = call("sessions", f"@{file}", "--stations", *MONTH)
    assert ended.code == 0
    assert len(ended.out.splitlines()) == len(park_rows)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            b"1001\n\nDepot\n",
            "line 3: the id of a charging park is a whole number, its service location id, not 'Depot'",
        ),
        (
            b"1001 1002\n",
            "line 1: the id of a charging park is a whole number, its service location id, not '1001 1002'",
        ),
        (b"1001\n0\n", "line 2: "),
        ("1001\n\u0967\u0966\n".encode(), "line 2: "),
        (b"1001\n\x1b[2J\n", "line 2: "),
        (b"# nobody\n\n", "names no charging park"),
        (b"1001\n\xff\xfe\n", "is not text in UTF-8"),
        (b"9" * 5000, "line 1: "),
    ],
)
def test_a_line_that_is_no_id_is_named(call: Run, cloud: Cloud, tmp_path: Path, text: bytes, said: str) -> None:
    file = tmp_path / "parks.txt"
    file.write_bytes(text)
    before = cloud.ask("stats")["hits"]
    ended = call("sessions", f"@{file}", *MONTH)
    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err
    assert "parks.txt" in ended.err
    assert ended.err.count("\n") == 1
    assert "\x1b" not in ended.err
    assert len(ended.err) < 500
    assert cloud.ask("stats")["hits"] == before


def test_a_line_that_is_no_serial_number_is_named(call: Run, tmp_path: Path) -> None:
    file = tmp_path / "stations.txt"
    file.write_text("6100000001\n6/1\n")
    ended = call("sessions", f"@{file}", "--stations", *MONTH)
    assert ended.code == 2
    assert "stations.txt, line 2: " in ended.err
    assert "serial number" in ended.err


@pytest.mark.parametrize(
    ("argument", "said"),
    [("@/nowhere/parks", "@/nowhere/parks cannot be read: No such file"), ("@/", "Is a directory"), ("@", "@FILE")],
)
def test_a_file_that_cannot_be_read_is_one_line(call: Run, argument: str, said: str) -> None:
    ended = call("sessions", argument, *MONTH)
    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err
    assert ended.err.count("\n") == 1


def test_an_empty_standard_input_is_one_line(run: Run) -> None:
    ended = run("sessions", "-", *MONTH)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == "smappee-async: standard input names no charging park. Give one id on each line\n"


def test_a_closed_standard_input_is_one_line(call: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    ended = call("sessions", "-", *MONTH)
    assert ended.code == 2
    assert "standard input is closed" in ended.err


def test_standard_input_can_be_named_once(call: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("1001\n"))
    ended = call("sessions", "-", "-", *MONTH)
    assert ended.code == 2
    assert "'-' can be given once" in ended.err
