"""Print the polynomials of the CPU kernel (exp.h, log1p.h) and their errors.

Each polynomial minimises the largest relative error (the Remez exchange algorithm in 60-digit
arithmetic); its coefficients are then rounded to float or double.

    python tools/polynomials.py
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from mpmath import mp, mpf

mp.dps = 60
Function = Callable[[mpf], mpf]


def exp_q(r: mpf) -> mpf:
    """q in exp(r) = 1 + r + r²·q(r), from its series: the closed form cancels near 0."""
    return mp.fsum(r**k / mp.factorial(k + 2) for k in range(40))


def log1p_p(z: mpf) -> mpf:
    """P in log((1 + s)/(1 − s)) = 2s + s·z·P(z), z = s², from its series."""
    return mp.fsum(2 * z**k / (2 * k + 3) for k in range(60))


def minimax(degree: int, wanted: Function, weight: Function, low: mpf, high: mpf) -> list[mpf]:
    """Coefficients of the polynomial p that minimises max |weight·(p − wanted)| on [low, high]."""
    count = degree + 2  # the best polynomial's error has this many extremes, all of one size
    middle, half = (low + high) / 2, (high - low) / 2
    points = [middle - half * mp.cos(mp.pi * (i + mpf("0.4")) / count) for i in range(count)]
    grid = grid_of(low, high)
    target = {x: wanted(x) for x in grid}
    coefficients: list[mpf] = []
    for _ in range(12):
        rows = [
            [weight(x) * x**p for p in range(degree + 1)] + [(-1) ** i]
            for i, x in enumerate(points)
        ]
        right = [weight(x) * wanted(x) for x in points]
        *coefficients, _level = mp.lu_solve(mp.matrix(rows), mp.matrix(right))
        extremes: list[tuple[mpf, mpf]] = []  # the largest error in each run of one sign
        for x in grid:
            error = weight(x) * (mp.polyval(coefficients[::-1], x) - target[x])
            if extremes and mp.sign(error) == mp.sign(extremes[-1][1]):
                extremes[-1] = max(extremes[-1], (x, error), key=lambda pair: abs(pair[1]))
            else:
                extremes.append((x, error))
        while len(extremes) > count:
            extremes.pop(0 if abs(extremes[0][1]) < abs(extremes[-1][1]) else -1)
        if len(extremes) < count:
            break
        points = [x for x, _ in extremes]
    return coefficients


def grid_of(low: mpf, high: mpf) -> list[mpf]:
    return [low + (high - low) * mpf(i) / 1001 for i in range(1002)]


def report(
    name: str, degree: int, kind: type, wanted: Function, weight: Function, low: mpf, high: mpf
) -> None:
    coefficients = [float(kind(float(c))) for c in minimax(degree, wanted, weight, low, high)]
    print(f"{name}, lowest power first:")
    print("\n".join(f"    {c.hex()}" for c in coefficients))
    exact = [mpf(c) for c in coefficients][::-1]
    worst = max(abs(weight(x) * (mp.polyval(exact, x) - wanted(x))) for x in grid_of(low, high))
    print(f"    largest relative error 2^{float(mp.log(worst, 2)):.1f}\n")


def main() -> None:
    # |r| is at most a little more than ln 2 / 2, since the kernel rounds r·log₂e with a rounded
    # log₂e. An error e of q is a relative error e·r²/exp(r) of exp(r).
    r = mpf("0.3475")
    for name, degree, kind in (("float", 4, np.float32), ("double", 9, np.float64)):
        report(f"exp, {name}", degree, kind, exp_q, lambda r: r * r / mp.exp(r), -r, r)
    # 1 + f lies in [√½, √2], so |s| = |f/(2 + f)| ≤ 0.1716; the logarithm is about 2s.
    z = mpf("0.1716") ** 2
    report("log1p, double", 6, np.float64, log1p_p, lambda z: z / 2, mpf(0), z)


if __name__ == "__main__":
    main()
