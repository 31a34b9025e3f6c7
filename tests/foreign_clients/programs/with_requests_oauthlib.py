# Runs where the other clients are, and not where the types are checked.
# mypy: ignore-errors
# pyright: reportMissingImports=false, reportMissingModuleSource=false
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false

from __future__ import annotations

from oauthlib.oauth2 import LegacyApplicationClient
from requests_oauthlib import OAuth2Session
from telling import BACK, CLIENT, ORIGIN, USER, answer_of_the_login_page, tell

TOKEN = f"{ORIGIN}/dev/v3/oauth2/token"
LOCATIONS = f"{ORIGIN}/dev/v3/servicelocation"


def _session():
    return OAuth2Session(client=LegacyApplicationClient(CLIENT["client_id"]), auto_refresh_kwargs=CLIENT)


def password():
    session = _session()
    session.fetch_token(TOKEN, include_client_id=True, **CLIENT, **USER)
    return session.get(LOCATIONS).json()


def password_in_its_default_way():
    session = _session()
    session.fetch_token(TOKEN, **CLIENT, **USER)
    return session.get(LOCATIONS).json()


def refresh():
    session = _session()
    session.fetch_token(TOKEN, include_client_id=True, **CLIENT, **USER)
    session.refresh_token(TOKEN)
    session.refresh_token(TOKEN)
    return session.get(LOCATIONS).json()


def code():
    session = OAuth2Session(CLIENT["client_id"], redirect_uri=BACK)
    url, _ = session.authorization_url(f"{ORIGIN}/dev/v1/oauth2/authorize")
    answer = answer_of_the_login_page(url)
    secret = CLIENT["client_secret"]
    session.fetch_token(TOKEN, authorization_response=answer, include_client_id=True, client_secret=secret)
    return session.get(LOCATIONS).json()


tell(password, password_in_its_default_way, refresh, code)
