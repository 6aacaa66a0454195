"""`check` of JAX functions: `python -m tests.check_of_jax quick`, or slow; see test_check_jax.py.

In a process of its own, because JAX starts threads, after which tests that fork may hang.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

import jax
import numpy as np

from softmaxloss import check


def loss(z: Any, y: Any) -> Any:
    log_a = jax.nn.log_softmax(z, axis=1)
    return -jax.numpy.take_along_axis(log_a, y[:, None], axis=1).mean()


def wrong_backward() -> Any:
    """The upstream gradient is not used."""
    function = jax.custom_vjp(loss)

    def forward(z: Any, y: Any) -> Any:
        return loss(z, y), (z, y)

    def backward(kept: Any, upstream: Any) -> Any:
        return jax.grad(loss)(*kept), None

    function.defvjp(forward, backward)
    return lambda z, y: function(z, y)


def right(seeds: Iterable[int]) -> None:
    compiled = jax.jit(loss)
    for seed in seeds:
        # In float32, unless 64-bit types are switched on.
        report = check(compiled, seed=seed, dtype=(np.float64, np.float32)[seed % 2])
        assert report.verdict == "right", str(report)
        assert report.mistakes == ["negative-label-accepted"], str(report)
        assert report.parts == ("loss", "gradient")


def quick() -> None:
    right([1])
    report = check(wrong_backward())
    assert "upstream-unused" in report.mistakes, str(report)


def slow() -> None:
    right([0, *range(2, 1000)])
    for function in (loss, jax.value_and_grad(loss)):
        report = check(function)
        assert report.verdict == "right", str(report)
        assert report.parts == ("loss", "gradient")
    assert check(lambda z, y: -loss(z, y)).mistakes == ["no-minus"]
    (finding,) = check(lambda z, y: 1.01 * loss(z, y)).findings
    assert finding.part == "loss"


if __name__ == "__main__":
    {"quick": quick, "slow": slow}[sys.argv[1]]()
