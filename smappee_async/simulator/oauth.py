"""The token endpoint without HTTP: grants, rotation, reuse and revocation, as a state machine."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final
from uuid import UUID

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .assumptions import Assumptions


@attrs.frozen(kw_only=True)
class Account:
    """The credentials that a client must present; the defaults are invented and fit any simulator."""

    client_id: str = "simulated-client"
    client_secret: str = attrs.field(default="simulated-secret", repr=False)
    username: str = attrs.field(default="simulated user", repr=False)
    """Not an e-mail address, as with the service. Its space shows whether a client encodes its forms."""
    password: str = attrs.field(default="simulated&pass=word", repr=False)


@attrs.frozen
class TokenResponse:
    """Status and JSON body of one response of the token endpoint."""

    status: int
    body: Mapping[str, object]


@attrs.define
class _Access:
    family: int
    expires_at_s: float


@attrs.define
class _Refresh:
    family: int
    used: bool = False


@attrs.frozen
class _Code:
    redirect_uri: str
    expires_at_s: float


#: The longest that RFC 6749 section 4.1.2 recommends.
_CODE_LIFE_S: Final = 600.0


class TokenServer:
    """The tokens issued so far, and whether each is valid.

    The time is passed in, as seconds of any steady clock.
    """

    def __init__(self, account: Account, assumptions: Assumptions, *, seed: int = 0) -> None:
        self._account = account
        self._assumptions = assumptions
        self._random = random.Random(seed)
        self._access: dict[str, _Access] = {}
        self._refresh: dict[str, _Refresh] = {}
        self._codes: dict[str, _Code] = {}
        self._families = 0
        self.password_grants = 0
        """Successful logins with user name and password."""
        self.code_grants = 0
        """Successful logins with a code of the login page."""
        self.refresh_grants = 0
        """Successful refreshes."""
        self.refusals = 0
        """Requests that were refused."""
        self.reuse_detections = 0
        """Refresh tokens that were used again after a rotation had ended them."""
        self.issued = 0
        """Access tokens issued."""

    def authorize(self, query: Mapping[str, str], now_s: float) -> str | None:
        """The code that the login page gives to a client, whose user agrees at once; ``None`` if it refuses.

        The page is not documented; what is asked follows RFC 6749 section 4.1.1, as pysmappee and others send it [C].
        """
        if query.get("client_id") != self._account.client_id or query.get("response_type") != "code":
            return None
        self._codes = {code: held for code, held in self._codes.items() if now_s < held.expires_at_s}
        code = self._new_token()
        self._codes[code] = _Code(query.get("redirect_uri", ""), now_s + _CODE_LIFE_S)
        return code

    def grant(self, form: Mapping[str, str], now_s: float) -> TokenResponse:
        """Respond to one request for a token.

        Documented: service.md#get-token and service.md#refresh-token. The bodies of refusals are not
        documented; they follow what clients have logged and RFC 6749 section 5.2.
        """
        account = self._account
        if form.get("client_id") != account.client_id or form.get("client_secret") != account.client_secret:
            return self._refuse(401, "unauthorized_client", "Invalid Credentials")
        match form.get("grant_type"):
            case "password":
                if form.get("username") != account.username or form.get("password") != account.password:
                    return self._refuse(400, "invalid_grant", "Invalid username or password")
                self.password_grants += 1
                return self._login(now_s)
            case "authorization_code":
                code = self._codes.pop(form.get("code", ""), None)
                # RFC 6749 section 4.1.3: the address must be named again, and be the same. pysmappee names it.
                if code is None or now_s >= code.expires_at_s or form.get("redirect_uri") != code.redirect_uri:
                    return self._refuse(400, "invalid_grant", "Invalid authorization code")
                self.code_grants += 1
                return self._login(now_s)
            case "refresh_token":
                return self._rotate(form.get("refresh_token", ""), now_s)
            case None | "":
                return self._refuse(400, "invalid_request", "Missing parameter: grant_type")
            case _:
                return self._refuse(400, "unsupported_grant_type", "Unsupported grant type")

    def accepts(self, access_token: str, now_s: float) -> bool:
        """Whether an access token is valid now."""
        access = self._access.get(access_token)
        return access is not None and now_s < access.expires_at_s

    def revoke_access_tokens(self) -> None:
        """Revoke every access token; refresh tokens stay valid."""
        self._access.clear()

    def expire_access_tokens(self) -> None:
        """Let every access token expire; refresh tokens stay valid."""
        for access in self._access.values():
            access.expires_at_s = float("-inf")

    def revoke_everything(self) -> None:
        """Revoke every token, so that only a login helps."""
        self._access.clear()
        self._refresh.clear()

    def _login(self, now_s: float) -> TokenResponse:
        if self._assumptions.login_revokes_previous:
            self.revoke_everything()
        self._families += 1
        return self._issue(self._families, self._new_refresh_token(self._families), now_s)

    def _rotate(self, refresh_token: str, now_s: float) -> TokenResponse:
        refresh = self._refresh.get(refresh_token)
        if refresh is not None and refresh.used:
            self.reuse_detections += 1
            if self._assumptions.refresh_reuse == "revokes_family":
                self._revoke_family(refresh.family)
        if refresh is None or refresh.used:
            return self._refuse(400, "invalid_grant", "Invalid refresh token")
        self.refresh_grants += 1
        if self._assumptions.refresh_ends_access_token:
            self._drop_access_tokens(refresh.family)
        if not self._assumptions.refresh_returns_new_token:
            return self._issue(refresh.family, None, now_s)
        refresh.used = self._assumptions.old_refresh_token == "dies"
        return self._issue(refresh.family, self._new_refresh_token(refresh.family), now_s)

    def _issue(self, family: int, refresh_token: str | None, now_s: float) -> TokenResponse:
        # Expired tokens are dropped here, so that memory does not grow over many rotations.
        self._access = {token: held for token, held in self._access.items() if now_s < held.expires_at_s}
        access_token = self._new_token()
        self._access[access_token] = _Access(family, now_s + self._assumptions.expires_in_s)
        self.issued += 1
        body: dict[str, object] = {"access_token": access_token, "expires_in": self._assumptions.expires_in_s}
        if refresh_token is not None:
            body["refresh_token"] = refresh_token
        return TokenResponse(200, body)

    def _refuse(self, status: int, error: str, description: str) -> TokenResponse:
        self.refusals += 1
        return TokenResponse(status, {"error": error, "error_description": description})

    def _revoke_family(self, family: int) -> None:
        self._drop_access_tokens(family)
        for refresh in self._refresh.values():
            if refresh.family == family:
                refresh.used = True

    def _drop_access_tokens(self, family: int) -> None:
        self._access = {token: held for token, held in self._access.items() if held.family != family}

    def _new_refresh_token(self, family: int) -> str:
        token = self._new_token()
        self._refresh[token] = _Refresh(family)
        return token

    def _new_token(self) -> str:
        return str(UUID(int=self._random.getrandbits(128), version=4))
