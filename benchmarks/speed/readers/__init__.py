"""From the bytes of a response to records: the client's way, and that of each peer.

The models of the peers are made from one table, :mod:`.fields`.
"""
