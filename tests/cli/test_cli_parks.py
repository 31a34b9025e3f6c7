from __future__ import annotations

import json

from .harness import Cloud, Run


def test_parks_come_with_zone_and_currency(call: Run, cloud: Cloud) -> None:
    ended = call("parks", "--format", "jsonl")
    parks = [json.loads(line) for line in ended.out.splitlines()]
    assert (ended.code, ended.err) == (0, "")
    assert [park["service_location_id"] for park in parks] == list(cloud.parks)
    assert parks[0] == {
        "service_location_id": cloud.parks[0],
        "name": f"Hub {cloud.parks[0]}",
        "timezone": "Europe/Brussels",
        "currency": "EUR",
    }


def test_parks_as_csv_have_a_header(call: Run, cloud: Cloud) -> None:
    header, *lines = call("parks", "--format", "csv").out.splitlines()
    assert header == "service_location_id,name,timezone,currency"
    assert len(lines) == len(cloud.parks)


def test_parks_as_a_table_end_with_their_number(call: Run) -> None:
    assert call("parks").out.endswith("\n3 parks\n")


def test_a_park_without_details_is_listed_all_the_same(call: Run, cloud: Cloud) -> None:
    cloud.add_fault("status", status=403, route="info", service_location_id=cloud.parks[1])
    ended = call("parks", "--format", "csv")
    assert ended.code == 3
    assert f"{cloud.parks[1]},Home {cloud.parks[1]},," in ended.out
    assert f"missing: details of {cloud.parks[1]}" in ended.err


def test_what_concerns_the_account_ends_it_at_once(call: Run, cloud: Cloud) -> None:
    cloud.add_fault("unauthorized")
    ended = call("parks")
    assert ended.code == 4
    assert ended.err.count("\n") == 1
