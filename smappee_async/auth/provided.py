"""Access tokens from a host program that owns the login."""

from __future__ import annotations

from smappee_async.auth.credentials import TokenProvider
from smappee_async.errors import AuthenticationError, without_frames
from smappee_async.protocol.oauth import usable_token
from smappee_async.secret import Secret


class ProvidedTokens:
    """Access tokens from a host program that owns the login.

    The provider is asked before each call, and by several tasks at the same time. It keeps its token in memory and
    renews it once for all of them.
    """

    def __init__(self, provider: TokenProvider) -> None:
        self._provider = provider

    async def access_token(self, rejected: Secret | None = None) -> Secret:
        """The provider's token.

        :raises AuthenticationError: the provider gave no token that can be used, or the one that Smappee had refused.
        """
        interruption: BaseException | None = None
        token: Secret | None = None
        try:
            token = usable_token(await self._provider.access_token(None if rejected is None else rejected.reveal()))
        except Exception:
            raise  # of the host's own code, which may want its frames
        except BaseException as error:  # noqa: BLE001 - a cancellation leaves without the frames that hold tokens
            interruption = error
        if interruption is not None:
            raise without_frames(interruption)
        if token is None:
            raise AuthenticationError(
                "the token provider gave no usable access token",
                advice="A TokenProvider must return the token itself: text without spaces, and without 'Bearer'",
            )
        if token == rejected:
            raise AuthenticationError(
                "the token provider gave the access token again that Smappee had refused",
                advice="A TokenProvider must renew when it is told which token was rejected",
            )
        return token

    async def aclose(self) -> None:
        """Do nothing: the host owns the login."""
