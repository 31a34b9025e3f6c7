# Runs where the other clients are, and not where the types are checked.
# mypy: ignore-errors
# pyright: reportMissingImports=false, reportMissingModuleSource=false
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false

"""What each program does with the ways to log in that it has: one runs, and its outcome is printed as JSON."""

from __future__ import annotations

import json
import os
import sys

ORIGIN = os.environ["ORIGIN"]
CLIENT = {"client_id": os.environ["CLIENT_ID"], "client_secret": os.environ["CLIENT_SECRET"]}
USER = {"username": os.environ["SMAPPEE_USER"], "password": os.environ["PASSWORD"]}
#: Nothing listens there: it is only the address that the browser is sent back to.
BACK = "http://localhost:1/back"


def here(url):
    """The simulator's URL in place of Smappee's."""
    return url.replace("https://app1pub.smappee.net", ORIGIN)


def answer_of_the_login_page(url):
    """The URL that the browser is sent back to after a login."""
    import requests  # noqa: PLC0415 - only some programs need it

    return requests.get(url, allow_redirects=False, timeout=10).headers["Location"]


def tell(*ways):
    """Run the way that the command line names; print what it returns, or the error."""
    by_name = {way.__name__: way for way in ways}
    try:
        told = {"value": by_name[sys.argv[1]]()}
    except Exception as error:  # noqa: BLE001 - whatever a foreign client raises is the outcome
        told = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(told))  # noqa: T201
