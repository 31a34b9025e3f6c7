"""When the last of many parts ends, if some workers take them in order and share one rate of requests. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs


@attrs.frozen
class Work:
    """What a part takes.

    :param requests: how many it needs.
    :param at_most: how many a second it could send if it were alone.
    """

    requests: int
    at_most: float


def last_end_s(parts: Iterable[Work], workers: int, rate: float) -> float:
    """The second in which the last part ends.

    :param rate: requests a second of all workers together; who cannot use its share leaves it to the others.
    """
    waiting = iter(parts)
    left: list[tuple[float, float]] = []  # the requests that are left of each part in work, and how many a second
    now_s = 0.0
    while True:
        while len(left) < workers and (part := next(waiting, None)) is not None:
            left.append((part.requests, part.at_most))
        if not left:
            return now_s
        rates = _shares([at_most for _, at_most in left], rate)
        step_s = min(requests / each for (requests, _), each in zip(left, rates, strict=True))
        now_s += step_s
        after = [(requests - each * step_s, at_most) for (requests, at_most), each in zip(left, rates, strict=True)]
        left = [(requests, at_most) for requests, at_most in after if requests > 1e-6]


def _shares(at_most: Sequence[float], rate: float) -> list[float]:
    """The rate in equal shares, but to none more than it can use."""
    shares = [0.0] * len(at_most)
    remaining = rate
    for rank, number in enumerate(sorted(range(len(at_most)), key=at_most.__getitem__)):
        shares[number] = min(at_most[number], remaining / (len(at_most) - rank))
        remaining -= shares[number]
    return shares
