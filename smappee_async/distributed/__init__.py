"""Sessions of very many parks, read by many processes: one function for every engine.

::

    from smappee_async.distributed import partition, write_part

    parts = partition(parks, time_range)                                     # once
    written = client.map(write_part, parts, to="s3://lake/sessions")         # Dask; other engines alike

A part is some parks and their whole time range. It becomes one Parquet file, whose name follows from the part: a part
that is written again takes the place of the first, and one that is finished is skipped. So work that died is done
again by running it again.

Workers log in with the variables of their own environment (:func:`client_from_env`); nothing secret is in a part.
"""

from smappee_async.distributed.parts import Part, partition
from smappee_async.distributed.process_client import MakeClient, client_from_env
from smappee_async.distributed.reading import MissingSessions, PartRead, read_part
from smappee_async.distributed.writing import WrittenPart, write_part

__all__ = [
    "MakeClient",
    "MissingSessions",
    "Part",
    "PartRead",
    "WrittenPart",
    "client_from_env",
    "partition",
    "read_part",
    "write_part",
]
