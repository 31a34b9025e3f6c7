"""Tokens: who logs in, when tokens are renewed, and where they are stored.

The modules import only in this order, each from those before it::

    credentials, tokens, lifetime   values
    stores                          where a pair of tokens is stored
    endpoint                        one call to the token endpoint
    current                         the token that this process uses
    refusals                        what Smappee refused, so that it is not asked the same again
    known                           the pairs that this process knows, where a store lost its record
    saving                          a new pair goes to the store, and is not lost if the store fails
    renewal                         one renewal at a time among processes, under the store's lock
    manager                         one renewal at a time in a process, for all tasks that wait
    provided                        tokens from a host program that owns the login
"""
