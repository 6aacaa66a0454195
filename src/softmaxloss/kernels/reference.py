"""The kernel in NumPy alone: used where the extension is missing, and what `cpu` is tested against.

The maths is that of `softmaxloss.formula`, for many rows at once. Everything is computed in float64
and rounded once. Compared with 50-digit arithmetic, losses and gradients are within 1 unit in the
last place for float32 and narrower logits, and within 4 for float64; with coefficients other than
those of one class, a gradient entry is within such units of (Σc)·a_n + c_n. An entry whose
probability is a subnormal float64 (below 2.2e-308) has the fewer digits of that.

Memory: some arrays of BLOCK float64 numbers; of one row where a row is longer.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array, as_floats, is_float, put
from ..labels import ClassIndices, Target
from ..options import Options
from ..rows import Place, blocks, class_last
from ..scores import IGNORED, Scores

Float64 = NDArray[np.float64]

BLOCK = 1 << 13  # numbers, 64 KB: they stay in cache from one operation to the next


def supports(dtype: np.dtype[Any]) -> bool:
    """Whether the kernel reads logits of this dtype: every float that the library reads."""
    return is_float(dtype)


def level() -> str:
    """The name of the only level."""
    return "reference"


def levels() -> list[str]:
    """The names of the levels: there is one."""
    return [level()]


def use_level(name: str) -> None:
    """Accept the only level. Raises ValueError for another."""
    if name != level():
        raise ValueError(f"no instruction-set level {name!r} without the extension; use {level()}")


def direct(*arguments: Any) -> None:
    """See `softmaxloss.kernels.Kernel.direct`. There is no quick way here."""


def direct_score(*arguments: Any) -> None:
    """See `softmaxloss.kernels.Kernel.direct_score`. There is no quick way here."""


def share_threads(parallel: int) -> None:
    """See `softmaxloss.kernels.Kernel.share_threads`. There is one thread here."""


@np.errstate(all="ignore")
def softcap(logits: Array, cap: float, grad: Array | None, out: Array) -> None:
    """See `softmaxloss.kernels.Kernel.softcap`."""
    t = logits.astype(np.float64) / cap
    if grad is None:
        out[...] = cap * np.tanh(t)
    else:
        e = np.exp(-2 * abs(t))
        out[...] = np.where(grad == 0, grad, grad * (4 * e / (1 + e) ** 2))


@np.errstate(all="ignore")
def sum(values: Float64) -> float:
    """See `softmaxloss.kernels.Kernel.sum`.

    >>> sum(np.full(10, 0.1))
    1.0
    """
    total: float = _sum(values[None])[0].item()
    return total


def know_tensors(types: tuple[type, ...], exchange: Any) -> bool:
    """See `softmaxloss.kernels.Kernel.know_tensors`. There is no quick way here."""
    return False


@np.errstate(all="ignore")
def cross_entropy(
    logits: Array,
    target: Target,
    weight: Float64 | None,
    sample_weight: Float64 | None,
    options: Options,
    factor: float | Float64,
    loss: Array,
    grad: Array | None,
) -> None:
    """See `softmaxloss.kernels.Kernel.cross_entropy`."""
    for place, rows in blocks(logits.shape[::2], logits.shape[1], BLOCK):
        z = _read(logits, place)
        softmax = _softmax(z)
        s = 1.0 if sample_weight is None else sample_weight[rows]
        if isinstance(target, ClassIndices) and options.label_smoothing == 0:
            y, counts = _labels(target, rows, z.shape[1])
            counts *= s
            if weight is not None:
                counts *= weight[y]
            values = _loss_of_classes(z, softmax, y, counts)
            entries = None if grad is None else _grad_of_classes(z, softmax, y, counts)
        else:
            c = _coefficients(target, place, rows, weight, options.label_smoothing, z.shape[1])
            c *= np.reshape(s, (-1, 1))
            counts = np.asarray(c.any(axis=1), np.float64)
            values = _loss_of_coefficients(z, softmax, c)
            entries = None if grad is None else _grad_of_coefficients(z, softmax, c)
        # Where nothing counts, all is 0, even if the logits have no softmax or the factor is NaN.
        loss[rows] = np.where(counts == 0, 0, values)
        if grad is not None and entries is not None:
            entries *= factor if isinstance(factor, float) else factor[rows, None]
            entries += 0.0  # no −0
            entries[counts == 0] = 0
            put(class_last(grad)[place], entries)


@np.errstate(all="ignore")
def score(logits: Array, target: ClassIndices, scores: Scores) -> None:
    """See `softmaxloss.kernels.Kernel.score`."""
    for place, rows in blocks(logits.shape[::2], logits.shape[1], BLOCK):
        z = _read(logits, place)
        softmax = _softmax(z)
        k, m, a, _, L = softmax
        y, counts = _labels(target, rows, z.shape[1])
        z_y = z[np.arange(len(y)), y, None]
        undefined = np.isnan(m[:, 0] + counts)
        results = Scores(
            loss=_loss_of_classes(z, softmax, y, counts),
            probability=a[np.arange(len(y)), y],
            predicted=np.where(undefined, -1, k),
            rank=np.where(undefined, 0, 1 + np.count_nonzero(z > z_y, axis=1)),
            entropy=L[:, 0] + _sum(np.where(a == 0, 0, a * (m - z))),
            logsumexp=(m + L)[:, 0],
        )
        for out, values, of_ignored in zip(scores, results, IGNORED, strict=True):
            if values.dtype.kind == "f":
                values[undefined] = np.nan
            values[counts == 0] = of_ignored
            out[rows] = values


class _Softmax(NamedTuple):
    """The numbers of `formula` for each of some rows. NaN in a row without a softmax."""

    k: NDArray[np.int64]  # (rows,): the index of the first largest logit
    m: Float64  # (rows, 1): the largest logit
    a: Float64  # (rows, C)
    S: Float64  # (rows, 1)
    L: Float64  # (rows, 1): log1p(S)


def _softmax(z: Float64) -> _Softmax:
    n = np.arange(len(z))
    k = z.argmax(axis=1)  # which stops at a NaN
    m = z[n, k, None]
    m[~np.isfinite(m)] = np.nan
    e = z - m
    # What rounding z − m loses is up to 400 units in the last place of its exp.
    shadow = e - z
    lost = (z - (e - shadow)) - (m + shadow)
    np.exp(e, out=e)
    e += np.where(e > 0, e * lost, 0)
    others = e.copy()
    others[n, k] = 0
    S = _sum(others)[:, None]
    e /= 1 + S
    return _Softmax(k, m, e, S, np.log1p(S))


def _loss_of_classes(
    z: Float64, softmax: _Softmax, y: NDArray[np.int64], weight: Float64
) -> Float64:
    """w·((m − z_y) + L)."""
    values: Float64 = softmax.m[:, 0] - z[np.arange(len(y)), y] + softmax.L[:, 0]
    return weight * values


def _grad_of_classes(
    z: Float64, softmax: _Softmax, y: NDArray[np.int64], weight: Float64
) -> Float64:
    """w·a_n, and for the true class −w·Σ_{j≠y} a_j."""
    n, (_, m, a, S, _) = np.arange(len(y)), softmax
    rest = np.where(z[n, y] == m[:, 0], S[:, 0] / (1 + S[:, 0]), 1 - a[n, y])
    entries: Float64 = a * weight[:, None]
    entries[n, y] = -weight * rest
    return entries


def _loss_of_coefficients(z: Float64, softmax: _Softmax, c: Float64) -> Float64:
    """Σ c_n·((m − z_n) + L); a term with c_n = 0 is absent, even where it is infinite."""
    return _sum(np.where(c == 0, 0, c * (softmax.m - z + softmax.L)))


def _grad_of_coefficients(z: Float64, softmax: _Softmax, c: Float64) -> Float64:
    """(Σc)·a_n − c_n, written so that nothing cancels: a_n·Σ_{j≠n} c_j − c_n·Σ_{j≠n} a_j."""
    _, m, a, S, _ = softmax
    n, largest = np.arange(len(c)), c.argmax(axis=1)
    others = _sum(c)[:, None] - c  # a difference, but a true sum where c_n is most of the total
    without = c.copy()
    without[n, largest] = 0
    others[n, largest] = _sum(without)
    entries: Float64 = a * others - c * np.where(z == m, S / (1 + S), 1 - a)
    return entries


def _coefficients(
    target: Target,
    place: Place,
    rows: slice,
    weight: Float64 | None,
    label_smoothing: float,
    classes: int,
) -> Float64:
    """c_n = w_n·((1 − ε)·q_n + ε/C) of each row, (rows, C); 0 in rows that are ignored."""
    if isinstance(target, ClassIndices):
        y, counts = _labels(target, rows, classes)
        c = np.zeros((len(y), classes))
        c[np.arange(len(y)), y] = 1
    else:
        c, counts = _by_rows(class_last(target.values)[place]), None
    if label_smoothing != 0:
        c = (1 - label_smoothing) * c + label_smoothing / classes
    if weight is not None:
        c *= weight
    return c if counts is None else c * counts[:, None]


def _labels(target: ClassIndices, rows: slice, classes: int) -> tuple[NDArray[np.int64], Float64]:
    """The true class of each row, and how much it counts: 1; 0 if it is ignored; NaN if it is
    outside of the classes. (Labels come checked, but another thread may change them meanwhile.)"""
    y = target.values[rows].astype(np.int64)
    ignored, outside = y == target.ignore_index, (y < 0) | (y >= classes)
    return np.where(ignored | outside, 0, y), np.where(ignored, 0, np.where(outside, np.nan, 1.0))


def _sum(terms: Float64) -> Float64:
    """The sum of each row of terms ≥ 0, rounded about once.

    The terms are cut at one bit for the whole row: the sum of the upper parts is exact, that of the
    lower parts is too small for its rounding errors to count (S. M. Rump, T. Ogita, S. Oishi,
    "Accurate floating-point summation part I", SIAM J. Sci. Comput. 31, 2008).
    """
    _, exponent = np.frexp(terms.max(axis=1, initial=0, keepdims=True))
    cut = np.ldexp(1.0, exponent + terms.shape[1].bit_length())
    upper = (terms + cut) - cut
    total: Float64 = upper.sum(axis=1) + (terms - upper).sum(axis=1)
    overflow = ~np.isfinite(total)
    if overflow.any():
        total[overflow] = terms[overflow].sum(axis=1)
    return total


def _by_rows(x: Array) -> Float64:
    """A copy of x, (…, C), as float64 (rows, C), contiguous."""
    return np.array(x, np.float64, order="C").reshape(-1, x.shape[-1])


def _read(logits: Array, place: Place) -> Float64:
    return _by_rows(as_floats(class_last(logits)[place]))
