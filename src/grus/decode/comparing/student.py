"""Student's t: the probability inside an interval, and the quantile, for any number of degrees of freedom."""

import math

_TINY, _ENOUGH, _ROUNDS = 1e-300, 1e-14, 400


def inside(t: float, df: float) -> float:
    """P(|T| <= t) = 1 - I_{df / (df + t^2)}(df / 2, 1 / 2) for t >= 0, where I is the regularised incomplete beta."""
    if math.isinf(df):
        return math.erf(t / math.sqrt(2.0))
    return 1.0 - _incomplete_beta(df / (df + t * t), df / 2.0, 0.5)


def quantile(level: float, df: float) -> float:
    """The t with P(|T| <= t) = ``level``, a share between 0 and 1, found by halving.

    >>> [round(quantile(0.95, df), 3) for df in (2, 4, 10, float("inf"))]
    [4.303, 2.776, 2.228, 1.96]
    """
    low, high = 0.0, 1.0
    while inside(high, df) < level:
        low, high = high, 2.0 * high
    for _ in range(48):  # to the last bits of a float
        middle = (low + high) / 2.0
        low, high = (middle, high) if inside(middle, df) < level else (low, middle)
    return (low + high) / 2.0


def _incomplete_beta(x: float, a: float, b: float) -> float:
    """I_x(a, b) by its continued fraction (DLMF 8.17.22), evaluated by Lentz's method."""
    if not 0.0 < x < 1.0:
        return min(max(x, 0.0), 1.0)
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    if x > (a + 1.0) / (a + b + 2.0):  # where the fraction converges slowly, by symmetry
        return 1.0 - front * _fraction(1.0 - x, b, a) / b
    return front * _fraction(x, a, b) / a


def _fraction(x: float, a: float, b: float) -> float:
    value = d = 1.0 / _away(1.0 - (a + b) * x / (a + 1.0))
    c = 1.0
    for m in range(1, _ROUNDS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1.0 / _away(1.0 + term * d)
            c = _away(1.0 + term / c)
            value *= c * d
        if abs(c * d - 1.0) < _ENOUGH:
            break
    return value


def _away(value: float) -> float:
    """The value, or what may be divided by in its place."""
    return value if abs(value) > _TINY else _TINY
