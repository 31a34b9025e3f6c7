"""A simulated Smappee service: the API of charging sessions for a world of parks, on a loopback socket, with faults.

It shares no code with the client, so that it can judge the client::

    async with Simulator(World.demo(seed=1)) as sim:
        ...  # point a client at sim.base_url, with the credentials of sim.account
        assert sim.ledger.digest_of(received) == sim.ledger.digest(park, start_ms, end_ms)
"""

from .assumptions import Assumptions
from .changes import Changes, Version
from .clock import SimulatedClock
from .faults import Fault, FaultKind
from .ledger import Ledger
from .oauth import Account, TokenServer
from .parks import Park
from .requestlog import RequestLog
from .server import Simulator
from .sessions import SimulatedSession
from .world import World

__all__ = [
    "Account",
    "Assumptions",
    "Changes",
    "Fault",
    "FaultKind",
    "Ledger",
    "Park",
    "RequestLog",
    "SimulatedClock",
    "SimulatedSession",
    "Simulator",
    "TokenServer",
    "Version",
    "World",
]
