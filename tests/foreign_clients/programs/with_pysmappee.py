# Runs where the other clients are, and not where the types are checked.
# mypy: ignore-errors
# pyright: reportMissingImports=false, reportMissingModuleSource=false
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false

from __future__ import annotations

import smappy
from pysmappee import api
from pysmappee.config import config
from smappy import smappy as module
from telling import BACK, CLIENT, USER, answer_of_the_login_page, here, tell

# Neither has a setting for another address.
URLS = config["API_URL"][1] = {name: here(url) for name, url in config["API_URL"][1].items()}
module.URLS = {name: here(url) for name, url in module.URLS.items()}


def _with_token(access_token=None):
    """It has no login with a password, so another client logs in."""
    login = smappy.Smappee(**CLIENT)
    login.authenticate(**USER)
    token = {"access_token": access_token or login.access_token, "refresh_token": login.refresh_token}
    return api.SmappeeApi(**CLIENT, token=token)


def token():
    return _with_token().get_service_locations()


def code_with_the_secret_in_the_form():
    client = api.SmappeeApi(**CLIENT, redirect_uri=BACK)
    url, _ = client.get_authorization_url("state")
    answer = answer_of_the_login_page(url)
    secret = CLIENT["client_secret"]
    client._oauth.fetch_token(
        URLS["token_url"], authorization_response=answer, client_secret=secret, include_client_id=True
    )
    return client.get_service_locations()


def code():
    client = api.SmappeeApi(**CLIENT, redirect_uri=BACK)
    url, _ = client.get_authorization_url("state")
    client.request_token(answer_of_the_login_page(url), None)
    return client.get_service_locations()


def refresh():
    return _with_token("ended").get_service_locations()


def refresh_with_the_missing_attribute():
    client = _with_token("ended")
    client.token_updater = None
    return client.get_service_locations()


tell(token, code_with_the_secret_in_the_form, code, refresh, refresh_with_the_missing_attribute)
