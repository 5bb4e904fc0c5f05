"""What chance may do: how far a share that was seen may lie from the one that was asked for."""

from math import exp, lgamma, log

RARE = 5e-7
"""On either side; a right share is taken for a wrong one once in a million runs."""


def bounds(count: int, share: float, rare: float = RARE) -> tuple[int, int]:
    """Return the fewest and the most of `count` independent choices that fall on a share (0 to 1).

    Exact (binomial): fewer than the fewest has a probability below `rare`, more than the most as well.
    """
    if share <= 0 or share >= 1:
        return round(count * share), round(count * share)
    chances = [_chance(count, share, k) for k in range(count + 1)]
    return _tail(chances, rare), count - _tail(chances[::-1], rare)


def _tail(chances: list[float], rare: float) -> int:
    total = 0.0
    for k, chance in enumerate(chances):
        total += chance
        if total >= rare:
            return k
    return len(chances) - 1


def _chance(count: int, share: float, k: int) -> float:
    ways = lgamma(count + 1) - lgamma(k + 1) - lgamma(count - k + 1)
    return exp(ways + k * log(share) + (count - k) * log(1 - share))
