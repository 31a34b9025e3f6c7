# Runs where the other clients are, and not where the types are checked.
# mypy: ignore-errors
# pyright: reportMissingImports=false, reportMissingModuleSource=false
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false

from __future__ import annotations

import smappy
from smappy import smappy as module
from telling import CLIENT, USER, here, tell

# It has no setting for another address.
module.URLS = {name: here(url) for name, url in module.URLS.items()}


def _logged_in():
    client = smappy.Smappee(**CLIENT)
    client.authenticate(**USER)
    return client


def password():
    return _logged_in().get_service_locations()


def refresh():
    client = _logged_in()
    client.re_authenticate()
    client.re_authenticate()
    return client.get_service_locations()


def info():
    client = _logged_in()
    first = client.get_service_locations()["serviceLocations"][0]["serviceLocationId"]
    return client.get_service_location_info(first)


tell(password, refresh, info)
