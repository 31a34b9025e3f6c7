"""What the simulated service does where the real one is not documented: one switch for each open question.

Each value of a switch is marked: **[D]** documented by Smappee, **[C]** seen in a public client, **[A]** assumed. A
client should be correct under every combination.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping

ActiveFilter = Literal["strict", "lenient", "ignored"]
ActiveDefault = Literal["completed", "active", "everything"]
Order = Literal["newest_first", "oldest_first", "shuffled"]
SerialNumberType = Literal["number", "text"]
FieldProfile = Literal["documented", "seen", "both"]
OldRefreshToken = Literal["dies", "lives"]
RefreshReuse = Literal["revokes_family", "refused"]
LimitKeeps = Literal["first", "newest", "oldest"]
RangeFilter = Literal["strict", "start_only", "ignored"]
EmptyResponse = Literal["array", "no_content", "empty_body"]


@attrs.frozen(kw_only=True)
class Assumptions:
    """The behaviour of the service where it is open; the defaults follow the documentation as far as it goes."""

    active_filter: ActiveFilter = "strict"
    """What the parameter ``active`` selects.

    ``strict`` [D]: ``false`` selects completed sessions only, ``true`` open ones only. ``lenient`` [C]: ``false``
    selects open sessions as well. ``ignored`` [A]: the parameter has no effect.
    """

    active_default: ActiveDefault = "completed"
    """What a request without ``active`` selects.

    ``completed`` [D]. ``everything`` [C]: two clients send no ``active`` and still see open sessions. ``active`` [A].
    """

    order: Order = "newest_first"
    """Order of the array, which is not documented.

    ``newest_first`` [A]: two clients take the first element as the newest. ``oldest_first`` [A]. ``shuffled`` [A],
    always in the same way.
    """

    serial_number_type: SerialNumberType = "number"
    """JSON type of ``serialNumber``: ``number`` [D] or ``text`` [C]."""

    field_profile: FieldProfile = "both"
    """Which keys a session has.

    ``documented`` [D]: those of the documented example. ``seen`` [C]: those that clients read, such as ``connector``,
    ``energy`` and ``userId``, but not ``range``, ``duration`` or ``csmsTransactionId``. ``both`` [A].
    """

    missing_range_status: Literal[400, 500] = 400
    """Status for a request without ``range``: 400 [A], or 500 [A], which is documented for another call."""

    old_refresh_token: OldRefreshToken = "dies"
    """What a refresh does to the refresh token that was used: it ``dies`` [A], or it ``lives`` on [A]."""

    refresh_reuse: RefreshReuse = "revokes_family"
    """What happens when a dead refresh token is used again.

    ``revokes_family`` [A, as in RFC 9700 section 4.14.2]: every token of the same login ends. ``refused`` [A]: the
    request is refused, and nothing else happens.
    """

    refresh_returns_new_token: bool = True
    """Whether a refresh returns a new refresh token: ``True`` [D]. If ``False`` [A], the old one stays valid."""

    refresh_ends_access_token: bool = False
    """Whether a refresh ends the access token that it replaces, before its time: ``False`` [A] or ``True`` [A]."""

    login_revokes_previous: bool = False
    """Whether a login ends all earlier tokens.

    ``False`` [A]. ``True`` [A]: an issue of a public client suggests one set of tokens for each client and user.
    """

    expires_in_s: int = 36_000
    """Lifetime of an access token, in seconds: 36000 [D]; 86400 [C]; 10800 [D, in an older revision]."""

    session_limit: int | None = None
    """The most sessions in one response; the service leaves out the others without a sign.

    ``None`` [A]: no limit is documented, and none was seen. A number [A]: a client should notice such a limit.
    """

    session_limit_by_park: Mapping[int, int] | None = None
    """The same for single parks, by their service location id; ``session_limit`` holds for the others. [A]"""

    size_limit_bytes: int | None = None
    """The largest body of a response; the service leaves out further sessions without a sign.

    ``None`` [A]: no limit is documented, and none was seen. A number [A].
    """

    limit_keeps: LimitKeeps = "first"
    """Which sessions a limit keeps: the ``first`` in the order served [A], the ``newest`` [A] or the ``oldest`` [A]."""

    requests_per_second: int | None = None
    """The most data calls that are served in any second; the others get status 429 and ``Retry-After: 1``.

    ``None`` [A]: no limit is documented, and none was seen. A number [A]: a client should keep to such a limit.
    """

    range_filter: RangeFilter = "strict"
    """Which part of the parameter ``range`` has an effect.

    ``strict`` [D]: both. ``start_only`` [A]: the end has none. ``ignored`` [A]: the service gives all sessions.
    """

    empty_response: EmptyResponse = "array"
    """The response when no session matches.

    ``array`` [C]: ``[]``. ``no_content`` [C]: status 204, which two clients accept. ``empty_body`` [C]: status 200
    without a body, which one client accepts.
    """

    unknown_park_status: Literal[404, 403] = 404
    """Status for a park or station that the account cannot see: 404 [A] or 403 [A]."""

    sends_date: bool = True
    """Whether responses have a usable ``Date`` header, as most servers do (RFC 9110 section 6.6.1): ``True`` [A]."""

    @classmethod
    def documented(cls) -> Assumptions:
        """The service as it is documented."""
        return cls(field_profile="documented")

    @classmethod
    def seen_in_clients(cls) -> Assumptions:
        """The service as public clients have seen it."""
        return cls(
            active_filter="lenient",
            active_default="everything",
            serial_number_type="text",
            field_profile="seen",
            missing_range_status=500,
            login_revokes_previous=True,
            expires_in_s=86_400,
        )
