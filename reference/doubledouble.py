"""Double-double arithmetic: numbers carried as an unevaluated sum ``hi + lo`` of two float64 arrays.

Every result is accurate to about 2^-75 relative or better, from ``+ - * /``, ``rint`` and the bits of the exponent alone, so
the digits do not depend on the platform's mathematical library. Only finite arguments are meaningful; callers put special
values in afterwards. Long sums are added up in place: on large arrays new memory takes longer than an addition.

exp and log look up the nearest of 2048 table points, whose leading parts are short enough for products with them to be exact;
what is left is below 2^-11, so its series needs few terms, and plain float64 for all but the first.

Sources: T. J. Dekker, "A floating-point technique for extending the available precision", Numer. Math. 18 (1971);
D. E. Knuth, The Art of Computer Programming, volume 2, section 4.2.2 (two-sum); P. T. P. Tang, "Table-driven
implementation of the exponential function in IEEE floating-point arithmetic", ACM TOMS 15(2) (1989), and "Table-driven
implementation of the logarithm function", ACM TOMS 16(4) (1990).
"""

from collections.abc import Callable
from decimal import Decimal, localcontext
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

TABLE_BITS = 11
TABLE_SIZE = 2**TABLE_BITS
"""Entries of the tables of 2^(j/2048) and of logarithms."""

CHUNK = 8192
"""Elements that a long formula takes at a time: what its temporaries keep in cache."""


class DD(NamedTuple):
    """The number ``hi + lo``, with ``|lo| <= ulp(hi) / 2``."""

    hi: Array
    lo: Array


_ZERO = np.zeros(1)
_ZERO.flags.writeable = False


def exactly(x: Array) -> DD:
    """Return ``x`` itself as a double-double number; its low part is not writeable."""
    return DD(x, np.ndarray(x.shape, np.float64, _ZERO, strides=(0,) * x.ndim))


def quick_two_sum(a: Array, b: Array) -> DD:
    """Return ``a + b`` exactly, for ``|a| >= |b|`` or ``a == 0``."""
    s = a + b
    return DD(s, b - (s - a))


def two_sum(a: Array, b: Array) -> DD:
    """Return ``a + b`` exactly."""
    s = a + b
    t = s - a
    error = a - (s - t)
    error += b - t
    return DD(s, error)


def _split(a: Array) -> tuple[Array, Array]:
    t = 134217729.0 * a  # 2^27 + 1
    hi = t - (t - a)
    return hi, a - hi


def two_product(a: Array, b: Array) -> DD:
    """Return ``a * b`` exactly, for products and factors that neither overflow at 2^996 nor underflow."""
    p = a * b
    ah, al = _split(a)
    bh, bl = _split(b)
    error = ah * bh
    error -= p
    error += ah * bl
    error += al * bh
    error += al * bl
    return DD(p, error)


def add(a: DD, b: DD) -> DD:
    """Return ``a + b`` to 2^-105 of the larger one."""
    s, e = two_sum(a.hi, b.hi)
    e += a.lo + b.lo
    return quick_two_sum(s, e)


def negate(a: DD) -> DD:
    """Return ``-a``."""
    return DD(-a.hi, -a.lo)


def multiply(a: DD, b: DD) -> DD:
    """Return ``a * b``."""
    p, e = two_product(a.hi, b.hi)
    small = a.hi * b.lo
    small += a.lo * b.hi
    small += e
    return quick_two_sum(p, small)


def divide(a: DD, b: DD) -> DD:
    """Return ``a / b`` by two steps of long division."""
    quotient = a.hi / b.hi
    p, e = two_product(quotient, b.hi)
    remainder = ((a.hi - p) - e) + (a.lo - quotient * b.lo)
    return quick_two_sum(quotient, remainder / b.hi)


def scale(a: DD, exponent: int | NDArray[np.integer]) -> DD:
    """Return ``a * 2^exponent``, exact unless it overflows or becomes subnormal."""
    if isinstance(exponent, int) and abs(exponent) <= 1022:
        return DD(a.hi * 2.0**exponent, a.lo * 2.0**exponent)
    powers = np.asarray(exponent, np.int64)
    if powers.min(initial=0) < -1022 or powers.max(initial=0) > 1023:
        return DD(np.ldexp(a.hi, powers), np.ldexp(a.lo, powers))
    power = _power_of_two(powers)
    return DD(a.hi * power, a.lo * power)


def _power_of_two(exponent: NDArray[np.int64]) -> Array:
    """Return ``2^exponent`` by its bits, much faster than `ldexp`; for exponents from -1022 to 1023."""
    return ((exponent + 1023) << 52).view(np.float64)


