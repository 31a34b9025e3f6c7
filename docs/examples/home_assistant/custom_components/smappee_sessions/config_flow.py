"""Log in, and log in again: the password is used once and not kept."""

from collections.abc import Mapping
from typing import Any

import voluptuous as vol
from homeassistant.config_entries import ConfigFlow, ConfigFlowResult
from homeassistant.const import (
    CONF_CLIENT_ID,
    CONF_CLIENT_SECRET,
    CONF_PASSWORD,
    CONF_USERNAME,
)
from homeassistant.helpers.aiohttp_client import async_get_clientsession
from homeassistant.helpers.selector import (
    TextSelector,
    TextSelectorConfig,
    TextSelectorType,
)
from smappee_async import AuthenticationError, SmappeeError

from .client import account_of, log_in
from .const import DOMAIN

FILLED = vol.All(str, vol.Length(min=1))
SECRET = TextSelector(TextSelectorConfig(type=TextSelectorType.PASSWORD))
LOGIN = vol.Schema(
    {vol.Required(CONF_USERNAME): TextSelector(), vol.Required(CONF_PASSWORD): SECRET}
)
ACCOUNT = vol.Schema(
    {vol.Required(CONF_CLIENT_ID): TextSelector(), vol.Required(CONF_CLIENT_SECRET): SECRET}
).extend(LOGIN.schema)


class SmappeeConfigFlow(ConfigFlow, domain=DOMAIN):
    """Makes a config entry for an account, and renews its login."""

    VERSION = 1

    async def async_step_user(
        self, user_input: dict[str, str] | None = None
    ) -> ConfigFlowResult:
        """Ask for the account."""
        errors: dict[str, str] = {}
        if user_input is not None:
            await self.async_set_unique_id(account_of(user_input))
            self._abort_if_unique_id_configured()
            if kept := await self._log_in(user_input, errors):
                # Home Assistant logs the title, so it is not the user name.
                return self.async_create_entry(title="Smappee", data=kept)
        return self.async_show_form(step_id="user", data_schema=ACCOUNT, errors=errors)

    async def async_step_reauth(self, entry_data: Mapping[str, Any]) -> ConfigFlowResult:
        """Home Assistant comes here after a ``ConfigEntryAuthFailed``."""
        return await self.async_step_reauth_confirm()

    async def async_step_reauth_confirm(
        self, user_input: dict[str, str] | None = None
    ) -> ConfigFlowResult:
        """Ask for the login of the same account."""
        errors: dict[str, str] = {}
        if user_input is not None:
            entry = self._get_reauth_entry()
            known = {
                name: entry.data[name] for name in (CONF_CLIENT_ID, CONF_CLIENT_SECRET)
            }
            answers = known | user_input
            await self.async_set_unique_id(account_of(answers))
            self._abort_if_unique_id_mismatch(reason="wrong_account")
            if kept := await self._log_in(answers, errors):
                return self.async_update_reload_and_abort(entry, data=kept)
        return self.async_show_form(
            step_id="reauth_confirm", data_schema=LOGIN, errors=errors
        )

    async def _log_in(
        self, answers: Mapping[str, str], errors: dict[str, str]
    ) -> dict[str, Any] | None:
        try:
            return await log_in(async_get_clientsession(self.hass), answers)
        except AuthenticationError:
            errors["base"] = "invalid_auth"
        except SmappeeError:
            errors["base"] = "cannot_connect"
        return None
