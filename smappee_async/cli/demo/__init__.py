"""``smappee-async demo``: fetch a year of many parks through faults, and compare each record with the ledger."""