def multiply_scaled(a: DD, b: DD, exponent: NDArray[np.integer]) -> DD:
    """Return ``a * b * 2^exponent``, for results below 2^960; digits are lost only where the result itself is subnormal."""
    size = np.clip((a.hi.view(np.int64) >> 52) & 0x7FF, 1, 2045) - 1023  # the exponent of a, subnormal ones aside
    return multiply(scale(a, -size), scale(b, size + exponent))


def total(a: DD) -> DD:
    """Return the sum over the last axis, by a pairwise tree; 0 for an empty axis."""
    if a.hi.shape[-1] == 0:
        return exactly(np.zeros(a.hi.shape[:-1]))
    hi, lo = (np.array(np.moveaxis(part, -1, 0), order="C") for part in a)
    n = len(hi)
    while n > 1:
        half = (n + 1) // 2
        first, second = slice(n - half), slice(half, n)
        hi[first], error = two_sum(hi[first], hi[second])
        lo[first] += lo[second] + error
        n = half
    return quick_two_sum(hi[0], lo[0])


def select(condition: NDArray[np.bool_], a: DD, b: DD) -> DD:
    """Return ``a`` where the condition holds and ``b`` elsewhere; one of the two itself where it is nowhere mixed."""
    if condition.shape == a.hi.shape == b.hi.shape:
        if condition.all():
            return a
        if not condition.any():
            return b
    return DD(np.where(condition, a.hi, b.hi), np.where(condition, a.lo, b.lo))


def _by_chunks(function: Callable[..., DD], *arrays: Array) -> DD:
    """Return ``function`` of arrays of one shape, some elements at a time."""
    shape = arrays[0].shape
    if arrays[0].size <= CHUNK:
        return function(*arrays)
    flat = [array.ravel() for array in arrays]
    result = DD(np.empty(flat[0].shape), np.empty(flat[0].shape))
    for start in range(0, flat[0].size, CHUNK):
        chunk = slice(start, start + CHUNK)
        result.hi[chunk], result.lo[chunk] = function(*(array[chunk] for array in flat))
    return DD(result.hi.reshape(shape), result.lo.reshape(shape))


def _parts(x: Decimal, bits: tuple[int, ...]) -> tuple[float, ...]:
    """Split ``x`` into multiples of 2^-bits, one for each of ``bits``, and the float64 nearest to what is left."""
    parts = []
    for bit in bits:
        parts.append(round(x * 2**bit) / 2**bit)
        x -= Decimal(parts[-1])
    return *parts, float(x)


def _table(rows: list[tuple[float, ...]]) -> list[Array]:
    return [np.array(column) for column in zip(*rows, strict=True)]


_SQRT_HALF = int(np.float64(0.5**0.5).view(np.int64)) >> (52 - TABLE_BITS) << (52 - TABLE_BITS)
"""The bits of the smallest mantissa of the table of logarithms: just below the square root of 1/2."""


def _inverses() -> Array:
    """Return a multiple of 2^-25 near 1 / m for the middle m of each interval of mantissas.

    The intervals beside 1 have 1 itself, so that a logarithm near 0 keeps its relative accuracy.
    """
    starts = _SQRT_HALF + (np.arange(TABLE_SIZE) << (52 - TABLE_BITS))
    middle = (starts + (1 << (51 - TABLE_BITS))).view(np.float64)
    return np.where(np.abs(middle - 1) < 2.0**-TABLE_BITS, 1.0, np.rint(2.0**25 / middle) / 2.0**25)


with localcontext() as _context:
    _context.prec = 40
    _LN2 = Decimal(2).ln()
    _ROOT = (_LN2 / TABLE_SIZE).exp()
    _POWER_HI, _POWER_LO = _table([_parts(_ROOT**j, (25,)) for j in range(TABLE_SIZE)])
    _STEP = _parts(_LN2 / TABLE_SIZE, (41, 71))
    _LN2_HI, _LN2_LO = _parts(_LN2, (42,))
    _INVERSE = _inverses()
    _LOG_HI, _LOG_LO = _table([_parts(-Decimal(inverse).ln(), (42,)) for inverse in _INVERSE.tolist()])
_STEPS = float(TABLE_SIZE / _LN2)
_TO_SHORT = 1.5 * 2.0 ** (52 - 38)
"""Added and taken away again it rounds small numbers to multiples of 2^-38."""
_TOP_BITS = np.int64(-1 << 27)


def _short(x: Array) -> Array:
    """Return the first 26 bits of ``x``."""
    return (x.view(np.int64) & _TOP_BITS).view(np.float64)


def exp_scaled(x: DD, exponent: int) -> DD:
    """Return ``exp(x) * 2^exponent``, for ``|x| <= 2800``; the exponent keeps the digits of results below 2^-960."""
    return _by_chunks(lambda hi, lo: _exp_scaled(hi, lo, exponent), x.hi, x.lo)


