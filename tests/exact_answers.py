"""The numbers that each answer may quote, from the logits alone, with 50 digits.

Written from the definitions. An answer may leave out what float64 cannot hold, but it has no number
that is not here.
"""

from __future__ import annotations

from typing import Any

import mpmath
from mpmath import exp, log, mpf

STEPS = (10, 100, 1000)


def numbers_of(z: list[float], y: int, step: float, path: list[int]) -> dict[str, list[Any]]:
    """For each question the numbers that its answer may quote; path: the steps of descent told."""
    with mpmath.workdps(50):
        return _numbers([mpf(x) for x in z], y, mpf(step), path)


def softmax(z: list[Any]) -> list[Any]:
    total = mpmath.fsum(exp(x - max(z)) for x in z)
    return [exp(x - max(z)) / total for x in z]


def _numbers(z: list[Any], y: int, step: Any, path: list[int]) -> dict[str, list[Any]]:
    C = len(z)
    a = softmax(z)
    J = [-log(p) for p in a]
    slope = [p - (n == y) for n, p in enumerate(a)]
    after = [x - step * s for x, s in zip(z, slope, strict=True)]
    a_after = softmax(after)
    r = max((n for n in range(C) if n != y), key=lambda n: z[n])
    p = max(range(C), key=lambda n: z[n])
    walked = {0: z}
    now = z
    for taken in range(1, max(path, default=0) + 1):
        now = [
            x - step * (q - (n == y))
            for n, (x, q) in enumerate(zip(now, softmax(now), strict=True))
        ]
        if taken in path or taken in STEPS:
            walked[taken] = now
    told = [softmax(state) for state in walked.values()]
    along_y = [q[y] for q in told]
    entropy = -mpmath.fsum(q * log(q) for q in a)
    eps = mpf(0.1)
    target = [(1 - eps) * (n == y) + eps / C for n in range(C)]
    wrong = softmax([-x for x in z])
    jacobian = [a[y] * ((n == y) - a[n]) for n in range(C)]
    warm = softmax([x / 2 for x in z])
    return {
        "which-is-raised": [a[y], slope[y], z[y], after[y], z[r], after[r]],
        "gradient": [a[y], slope[y], mpf("0.01"), slope[y] / 100],
        "others-learn": [a[r], z[r], after[r]],
        "derivative-by-a": [a[y], -1 / a[y], jacobian[r], a[r]],
        "gradient-sign": [a[y], slope[y], z[y], after[y]],
        "derivatives-sum": [slope[y], -slope[y], 0],
        "others-fall": [*z, *after, *a, *a_after, *(q for state in told for q in state)],
        "step-size": [
            z[y], after[y], a[y], a_after[y], J[y] + log(a_after[y]),
            step * mpmath.fsum(s**2 for s in slope), *along_y, J[y],
        ],
        "weights-not-outputs": [-step * slope[y], -4 * step * slope[y]],
        "reach-one": [*along_y, -slope[y]],
        "jacobian": [*jacobian, -1 / a[y]],
        "second-derivative": [a[y], 1 - a[y], jacobian[y], jacobian[r]],
        "cross-entropy-loss": [a[y], J[y]],
        "only-true-class": [a[y], 1 - a[y], J[y]],
        "good-loss": [J[y], log(C), a[y], a[p]],
        "range-of-loss": [a[y], J[y], exp(-1)],
        "why-log": [a[y], J[y], J[y] / log(2), J[y] / log(10)],
        "nat": [J[y], J[y] / log(2)],
        "squared-error": [
            slope[y],
            2 * mpmath.fsum(slope[n] * a[n] * ((n == y) - a[y]) for n in range(C)),
        ],
        "mean-or-sum": [J[y], J[y] / 32, -slope[y], -slope[y] / 32],
        "negative-log-likelihood": [a[y], -J[y], J[y]],
        "entropy-and-kl": [J[y], entropy, log(C)],
        "perplexity": [J[y], exp(J[y])],
        "what-is-softmax": [exp(z[y] - max(z)), exp(z[y] - max(z)) / a[y], a[y], max(z)],
        "logits": [z[y] - z[r], exp(z[y] - z[r]), -J[y]],
        "why-exp": [min(z), max(z), exp(min(z) - max(z))],
        "exp-minus-z": [wrong[y], a[y]],
        "always-positive": [*a, *z, *after],
        "order": [max(z), a[p]],
        "softmax-or-sigmoid": [mpmath.fsum(1 / (1 + exp(-x)) for x in z)],
        "two-classes": [z[y] - z[r], 1 / (1 + exp(z[r] - z[y]))],
        "temperature": [a[p], warm[p], J[y], -log(warm[y])],
        "zero-or-one-based": [*J],
        "index-or-one-hot": [J[y]],
        "several-labels": [J[y] + J[r], (J[y] + J[r]) / 2],
        "label-out-of-range": [J[-1]],
        "ignore-index": [J[y], J[y] / 2],
        "softmax-twice": [J[y], -log(softmax(a)[y]), log(1 + (C - 1) / mpmath.e), log(C)],
        "loss-and-accuracy": [J[y], -log(softmax([2 * x for x in z])[y])],
        "class-weights": [J[y], 5 * J[y], 5 * slope[y]],
        "label-smoothing": [
            target[y], target[r],
            -mpmath.fsum(q * log(q) for q in target),
            mpmath.fsum(q * loss for q, loss in zip(target, J, strict=True)),
        ],
        "same-as-frameworks": [J[y], mpf("36.0437")],
        "subtract-max": [max(z), exp(min(z) - max(z)), exp(max(z)), a[y]],
        "nan": [J[y], max(z)],
        "minus-infinity": [z[y], J[y]],
    }  # fmt: skip
