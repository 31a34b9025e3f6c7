"""What is told to the HTTP library; what it makes of it is in ``tests/reliability/test_behaviour_pins.py``."""

from __future__ import annotations

import pytest
from yarl import URL

from smappee_async.transport import http


@pytest.mark.parametrize(
    "text",
    [
        "https://app1pub.smappee.net/dev/v3/chargingparks/12345/sessions?active=false&range=1,2",
        "http://127.0.0.1:8080/dev/v3/servicelocation",
        "https://[::1]:8443/oauth2/token?a=%2C&b=?",
        "http://localhost",
    ],
)
def test_a_url_that_is_built_of_its_parts_is_the_one_that_would_be_parsed(text: str) -> None:
    built, parsed = http._url(text), URL(text, encoded=True)
    assert built == parsed
    assert str(built) == text
    assert (built.host, built.port, built.raw_path_qs) == (parsed.host, parsed.port, parsed.raw_path_qs)
