# Runs where the other clients are, and not where the types are checked.
# mypy: ignore-errors
# pyright: reportMissingImports=false, reportMissingModuleSource=false
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false

from __future__ import annotations

from authlib.integrations.requests_client import OAuth2Session
from telling import BACK, CLIENT, ORIGIN, USER, answer_of_the_login_page, tell

TOKEN = f"{ORIGIN}/dev/v3/oauth2/token"
LOCATIONS = f"{ORIGIN}/dev/v3/servicelocation"


def _session():
    return OAuth2Session(**CLIENT, token_endpoint_auth_method="client_secret_post", token_endpoint=TOKEN)


def password():
    session = _session()
    session.fetch_token(TOKEN, **USER)
    return session.get(LOCATIONS).json()


def password_in_its_default_way():
    session = OAuth2Session(**CLIENT)
    session.fetch_token(TOKEN, **USER)
    return session.get(LOCATIONS).json()


def refresh():
    session = _session()
    token = session.fetch_token(TOKEN, **USER)
    session.token = {**token, "expires_at": 1}  # it renews such a token by itself
    session.get(LOCATIONS)
    session.refresh_token(TOKEN)
    return session.get(LOCATIONS).json()


def code():
    session = OAuth2Session(**CLIENT, token_endpoint_auth_method="client_secret_post", redirect_uri=BACK)
    url, _ = session.create_authorization_url(f"{ORIGIN}/dev/v1/oauth2/authorize")
    session.fetch_token(TOKEN, authorization_response=answer_of_the_login_page(url))
    return session.get(LOCATIONS).json()


tell(password, password_in_its_default_way, refresh, code)
