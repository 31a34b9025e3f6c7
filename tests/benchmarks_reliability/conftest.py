from __future__ import annotations

import sys
from pathlib import Path

# The programs are not installed. Last on the path, so that the installed package stays the one that is tested.
sys.path.append(str(Path(__file__).parents[2]))
