"""The contract between the library and its kernels, and the table of kernels for each device.

A kernel is a module with the functions of `Kernel`. It fills arrays that it is given. It does not
allocate results, does not reduce over rows and does not judge the user's input, which is checked.
It reads memory as it lies: arrays (outer, classes, inner) with any strides, where each pair (outer,
inner) is one row of logits. Arrays (rows,) have one entry for each pair, in that order, and are
contiguous. A new kernel is one module here and one entry in KERNELS; the kernel
tests run over the table.
"""

from functools import cache
from importlib import import_module
from typing import Any, Protocol, cast

import numpy as np

from ..arrays import Array
from ..labels import ClassIndices, Target
from ..logits import compute_dtype
from ..options import Options
from ..scores import Scores

#: For each device the modules that compute there, the fastest first. One that cannot be imported,
#: because it is not compiled, is left out.
KERNELS = {"cpu": ("softmaxloss.kernels.cpu", "softmaxloss.kernels.reference")}
#: The device of NumPy's arrays.
HOST = "cpu"


class Kernel(Protocol):
    """What the engines ask of a kernel. The formulas are those of `softmaxloss.formula`."""

    def supports(self, dtype: np.dtype[Any]) -> bool:
        """Whether the kernel reads logits of this dtype."""

    def cross_entropy(
        self,
        logits: Array,
        target: Target,
        weight: Array | None,
        sample_weight: Array | None,
        options: Options,
        factor: float | Array,
        loss: Array,
        grad: Array | None,
    ) -> None:
        """Fill loss with J = Σ_n c_n·(−log a_n) and grad with factor·∂J/∂z for each row z.

        Args:
            logits: (outer, classes, inner), any strides, in a dtype that the kernel supports.
            target: ClassIndices with values (rows,) of any native integer dtype, each in
                [0, classes) or its ignore_index: such a row has loss 0 and gradient 0, and its
                logits are not looked at. Or ClassProbabilities with values (outer, classes, inner)
                ≥ 0, any strides, in float32 or float64, and no divisors.
            weight: (classes,) float64, finite and ≥ 0, or None for all 1.
            sample_weight: (rows,) float64, finite and ≥ 0, or None for all 1. All c_n of row i are
                multiplied by its entry. A row with 0 has loss 0 and gradient 0, and its logits are
                not looked at.
            options: Options that change the loss of a row: label_smoothing. (softcap and z_loss are
                put around a kernel by `kernels.softcap`; no call with them is direct.)
            factor: One number for all rows, or (rows,) float64.
            loss: (rows,) float32 or float64, written. It is not reduced.
            grad: (outer, classes, inner), any strides, in the logits' dtype, written; it may be the
                logits. With None no gradient is computed.
        """

    def direct(
        self,
        logits: Any,
        target: Any,
        weight: Any,
        sample_weight: Any,
        options: Options,
        upstream: Any,
        loss: Any,
        grad: Any,
        threads: int,
        /,
    ) -> Any:
        """A whole call on the caller's own arrays: their checks, the losses, the gradient, the sum.

        The quick way of every usual call. It gives the bits of the general way: `cross_entropy` on
        checked arguments, and `softmaxloss.reduction`.

        Args:
            logits, target, weight, sample_weight, upstream: What the user passed, as it is. NumPy
                arrays, tensors of the types given to `know_tensors`, a Python number as the class
                of one example or as upstream gradient; None for no weights.
            options: The checked options.
            loss: Written: the reduced loss into an array of no axes, or with reduction="none" a
                loss for each example. With None the reduced loss is returned, if there is one.
            grad: In the logits' shape and dtype, written; it may be the logits. None for no
                gradient.
            threads: The largest number of threads to use.

        Returns:
            None, with nothing written, where only the general way can tell what the arguments
                mean or what is wrong with them; a kernel may always do so. Else the reduced loss as
                a NumPy scalar; True where `loss` was given or nothing is reduced.
        """

    def direct_score(
        self, logits: Any, target: Any, options: Options, threads: int, /
    ) -> tuple[Array, ...] | None:
        """The scores of a whole call on the caller's own arrays, which are taken as by `direct`.

        Returns:
            The fields of `Scores`, arrays in the shape of the examples. None where only the general
                way can tell what the arguments mean or what is wrong with them.
        """

    def know_tensors(self, types: tuple[type, ...], exchange: Any) -> bool:
        """From now on the direct functions take objects of exactly these types, through their
        framework's `__dlpack_c_exchange_api__`. Whether they do."""

    def share_threads(self, parallel: int) -> None:
        """From now on run on the threads of an OpenMP runtime, whose GOMP_parallel has this
        address. Threads of its own would compete with those, which stay awake between calls."""

    def score(self, logits: Array, target: ClassIndices, scores: Scores) -> None:
        """Fill the scores, (rows,) each, as `softmaxloss.score` describes them.

        Classes count from 0. predicted and rank are int64, the others of the computed dtype. An
        ignored row gets `softmaxloss.scores.IGNORED`; its logits are not looked at.
        """

    def softcap(self, logits: Array, cap: float, grad: Array | None, out: Array) -> None:
        """Fill out with u = s·tanh(z/s), or with grad·∂u/∂z where a gradient with respect to u is
        given; its entries of 0 stay 0.

        All arrays are (n,) contiguous, in float32 or float64; `out` may be any of the others.
        """

    def sum(self, values: Array) -> float:
        """The sum of numbers ≥ 0, (n,) contiguous float64, within 1 ulp however many they are."""

    def level(self) -> str:
        """The instruction-set level in use."""

    def levels(self) -> list[str]:
        """The levels that this build has and this processor can run, the fastest last."""

    def use_level(self, name: str) -> None:
        """Use this level from now on. Raises ValueError for an unknown one."""


def has_kernel(device: str) -> bool:
    """Whether some kernel computes on this device.

    >>> has_kernel("cpu"), has_kernel("meta")
    (True, False)
    """
    return device in KERNELS


def kernel_for(dtype: np.dtype[Any], device: str = HOST) -> tuple[Kernel, np.dtype[Any]]:
    """The kernel for logits of this dtype, and the dtype in which it reads them: the same, or the
    one that they are computed in."""
    return _choose(KERNELS[device], dtype)


@cache
def _choose(modules: tuple[str, ...], dtype: np.dtype[Any]) -> tuple[Kernel, np.dtype[Any]]:
    kernels, computed = _load(modules), compute_dtype(dtype)
    for kernel in kernels:
        for storage in (dtype, computed):
            if kernel.supports(storage):
                return kernel, storage
    return kernels[-1], computed


def direct_on(device: str = HOST) -> Kernel:
    """The kernel whose `direct` takes calls on arrays of this device."""
    return _load(KERNELS[device])[0]


def level(device: str = HOST) -> str:
    """The instruction-set level of the kernel in use, "reference" where nothing is compiled.

    >>> level() in ["reference", "baseline", "avx2", "avx512"]
    True
    """
    return _load(KERNELS[device])[0].level()


@cache
def _load(modules: tuple[str, ...]) -> list[Kernel]:
    """Those of the kernels that can be imported, in their order."""
    kernels = []
    for module in modules:
        try:
            kernels.append(cast(Kernel, import_module(module)))
        except ImportError:
            continue
    return kernels
