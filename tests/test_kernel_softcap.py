"""`Kernel.softcap` of every kernel and level, against 50-digit arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.kernel_rows import as_before, bits
from tests.test_kernels import LEVELS, kernel_named
from truth.high_precision import ulps

import softmaxloss
from softmaxloss.kernels import Kernel

__all__ = ["as_before"]

mpmath = pytest.importorskip("mpmath")
mp = mpmath.mp

Array = NDArray[Any]
REAL = ["float32", "float64"]
CAPS = [30.0, 0.1, 1e-30, 1e30]


def kernel_of(level: str) -> Kernel:
    name, level = level.split()
    kernel = kernel_named(name)
    kernel.use_level(level)
    return kernel


def capped(kernel: Kernel, z: Array, cap: float, grad: Array | None = None) -> Array:
    out = np.empty_like(z)
    kernel.softcap(z, cap, grad, out)
    return out


def numbers(dtype: str, cap: float) -> Array:
    """Of both signs: near 0, about the cap, and where the derivative is subnormal, then 0."""
    rng = np.random.default_rng(0)
    t = np.concatenate([10.0 ** rng.uniform(-20, 2.2, 300), rng.uniform(0, 4, 300), [0.0, 400.0]])
    z = (cap * np.concatenate([t, -t])).astype(dtype)
    return z[np.isfinite(z) & ((z == 0) | (abs(z) > 1e-30))]


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("cap", CAPS)
@pytest.mark.parametrize("level", LEVELS)
def test_every_entry(level: str, cap: float, dtype: str) -> None:
    """z/s is rounded, half a unit: in exp(−2·|z/s|) that is |z/s| units."""
    kernel, z = kernel_of(level), numbers(dtype, cap)
    s = mp.mpf(float(np.dtype(dtype).type(cap)))
    with mp.workdps(50):
        u = [s * mp.tanh(mp.mpf(float(x)) / s) for x in z]
        slope = [3 * mp.sech(mp.mpf(float(x)) / s) ** 2 for x in z]
    assert ulps(capped(kernel, z, cap), u, dtype).max() <= 4
    off = ulps(capped(kernel, z, cap, np.full_like(z, 3)), slope, dtype)
    assert (off <= 4 + 2 * abs(z / np.dtype(dtype).type(cap))).all()


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("level", LEVELS)
def test_infinities_and_nan(level: str, dtype: str) -> None:
    kernel = kernel_of(level)
    z = np.array([np.inf, -np.inf, np.nan, np.nan, 1.0], dtype)
    np.testing.assert_array_equal(capped(kernel, z, 2.0)[:3], [2, -2, np.nan])
    grad = np.array([5, 5, 5, 0, np.nan], dtype)
    np.testing.assert_array_equal(capped(kernel, z, 2.0, grad), [0, 0, np.nan, 0, np.nan])


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("level", LEVELS)
def test_the_same_bits_however_it_is_called(level: str, dtype: str) -> None:
    """In place, for any number of threads and of numbers, on every level."""
    rng = np.random.default_rng(1)
    z, grad = (rng.normal(0, 30, 70_001).astype(dtype) for _ in range(2))
    kernel = kernel_of(level)
    softmaxloss.set_num_threads(1)
    u, slope = capped(kernel, z, 30.0), capped(kernel, z, 30.0, grad)
    softmaxloss.set_num_threads(3)
    for part in [slice(None), slice(5, 260), slice(7, 8)]:
        in_place, over_grad = z[part].copy(), grad[part].copy()
        kernel.softcap(in_place, 30.0, None, in_place)
        kernel.softcap(z[part], 30.0, over_grad, over_grad)
        assert bits(in_place, over_grad) == bits(u[part], slope[part])
    if level.startswith("cpu"):
        first = kernel_of("cpu baseline")
        assert bits(capped(first, z, 30.0), capped(first, z, 30.0, grad)) == bits(u, slope)
