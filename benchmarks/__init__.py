"""How fast and how light the client is, beside its peers and beside what is possible.

``python -m benchmarks`` runs everything, ``python -m benchmarks structuring`` one part; ``--help`` tells the rest. Each
part is a module with a ``run``, which gives the rows of the table; some also have ``counts``: numbers that come out the
same on a busy machine, so that CI can hold them against ``baseline.json``.
"""
