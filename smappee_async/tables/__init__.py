"""Sessions as columns: one list serves databases, files and the command."""
