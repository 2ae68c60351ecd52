"""Double-double arithmetic: numbers carried as an unevaluated sum ``hi + lo`` of two float64 arrays.

Every result is accurate to about 2^-75 relative or better, from ``+ - * /``, ``rint``, ``floor``, ``frexp`` and ``ldexp``;
``np.log1p`` is only the start of a Newton step that squares its error away, so the digits do not depend on the
platform's mathematical library. Only finite arguments are meaningful; callers put special values in afterwards.

Sources: T. J. Dekker, "A floating-point technique for extending the available precision", Numer. Math. 18 (1971);
D. E. Knuth, The Art of Computer Programming, volume 2, section 4.2.2 (two-sum); P. T. P. Tang, "Table-driven
implementation of the exponential function in IEEE floating-point arithmetic", ACM TOMS 15(2) (1989).
"""

from collections.abc import Callable
from decimal import Decimal, localcontext
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

TABLE_SIZE = 512
"""Entries of the table of 2^(j/512): with it the reduced argument of exp stays below 2^-10.5."""


class DD(NamedTuple):
    """The number ``hi + lo``, with ``|lo| <= ulp(hi) / 2``."""

    hi: Array
    lo: Array


def exactly(x: Array) -> DD:
    """Return ``x`` itself as a double-double number."""
    return DD(x, np.zeros_like(x))


def quick_two_sum(a: Array, b: Array) -> DD:
    """Return ``a + b`` exactly, for ``|a| >= |b|`` or ``a == 0``."""
    s = a + b
    return DD(s, b - (s - a))


def two_sum(a: Array, b: Array) -> DD:
    """Return ``a + b`` exactly."""
    s = a + b
    t = s - a
    return DD(s, (a - (s - t)) + (b - t))


def _split(a: Array) -> tuple[Array, Array]:
    t = 134217729.0 * a  # 2^27 + 1
    hi = t - (t - a)
    return hi, a - hi


def two_product(a: Array, b: Array) -> DD:
    """Return ``a * b`` exactly, for products and factors that neither overflow at 2^996 nor underflow."""
    p = a * b
    ah, al = _split(a)
    bh, bl = _split(b)
    return DD(p, ((ah * bh - p) + ah * bl + al * bh) + al * bl)


def add(a: DD, b: DD) -> DD:
    """Return ``a + b``; accurate under cancellation too."""
    s, e = two_sum(a.hi, b.hi)
    t, f = two_sum(a.lo, b.lo)
    s, e = quick_two_sum(s, e + t)
    return quick_two_sum(s, e + f)


def negate(a: DD) -> DD:
    """Return ``-a``."""
    return DD(-a.hi, -a.lo)


def multiply(a: DD, b: DD) -> DD:
    """Return ``a * b``."""
    p, e = two_product(a.hi, b.hi)
    return quick_two_sum(p, e + (a.hi * b.lo + a.lo * b.hi))


def divide(a: DD, b: DD) -> DD:
    """Return ``a / b`` by three steps of long division."""
    q1 = a.hi / b.hi
    r = add(a, negate(multiply(b, exactly(q1))))
    q2 = r.hi / b.hi
    r = add(r, negate(multiply(b, exactly(q2))))
    q, e = quick_two_sum(q1, q2)
    return quick_two_sum(q, e + r.hi / b.hi)


def scale(a: DD, exponent: int | NDArray[np.integer]) -> DD:
    """Return ``a * 2^exponent``, exact unless it overflows or becomes subnormal."""
    return DD(np.ldexp(a.hi, exponent), np.ldexp(a.lo, exponent))


def multiply_scaled(a: DD, b: DD, exponent: NDArray[np.integer]) -> DD:
    """Return ``a * b * 2^exponent``, for results below 2^960; digits are lost only where the result itself is subnormal."""
    _, size = np.frexp(a.hi)
    return multiply(scale(a, -size), scale(b, size + exponent))


def total(a: DD) -> DD:
    """Return the sum over the last axis, by a pairwise tree; 0 for an empty axis."""
    if a.hi.shape[-1] == 0:
        return exactly(np.zeros(a.hi.shape[:-1]))
    while (n := a.hi.shape[-1]) > 1:
        half = n // 2
        first, second = (DD(a.hi[..., part], a.lo[..., part]) for part in (slice(half), slice(half, 2 * half)))
        pairs = add(first, second)
        odd = n % 2 == 1
        a = DD(*(np.concatenate([p, x[..., -1:]], -1) for p, x in zip(pairs, a, strict=True))) if odd else pairs
    return DD(a.hi[..., 0], a.lo[..., 0])


def select(condition: NDArray[np.bool_], a: DD, b: DD) -> DD:
    """Return ``a`` where the condition holds and ``b`` elsewhere."""
    return DD(np.where(condition, a.hi, b.hi), np.where(condition, a.lo, b.lo))


