from __future__ import annotations

import json

from .harness import Cloud, Run


def test_the_report_is_a_table_for_people(call: Run) -> None:
    ended = call("doctor")
    assert ended.code == 0
    assert "as assumed" in ended.out
    assert ended.out.endswith("\n19 assumptions\n")
    assert "requests were sent" in ended.err


def test_the_report_is_json_for_an_issue(call: Run) -> None:
    report = json.loads(call("doctor", "--json").out)
    assert report["requests"] <= 30
    assert {finding["verdict"] for finding in report["findings"]} <= {"as assumed", "otherwise", "could not be seen"}


def test_parks_can_be_named(call: Run, cloud: Cloud) -> None:
    report = json.loads(call("doctor", str(cloud.parks[0]), "--days", "60", "--json").out)
    assert report["requests"] < 20


def test_no_park_is_named_in_the_report(call: Run, cloud: Cloud) -> None:
    out = call("doctor", "--json").out
    assert [park for park in cloud.parks if str(park) in out] == []
