"""What the modules of the integration share."""

from datetime import timedelta
from typing import Final

DOMAIN: Final = "smappee_sessions"
#: How often Smappee is asked. No limit is documented; other clients ask as often.
POLL_INTERVAL: Final = timedelta(minutes=5)
#: At the start, sessions are sought this far back: a car may stay connected over a holiday.
LONGEST_SESSION: Final = timedelta(days=14)
#: Later, this far, or to the start of the earliest session that runs.
RECENTLY: Final = timedelta(hours=6)
#: An update ends by then, with the parks that have responded.
UPDATE_DEADLINE: Final = timedelta(seconds=30)
