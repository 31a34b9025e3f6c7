"""What the simulated service does where the real one is undocumented: one named switch per open question.

Every switch says how well its default is known: **[D]** documented by Smappee, **[C]** seen in a public client,
**[A]** assumed. A client that is right under every combination is right about the service, whichever it is.
"""

from __future__ import annotations

from typing import Literal

import attrs

ActiveFilter = Literal["strict", "lenient", "ignored"]
ActiveDefault = Literal["completed", "active", "everything"]
Order = Literal["newest_first", "oldest_first", "shuffled"]
SerialNumberType = Literal["number", "text"]
FieldProfile = Literal["documented", "seen", "both"]
OldRefreshToken = Literal["dies", "lives"]
RefreshReuse = Literal["revokes_family", "refused"]
EmptyResponse = Literal["array", "no_content", "empty_body"]


@attrs.frozen(kw_only=True)
class Assumptions:
    """One reading of the service's behaviour; the defaults follow the documentation where it speaks."""

    active_filter: ActiveFilter = "strict"
    """What ``active`` leaves out. ``strict`` [D]: false serves completed sessions only, true open ones only.
    ``lenient`` [C]: false serves the open ones as well. ``ignored`` [A]: the flag changes nothing."""

    active_default: ActiveDefault = "completed"
    """What a request without ``active`` is served: ``completed`` [D], or ``everything`` [C: two clients leave it
    out and still see running sessions], or ``active`` [A]."""

    order: Order = "newest_first"
    """Order of the array. ``newest_first`` [A: two clients take the first element as the newest];
    ``oldest_first`` and ``shuffled`` (always the same way) are equally possible, the order is undocumented."""

    serial_number_type: SerialNumberType = "number"
    """JSON type of ``serialNumber``: ``number`` [D], ``text`` [C]."""

    field_profile: FieldProfile = "both"
    """Which keys a session has: those of the ``documented`` example [D], those ``seen`` by clients [C: connector,
    energy, userId and so on, but no range, duration or csmsTransactionId], or ``both`` [A]."""

    missing_range_status: Literal[400, 500] = 400
    """Response to a request without ``range``: 400 [A], or 500 [D for another call of the same service]."""

    old_refresh_token: OldRefreshToken = "dies"
    """Whether a used refresh token ``dies`` [A] with its rotation or ``lives`` [A] on."""

    refresh_reuse: RefreshReuse = "revokes_family"
    """What a dead refresh token does when used again: ``revokes_family`` [A, RFC 9700 section 4.14.2] ends every
    token that came of the same login, ``refused`` [A] only refuses."""

    refresh_returns_new_token: bool = True
    """Whether a refresh responses with a new refresh token [D]. If not, the old one stays good [A]."""

    refresh_ends_access_token: bool = False
    """Whether a refresh ends the access token it replaces before its time [A, either way]."""

    login_revokes_previous: bool = False
    """Whether a new login ends all earlier tokens [A; an issue suggests one token set per client and user]."""

    expires_in_s: int = 36_000
    """TokenLifetime of an access token in seconds: 36000 [D]; 86400 was seen [C], 10800 stood in an older revision."""

    session_limit: int | None = None
    """A silent limit on the sessions of one response: the first N in the order served. None documented or seen; a
    client should notice one all the same [A]."""

    empty_response: EmptyResponse = "array"
    """How "nothing matches" is said: ``array`` is ``[]`` [C], ``no_content`` is a 204 [C: tolerated by two
    clients], ``empty_body`` is a 200 without a body [C: tolerated by one]."""

    unknown_park_status: Literal[404, 403] = 404
    """Response for a park or station that the account cannot see: 404 or 403 [A]."""

    @classmethod
    def documented(cls) -> Assumptions:
        """The service as its documentation describes it, word for word."""
        return cls(field_profile="documented")

    @classmethod
    def seen_in_clients(cls) -> Assumptions:
        """The service as public clients found it."""
        return cls(
            active_filter="lenient",
            active_default="everything",
            serial_number_type="text",
            field_profile="seen",
            missing_range_status=500,
            login_revokes_previous=True,
            expires_in_s=86_400,
        )
