"""How fast and how light the client is, beside its peers and beside what is possible.

``python -m benchmarks.speed`` runs everything, ``python -m benchmarks.speed structuring`` runs one part; see
``--help`` for the rest. Each part is a module with a function ``run``, which returns the rows of the table. Some parts
also have ``counts``: numbers that come out the same on a busy machine, so that CI can compare them with
``baseline.json``.
"""
