"""What a check found."""

from __future__ import annotations

from typing import Literal

import attrs

Verdict = Literal["as assumed", "otherwise", "could not be seen"]


@attrs.frozen(kw_only=True)
class Finding:
    """The result of one check.

    :param name: a short name; where the simulator has a switch for it, the name of the switch.
    :param assumption: what is assumed, in one sentence.
    :param seen: what the service did; counts and names of keys only.
    :param consequence: what the client does about it, if it is otherwise.
    """

    name: str
    assumption: str
    verdict: Verdict
    seen: str
    consequence: str


@attrs.frozen
class DoctorReport:
    """All findings about a service.

    :param requests: how many requests were sent.
    """

    findings: tuple[Finding, ...]
    requests: int

    def to_dict(self) -> dict[str, object]:
        """Plain JSON, for an issue."""
        return {"requests": self.requests, "findings": [attrs.asdict(finding) for finding in self.findings]}