def _parts(x: Decimal, widths: tuple[int, ...]) -> list[float]:
    """Split ``x`` into float64 parts of at most ``widths`` significant bits each."""
    parts = []
    for width in widths:
        mantissa, exponent = np.frexp(float(x))
        parts.append(float(np.ldexp(np.rint(np.ldexp(mantissa, width)), exponent - width)))
        x -= Decimal(parts[-1])
    return parts


with localcontext() as _context:
    _context.prec = 80
    _LN2 = Decimal(2).ln()
    _POWERS = [_parts(Decimal(2) ** (Decimal(j) / TABLE_SIZE), (53, 53)) for j in range(TABLE_SIZE)]
    # 30 bits each in front, so that a multiple below 2^23 of either is exact.
    _STEP = _parts(_LN2 / TABLE_SIZE, (30, 30, 53))
    _LN2_PARTS = _parts(_LN2, (42, 42, 53))
    _INVERSE_FACTORIALS = [_parts(1 / Decimal(int(np.prod(range(1, n + 1)))), (53, 53)) for n in range(9)]
_POWER_HI, _POWER_LO = (np.array(column) for column in zip(*_POWERS, strict=True))
_DD_TERMS = 2  # from r^3 / 6 on the terms weigh less than 2^-23 of the sum: plain float64 keeps 2^-76 of it


def _expm1_reduced(r: DD) -> DD:
    """Return ``exp(r) - 1`` by its Taylor series, for ``|r| <= ln(2) / 1024``."""
    tail = np.zeros_like(r.hi)
    for n in range(8, _DD_TERMS, -1):
        tail = (tail + _INVERSE_FACTORIALS[n][0]) * r.hi
    series = exactly(tail)
    for n in range(_DD_TERMS, 0, -1):
        coefficient = DD(*(np.full_like(r.hi, part) for part in _INVERSE_FACTORIALS[n]))
        series = multiply(add(coefficient, series), r)
    return series


def _reduce(x: DD) -> tuple[DD, Array, Array]:
    """Return ``r, j, k`` with ``x = r + (j / 512 + k) ln 2``."""
    steps = np.rint(x.hi * (TABLE_SIZE / float(_LN2)))
    r = two_sum(x.hi, -steps * _STEP[0])
    r = add(r, two_sum(x.lo, -steps * _STEP[1]))
    r = add(r, two_product(-steps, np.full_like(steps, _STEP[2])))
    k = np.floor(steps / TABLE_SIZE)
    return r, steps - k * TABLE_SIZE, k


def exp_scaled(x: DD, exponent: int) -> DD:
    """Return ``exp(x) * 2^exponent``; the exponent keeps the digits of results below 2^-960."""
    r, j, k = _reduce(x)
    power = DD(_POWER_HI[j.astype(np.intp)], _POWER_LO[j.astype(np.intp)])
    result = add(power, multiply(power, _expm1_reduced(r)))
    shift = k.astype(np.intp) + exponent
    return DD(np.ldexp(result.hi, shift), np.ldexp(result.lo, shift))


def expm1(x: DD) -> DD:
    """Return ``exp(x) - 1``, with full relative accuracy near 0, for ``|x| <= 700``."""
    r, j, k = _reduce(x)
    index, shift = j.astype(np.intp), k.astype(np.intp)
    power = DD(np.ldexp(_POWER_HI[index], shift), np.ldexp(_POWER_LO[index], shift))
    minus_one = add(power, exactly(np.full_like(power.hi, -1.0)))
    return add(minus_one, multiply(power, _expm1_reduced(r)))


def log1p(x: DD) -> DD:
    """Return ``log(1 + x)`` by one Newton step on ``expm1`` from NumPy's float64 value, for ``x > -1``."""
    start = np.log1p(x.hi)
    reached = expm1(exactly(start))
    one_plus = add(exactly(np.ones_like(x.hi)), reached)
    step = divide(add(x, negate(reached)), one_plus)
    # log1p(x) - start = log1p(step) = step - step^2 / 2 + ..., and step is of the order of 2^-53 start.
    second = step.hi * step.hi / 2
    return add(exactly(start), add(step, exactly(-second)))


def log(x: DD) -> DD:
    """Return ``log(x)`` for positive ``x``, with full relative accuracy near 1."""
    mantissa, exponent = np.frexp(x.hi)
    low = mantissa < np.sqrt(0.5)
    exponent = exponent - low
    reduced = DD(np.ldexp(x.hi, -exponent), np.ldexp(x.lo, -exponent))
    fraction = add(reduced, exactly(np.full_like(x.hi, -1.0)))
    steps = exponent.astype(np.float64)
    whole = add(exactly(steps * _LN2_PARTS[0]), exactly(steps * _LN2_PARTS[1]))
    whole = add(whole, two_product(steps, np.full_like(steps, _LN2_PARTS[2])))
    return add(whole, log1p(fraction))


def high(a: DD) -> Array:
    """Return ``a`` rounded to float64."""
    return a.hi


def each(function: Callable[[Array], Array], a: DD) -> DD:
    """Return the double-double number whose parts are ``function`` of the parts: for indexing and broadcasting."""
    return DD(function(a.hi), function(a.lo))
