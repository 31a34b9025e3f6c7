"""Programs that measure the client.

* :mod:`benchmarks.speed`: how fast and how light it is, beside its peers.
* :mod:`benchmarks.reliability`: whether it loses anything under faults, and what grows in hours of load.
"""
