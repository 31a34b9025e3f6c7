"""What the client loses under faults, and what grows in long runs. The goal is nothing, and nothing.

Each program runs by its name: ``python -m benchmarks.reliability.loss_account``, ``token_race`` and ``soak``. The
service is a :class:`smappee_async.simulator.Simulator` in a process of its own (:mod:`.service`). What arrives is
compared with the simulator's ledger (:mod:`.comparison`).
"""
