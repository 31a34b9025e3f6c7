"""``smappee-async demo``: a year of many parks, over real HTTP with faults in the way, judged to the last record."""
