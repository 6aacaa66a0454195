"""The contract between the library and a device, and the table of devices.

A kernel is a module with the functions of `Kernel`. It fills arrays that it is given: it does
not allocate, does not reduce over rows, and does not judge the user's input, which comes checked.
It sees rows, (rows, classes), whose last axis is contiguous, with any stride between the rows. The
computed dtype is float64 for float64 logits, else float32. Logits that a kernel does not read are
converted to that; if it does not read even that, `reference` computes from `formula`.

A new device is one module here and one line in DEVICES; tests/test_kernels.py then runs on it.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

__all__ = ["DEVICES", "Kernel", "kernel_for"]

Array = NDArray[Any]

DEVICES = {"cpu": "softmaxloss.kernels.cpu"}
REFERENCE = "softmaxloss.kernels.reference"


class Kernel(Protocol):
    """What loss.py asks of a device. The formulas are those of `softmaxloss.formula`."""

    def supports(self, dtype: np.dtype[Any]) -> bool:
        """Whether the kernel reads logits of this dtype."""

    def cross_entropy(
        self,
        logits: Array,
        target: Array,
        weight: Array | None,
        label_smoothing: float,
        ignore_index: int,
        factor: float | Array,
        loss: Array,
        grad: Array | None,
    ) -> None:
        """Fill loss with J_i = Σ_n c_n·(−log a_n) and grad with factor_i·∂J_i/∂logits_i.

        logits        (rows, classes) in a dtype that the kernel supports
        target        (rows,) of any integer dtype, each in [0, classes) or ignore_index; or
                      (rows, classes) in float32 or float64, each row ≥ 0
        weight        (classes,) float64, finite and ≥ 0, or None for all 1
        ignore_index  rows with this label: loss 0, gradient 0, their logits not looked at
        factor        one number for all rows, or (rows,) float64
        loss          (rows,) in float32 or float64, written
        grad          (rows, classes) in the logits' dtype, written; it may be logits itself. None:
                      no gradient is computed
        """

    def one_example(self, logits: Array, target: int, grad: Array | None) -> float | None:
        """The loss of one example, (classes,), without options; grad is filled with its gradient.

        The quick way, which saves a small call the checks: unlike above, nothing comes checked but
        that target is an integer and the arrays NumPy's. None, with nothing written, leaves the
        call to `cross_entropy`; so a kernel may always say None.
        """

    def score(
        self,
        logits: Array,
        target: Array,
        ignore_index: int,
        loss: Array,
        probability: Array,
        predicted: Array,
        rank: Array,
        entropy: Array,
        logsumexp: Array,
    ) -> None:
        """Fill the last six, (rows,), as `softmaxloss.score` describes; one reading of the logits.

        predicted and rank are int64, the others in the computed dtype; classes count from 0.
        """


def kernel_for(device: str, dtype: np.dtype[Any], computed: np.dtype[Any]) -> tuple[Kernel, Any]:
    """The kernel for logits of this dtype, and the dtype in which it is to get them."""
    return _choose(DEVICES[device], dtype, computed)


@cache
def _choose(module: str, dtype: np.dtype[Any], computed: np.dtype[Any]) -> tuple[Kernel, Any]:
    kernel = cast(Kernel, import_module(module))
    if kernel.supports(dtype):
        return kernel, dtype
    if not kernel.supports(computed):
        kernel = cast(Kernel, import_module(REFERENCE))
    return kernel, computed