def _exp_scaled(x: Array, low: Array, exponent: int) -> DD:
    place, partly, rest, lower = _reduce(x, low)
    # r = head + tail, of which head has 26 bits.
    head = ((partly - rest) + _TO_SHORT) - _TO_SHORT
    tail = ((partly - head) - rest) + lower
    r = head + tail
    small = tail + r * r * (0.5 + r * (1 / 6 + r * (1 / 24 + r * (1 / 120))))  # exp(r) - 1 - head
    index = place & (TABLE_SIZE - 1)
    power, power_low = _POWER_HI.take(index), _POWER_LO.take(index)
    s, e = quick_two_sum(power, power * head)
    result = quick_two_sum(s, e + (power * small + (power_low + power_low * (head + small))))
    return scale(result, (place >> TABLE_BITS) + exponent)


def _reduce(x: Array, low: Array) -> tuple[NDArray[np.int64], Array, Array, Array]:
    """Return n and three parts of r with ``x + low = n ln 2 / 2048 + r``, r = first - second + third; the first two exact."""
    steps = np.rint(x * _STEPS)
    return steps.astype(np.int64), x - steps * _STEP[0], steps * _STEP[1], low - steps * _STEP[2]


def expm1(x: DD) -> DD:
    """Return ``exp(x) - 1``, with full relative accuracy near 0, for ``|x| <= 700``."""
    return _by_chunks(_expm1, x.hi, x.lo)


def _expm1(x: Array, low: Array) -> DD:
    place, partly, rest, lower = _reduce(x, low)
    r, e = two_sum(partly, -rest)
    r, e = quick_two_sum(r, e + lower)
    cubic = r * r * (1 / 6 + r * (1 / 24 + r * (1 / 120)))
    reduced = add(DD(r, e), multiply(DD(r, e), quick_two_sum(0.5 * r, cubic + 0.5 * e)))  # exp(r) - 1
    index = place & (TABLE_SIZE - 1)
    power = scale(quick_two_sum(_POWER_HI.take(index), _POWER_LO.take(index)), place >> TABLE_BITS)
    return add(add(power, exactly(np.full_like(x, -1.0))), multiply(power, reduced))


def log1p(x: DD) -> DD:
    """Return ``log(1 + x)`` with full relative accuracy near 0, for ``x > -1``."""
    return _by_chunks(lambda hi, lo: _log_of_sum(*two_sum(np.ones_like(hi), hi), lo), x.hi, x.lo)


def log(x: DD) -> DD:
    """Return ``log(x)`` with full relative accuracy near 1, for positive ``x`` below 2^1022."""
    if (tiny := x.hi < 2.0**-900).any():
        raised = log(select(tiny, scale(x, 200), x))
        shift = DD(np.where(tiny, -200 * _LN2_HI, 0.0), np.where(tiny, -200 * _LN2_LO, 0.0))
        return add(raised, shift)
    return _by_chunks(lambda hi, lo: _log_of_sum(hi, lo, _ZERO), x.hi, x.lo)


def _log_of_sum(x: Array, low: Array, lower: Array) -> DD:
    """Return ``log(x + low + lower)``, each part well below the one before, where x is not 1."""
    place = x.view(np.int64) - _SQRT_HALF
    exponent = place >> 52
    index = (place >> (52 - TABLE_BITS)) & (TABLE_SIZE - 1)
    inverse = _INVERSE.take(index)
    scaled = inverse * _power_of_two(-exponent)
    # z = (x + low + lower) * scaled - 1 = head + middle + tail, of which head and middle have 26 bits or so.
    short = _short(x)
    nearly, rest = quick_two_sum(short * scaled - 1, (x - short) * scaled)
    whole, left = two_sum(nearly, low * scaled)
    head = _short(whole)
    middle, tail = whole - head, left + (rest + lower * scaled)
    below = middle + tail
    z = head + below
    # log(1 + z) = u + middle + small
    square = 0.5 * head * head
    u, small = quick_two_sum(head, -square)
    series = z * z * z * (1 / 3 - z * (1 / 4 - z * (1 / 5 - z * (1 / 6 - z * (1 / 7)))))
    small = small + (series - 0.5 * below * (head + z)) + tail
    k = exponent.astype(np.float64)
    s, e = quick_two_sum(k * _LN2_HI + _LOG_HI.take(index), u)
    s, f = quick_two_sum(s, k * _LN2_LO + _LOG_LO.take(index))
    s, g = quick_two_sum(s, middle)
    return quick_two_sum(s, (e + f) + (g + small))


def high(a: DD) -> Array:
    """Return ``a`` rounded to float64."""
    return a.hi


def each(function: Callable[[Array], Array], a: DD) -> DD:
    """Return the double-double number whose parts are ``function`` of the parts: for indexing and broadcasting."""
    return DD(function(a.hi), function(a.lo))
