"""Writes `kernels/polynomials.pxi`: every polynomial and constant of the elementary functions.

Each polynomial is the minimax fit of its function in a given weight, found by Remez's exchange
algorithm (E. W. Cheney, Introduction to Approximation Theory, 1966, ch. 3) on a grid of Chebyshev
points, in 40 digits, its coefficients then rounded to the dtype.

    python src_pyx/minimax.py            # rewrites the file
    python src_pyx/minimax.py --check    # exits 1 if the file is not what this computes
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable
from pathlib import Path

from mpmath import mp, mpf

Function = Callable[[mpf], mpf]

FILE = Path(__file__).parent / "kernels" / "polynomials.pxi"
HEADER = """\
# Written by src_pyx/minimax.py, which says what they are and how they are found. Not to be edited.
#
# Polynomials are evaluated by Estrin's scheme: the chain of dependent operations is short.

cdef inline vreal vconst(double single, double full) noexcept nogil:
    # A constant in the dtype that is being compiled.
    return vset1(<real>(full if FW_F64 else single))


cdef inline vreal pair(vreal x, double c0, double c1) noexcept nogil:
    return vfma(x, vset1(<real>c1), vset1(<real>c0))
"""


def minimax(
    function: Function, weight: Function, low: mpf, high: mpf, degree: int
) -> tuple[list[mpf], mpf]:
    """Coefficients, constant first, that make max |weight (function - polynomial)| least."""
    terms = degree + 2
    count = 12 * terms
    grid = [
        (low + high) / 2 - (high - low) / 2 * mp.cos(mp.pi * (i + 0.5) / count)
        for i in range(count)
    ]
    values, weights = [function(x) for x in grid], [weight(x) for x in grid]
    chosen = [12 * i + 6 for i in range(terms)]
    while True:
        system, wanted = mp.matrix(terms, terms), mp.matrix(terms, 1)
        for row, i in enumerate(chosen):
            for power in range(degree + 1):
                system[row, power] = grid[i] ** power
            system[row, degree + 1] = (-1) ** row / weights[i]
            wanted[row] = values[i]
        *coefficients, level = mp.lu_solve(system, wanted)
        errors = [
            (mp.polyval(coefficients[::-1], x) - y) * w
            for x, y, w in zip(grid, values, weights, strict=True)
        ]
        worst = max(map(abs, errors))
        peaks = alternating_peaks(errors)
        while len(peaks) > terms:
            peaks.pop(0 if abs(errors[peaks[0]]) < abs(errors[peaks[-1]]) else -1)
        if worst < abs(level) * mpf("1.01") or len(peaks) < terms:
            return coefficients, worst
        chosen = peaks


def alternating_peaks(errors: list[mpf]) -> list[int]:
    """Where the error is largest between one change of sign and the next."""
    peaks: list[int] = []
    for i, error in enumerate(errors):
        if peaks and (errors[peaks[-1]] > 0) == (error > 0):
            if abs(error) > abs(errors[peaks[-1]]):
                peaks[-1] = i
        else:
            peaks.append(i)
    return peaks


def single(x: mpf) -> float:
    return struct.unpack("f", struct.pack("f", float(x)))[0]


def literal(x: mpf, f64: bool) -> str:
    return repr(float(x)) if f64 else f"{single(x):.9g}"


def split(x: mpf, bits: int, f64: bool) -> tuple[str, str]:
    """x as the sum of a number of so many bits and a rest."""
    step = mpf(2) ** (mp.floor(mp.log(abs(x), 2)) + 1 - bits)
    high = mp.floor(x / step + 0.5) * step
    return repr(float(high)), literal(x - high, f64)


def estrin(coefficients: list[str], indent: int) -> str:
    if len(coefficients) == 1:
        return f"vset1(<real>{coefficients[0]})"
    if len(coefficients) == 2:
        return f"pair(x, {', '.join(coefficients)})"
    # Three blocks take no longer by Horner's rule, and save a power.
    half = 2
    while 3 * half < len(coefficients):
        half *= 2
    margin = " " * (indent + 5)
    high, low = (estrin(part, indent + 5) for part in (coefficients[half:], coefficients[:half]))
    return f"vfma(x{half},\n{margin}{high},\n{margin}{low})"


def polynomial(
    name: str,
    what: str,
    function: Function,
    weight: Function,
    low: mpf,
    high: mpf,
    degrees: tuple[int, int],
) -> str:
    """The source of one polynomial, of the degree given for float32 and for float64."""
    body, errors = [], []
    for degree, f64 in zip(degrees, (False, True), strict=True):
        coefficients, error = minimax(function, weight, low, high, degree)
        body.append(estrin([literal(c, f64) for c in coefficients], 11 if not f64 else 15))
        errors.append(mp.nstr(error, 2))
    powers, power = ["x2 = x * x"], 2
    while any(f"(x{2 * power}," in text for text in body):
        powers.append(f"x{2 * power} = x{power} * x{power}")
        power *= 2
    return (
        f"cdef inline vreal {name}(vreal x) noexcept nogil:\n"
        f"    # {what}, on [{mp.nstr(low, 5)}, {mp.nstr(high, 5)}];\n"
        f"    # off by {errors[0]} in float32, {errors[1]} in float64.\n"
        f"    cdef vreal {', '.join(powers)}\n"
        f"    if FW_F64:\n        return {body[1]}\n"
        f"    return {body[0]}\n"
    )


def constant(name: str, value: mpf, bits: tuple[int, int] = (0, 0)) -> str:
    """The source of a constant; with `bits`, of its high part of so many bits, and of the rest."""
    if bits == (0, 0):
        parts = {name: (literal(value, False), literal(value, True))}
    else:
        f32, f64 = split(value, bits[0], False), split(value, bits[1], True)
        parts = {f"{name}_high": (f32[0], f64[0]), f"{name}_low": (f32[1], f64[1])}
    return "\n\n".join(
        f"cdef inline vreal {part}() noexcept nogil:\n    return vconst({a}, {b})\n"
        for part, (a, b) in parts.items()
    )


def root_polynomial(
    name: str, what: str, function: Function, guess: float, degrees: tuple[int, int]
) -> str:
    """A function over the distance to its root, so that it keeps its relative accuracy there."""
    root = mp.findroot(function, guess)

    def quotient(w: mpf) -> mpf:
        return function(root + w) / w

    def relative(w: mpf) -> mpf:
        return 1 / quotient(w)

    near = mpf("0.25")
    return (
        constant(f"{name}_root", root, (24, 53))
        + "\n\n"
        + polynomial(f"{name}_near_root", what, quotient, relative, -near, near, degrees)
    )


def source() -> str:
    half_ln4 = mpf("0.694")  # ln(4) / 2 and what the reduction's rounding may add
    largest_z = ((mp.sqrt(2) - 1) / (mp.sqrt(2) + 1)) ** 2
    atanh_tail = (
        "(2 atanh(s) / s - 2) / s^2 of x = s^2",
        lambda x: (2 * mp.atanh(mp.sqrt(x)) / mp.sqrt(x) - 2) / x,
        lambda x: x / 2,
    )
    centre = mpf(4)

    def mills(a: mpf) -> mpf:
        return mp.exp(a * a / 2) * mp.erfc(a / mp.sqrt(2)) / 2

    def scaled_mills(t: mpf) -> mpf:
        a = centre * (1 + t) / (1 - t)
        return mills(a) * (a + centre)

    linear = 2 * mp.sqrt(2 / mp.pi)
    cubic = linear * mpf("0.044715")

    def tanh_gate(a: mpf) -> mpf:
        return 1 + mp.exp(-(linear * a + cubic * a**3)) - a * (linear + 3 * cubic * a**2)

    def mish_slope(a: mpf) -> mpf:
        e = mp.exp(-a)
        return 4 - 4 * a + e * (6 - 4 * a + e * (4 + e))

    return "\n\n".join(
        [
            HEADER,
            constant("log4_e", 1 / mp.log(4)),
            constant("ln4", mp.log(4), (15, 42)),
            constant("ln2", mp.log(2), (15, 42)),
            polynomial(
                "exp_tail", "(e^x - 1 - x) / x^2",
                lambda x: (mp.expm1(x) - x) / x**2, abs, -half_ln4, half_ln4, (5, 11),
            ),
            polynomial("log_tail", *atanh_tail, mpf(0), largest_z, (2, 6)),
            polynomial("log1p_tail", *atanh_tail, mpf(0), mpf(1) / 9, (3, 9)),
            polynomial(
                "erf_tail", "erf(s) / s - 1 of x = s^2",
                lambda x: mp.erf(mp.sqrt(x)) / mp.sqrt(x) - 1, lambda x: mpf(1),
                mpf(0), mpf("0.25"), (4, 8),
            ),
            constant("sqrt_2", mp.sqrt(2)),
            constant("inverse_sqrt_2pi", 1 / mp.sqrt(2 * mp.pi)),
            polynomial(
                "mills_polynomial", "(a + 4) e^(a^2 / 2) Phi(-a) of x = (a - 4) / (a + 4)",
                scaled_mills, lambda t: 1 / scaled_mills(t),
                mpf(-1), (40 - centre) / (40 + centre), (11, 22),
            ),
            root_polynomial(
                "gelu", "(e^(a^2 / 2) Phi(-a) - a / sqrt(2 pi)) / x of a = root + x",
                lambda a: mills(a) - a / mp.sqrt(2 * mp.pi), 0.75, (5, 11),
            ),
            root_polynomial(
                "silu", "(1 + e^-a - a) / x of a = root + x",
                lambda a: 1 + mp.exp(-a) - a, 1.28, (4, 9),
            ),
            polynomial(
                "sine_of_turn", "sin(pi t / 2) / t of x = t^2",
                lambda x: mp.sin(mp.pi * mp.sqrt(x) / 2) / mp.sqrt(x), lambda x: mpf(1),
                mpf(0), mpf("0.25"), (3, 7),
            ),
            polynomial(
                "cosine_of_turn", "cos(pi t / 2) of x = t^2",
                lambda x: mp.cos(mp.pi * mp.sqrt(x) / 2), lambda x: mpf(1),
                mpf(0), mpf("0.25"), (4, 7),
            ),
            constant("gelu_linear", linear, (24, 53)),
            constant("gelu_cubic", cubic, (24, 53)),
            root_polynomial(
                "gelu_tanh", "(1 + e^-v - a v') / x of a = root + x and v = linear a + cubic a^3",
                tanh_gate, 0.75, (5, 11),
            ),
            root_polynomial(
                "mish", "(4 - 4 a + e (6 - 4 a + e (4 + e))) / x of a = root + x and e = e^-a",
                mish_slope, 1.19, (5, 12),
            ),
        ]
    )  # fmt: skip


def main() -> int:
    mp.dps = 40
    text = source()
    if "--check" in sys.argv[1:]:
        return int(FILE.read_text() != text)
    FILE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
