"""The peers: each loads its package and turns a case into a call that can be timed.

A call returns the loss, so that the runner can check that all of them compute the same thing.
Every peer may use the same number of threads, and works on the same logits and int64 labels.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from .cases import Array, Case, data

#: what is timed
Timed = Callable[[], Any]


class Peer:
    """One column of the tables."""

    title: ClassVar[str]
    #: what it prepares
    cases: ClassVar[type] = Case
    #: the kinds of call that it has
    whats: ClassVar[tuple[str, ...]] = ("gradient", "fresh", "loss")
    dtypes: ClassVar[tuple[str, ...]] = ("float32", "float64", "bfloat16")
    #: whether it takes part in the rows that only show how the cost grows
    linear: ClassVar[bool] = False
    #: whether what its calls return is the loss
    computes_loss: ClassVar[bool] = True
    #: of its package; empty for a limit
    version: str = ""

    def __init__(self, threads: int) -> None:
        """Load the package; ModuleNotFoundError where it is not installed."""

    @classmethod
    def takes(cls, case: Any, what: str) -> bool:
        """Whether it takes part in a row."""
        fits = what in cls.whats and case.dtype in cls.dtypes
        return fits and (cls.linear or case.group == "shapes")

    def prepare(self, case: Any, what: str) -> Timed:
        raise NotImplementedError

    def context(self, what: str) -> AbstractContextManager[Any]:
        """What a user has around many such calls, so that it is entered outside of the timing."""
        return nullcontext()

    def free(self) -> None:
        """Let go of the memory that the prepared calls share."""


class Limit(Peer):
    """What memory allows: the logits copied (for gradients) or read once (for losses)."""

    title = "limit"
    whats = ("gradient", "fresh", "loss", "score")
    linear = True
    computes_loss = False
    #: Below this size in bytes, a second thread costs more than it saves.
    split_from: ClassVar[int] = 1 << 20

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.pool = ThreadPoolExecutor(threads)

    def prepare(self, case: Case, what: str) -> Timed:
        logits = data(case)[0].reshape(-1)
        # Whole words: NumPy's loops over them are bound by memory for every dtype of logits.
        words = logits[: logits.size // 8 * 8].view(np.uint64) if case.rows else logits
        if what in ("loss", "score"):
            reduce = np.bitwise_or.reduce if case.rows else np.maximum.reduce
            return self.split(reduce, words)
        if what == "fresh":
            return lambda: self.split(np.copyto, np.empty_like(logits), logits)()
        given = np.ones_like(logits)
        return self.split(np.copyto, given, logits)

    def split(self, function: Callable[..., Any], *arrays: Array) -> Timed:
        size = arrays[0].size
        threads = self.threads if arrays[0].nbytes >= self.split_from else 1
        edges = [size * part // threads for part in range(threads + 1)]
        parts = [[array[start:stop] for array in arrays] for start, stop in pairwise(edges)]
        first, rest = parts[0], parts[1:]
        if not rest:
            return lambda: function(*first)

        def call() -> None:
            others = [self.pool.submit(function, *part) for part in rest]
            function(*first)
            for other in others:
                other.result()

        return call


class LimitOneThread(Limit):
    """The same on one thread: on some machines one core already fills the memory bus."""

    title = "limit, 1 thread"

    def __init__(self, threads: int) -> None:
        super().__init__(1)


class Library(Peer):
    title = "this library"
    whats = ("gradient", "fresh", "loss", "score")
    linear = True

    def __init__(self, threads: int) -> None:
        import softmaxloss
        from softmaxloss import kernels

        softmaxloss.set_num_threads(threads)
        self.version = f"{softmaxloss.__version__} ({kernels.level()})"

    def prepare(self, case: Case, what: str) -> Timed:
        from softmaxloss import cross_entropy, cross_entropy_with_grad, score

        x, labels = data(case)
        y = labels if case.rows else int(labels)
        if what == "gradient":
            grad = np.ones_like(x)
            return lambda: cross_entropy_with_grad(x, y, out=grad)[0]
        if what == "fresh":
            return lambda: cross_entropy_with_grad(x, y)[0]
        if what == "loss":
            return lambda: cross_entropy(x, y)
        return lambda: score(x, y).loss


class Torch(Peer):
    title = "torch"

    def __init__(self, threads: int) -> None:
        import torch

        torch.set_num_threads(threads)
        self.version = torch.__version__

    def context(self, what: str) -> AbstractContextManager[Any]:
        import torch

        return torch.no_grad() if what == "loss" else nullcontext()

    def prepare(self, case: Case, what: str) -> Timed:
        x, y = tensors(case)
        loss_of = self.function()
        if what == "loss":
            return lambda: loss_of(x, y)
        x.requires_grad_()

        def gradient() -> Any:
            loss = loss_of(x, y)
            loss.backward()
            x.grad = None  # or backward would add to it
            return loss.detach()

        return gradient

    def function(self) -> Callable[..., Any]:
        import torch

        return torch.nn.functional.cross_entropy


def tensors(case: Case) -> tuple[Any, Any]:
    import torch

    logits, labels = data(case)
    if case.dtype == "bfloat16":
        x = torch.from_numpy(logits.view(np.int16)).view(torch.bfloat16)
    else:
        x = torch.from_numpy(logits)
    return x, torch.tensor(labels)


class LibraryTensors(Torch):
    """This library on tensors, through autograd."""

    title = "this library, tensors"
    whats = ("fresh",)

    def function(self) -> Callable[..., Any]:
        import softmaxloss.torch

        return softmaxloss.torch.cross_entropy


class LibraryInPlace(Torch):
    """The same with the gradient in the logits' memory.

    The logits come from a node of the graph that computes nothing. From the second call on they are
    the gradient of the call before, which takes as long.
    """

    title = "this library, in place"
    whats = ("fresh",)

    def prepare(self, case: Case, what: str) -> Timed:
        import torch

        from softmaxloss.torch import cross_entropy

        x, y = tensors(case)
        seed = torch.ones((), requires_grad=True)

        class Logits(torch.autograd.Function):
            @staticmethod
            def forward(ctx: Any, seed: Any) -> Any:
                return x.detach()

            @staticmethod
            def backward(ctx: Any, grad: Any) -> None:
                return None

        def gradient() -> Any:
            loss = cross_entropy(Logits.apply(seed), y, inplace=True)
            loss.backward()
            return loss.detach()

        return gradient


class TorchCompile(Torch):
    title = "torch.compile"

    def function(self) -> Callable[..., Any]:
        import torch

        torch._dynamo.reset()
        return torch.compile(torch.nn.functional.cross_entropy, dynamic=False)


class Jax(Peer):
    title = "JAX"

    def __init__(self, threads: int) -> None:
        # JAX has no switch for the number of threads: it takes one per processor that it may use.
        os.environ["JAX_PLATFORMS"] = "cpu"
        import jax

        jax.config.update("jax_enable_x64", True)
        self.version = jax.__version__

    def prepare(self, case: Case, what: str) -> Timed:
        import jax
        import jax.numpy as jnp

        def loss_of(x: Any, y: Any) -> Any:
            of_label = jnp.take_along_axis(x, y[..., None], axis=-1)[..., 0]
            return jnp.mean(jax.nn.logsumexp(x, axis=-1) - of_label)

        x, y = (jax.device_put(array) for array in data(case))
        if what == "loss":
            loss = jax.jit(loss_of)
            return lambda: loss(x, y).block_until_ready()
        gradient = jax.jit(jax.value_and_grad(loss_of))
        return lambda: jax.block_until_ready(gradient(x, y))[0]


class TensorFlow(Peer):
    title = "TensorFlow"

    def __init__(self, threads: int) -> None:
        os.environ.update(CUDA_VISIBLE_DEVICES="-1", TF_CPP_MIN_LOG_LEVEL="3")
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        self.version = tf.__version__

    def prepare(self, case: Case, what: str) -> Timed:
        import tensorflow as tf

        def loss_of(x: Any, y: Any) -> Any:
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=x)
            return tf.reduce_mean(losses)

        def gradient_of(x: Any, y: Any) -> Any:
            with tf.GradientTape() as tape:
                tape.watch(x)
                loss = loss_of(x, y)
            return loss, tape.gradient(loss, x)

        x, y = (tf.constant(array) for array in data(case))
        if what == "loss":
            loss = tf.function(loss_of)
            return lambda: loss(x, y).numpy()
        gradient = tf.function(gradient_of)
        return lambda: gradient(x, y)[0].numpy()


class ScikitLearn(Peer):
    """The loss inside LogisticRegression; it takes buffers for its results."""

    title = "scikit-learn"
    dtypes = ("float32", "float64")

    def __init__(self, threads: int) -> None:
        import sklearn

        self.version = sklearn.__version__
        self.threads = threads

    def prepare(self, case: Case, what: str) -> Timed:
        from sklearn._loss.loss import HalfMultinomialLoss

        logits, labels = data(case)
        x = logits.reshape(-1, case.classes)
        y = np.atleast_1d(labels).astype(x.dtype)
        multinomial = HalfMultinomialLoss(n_classes=case.classes)
        losses = np.empty_like(y)
        if what == "loss":
            return lambda: multinomial.loss(
                y_true=y, raw_prediction=x, loss_out=losses, n_threads=self.threads
            )
        given = np.ones_like(x) if what == "gradient" else None
        return lambda: multinomial.loss_gradient(
            y_true=y,
            raw_prediction=x,
            loss_out=losses,
            gradient_out=given,
            n_threads=self.threads,
        )[0]


class SciPy(Peer):
    """`scipy.special.log_softmax`, from which the true classes are picked."""

    title = "SciPy"
    whats = ("loss",)
    dtypes = ("float32", "float64")

    def __init__(self, threads: int) -> None:
        import scipy

        self.version = scipy.__version__

    def prepare(self, case: Case, what: str) -> Timed:
        from scipy.special import log_softmax

        logits, labels = data(case)
        if case.rows is None:
            label = int(labels)
            return lambda: -log_softmax(logits)[label]
        rows = np.arange(case.rows)
        return lambda: -log_softmax(logits, axis=1)[rows, labels]


#: name on the command line → peer, in the order of their turns and of the tables' columns
PEERS: dict[str, type[Peer]] = {
    "limit": Limit,
    "limit1": LimitOneThread,
    "library": Library,
    "tensors": LibraryTensors,
    "inplace": LibraryInPlace,
    "torch": Torch,
    "compile": TorchCompile,
    "jax": Jax,
    "tensorflow": TensorFlow,
    "sklearn": ScikitLearn,
    "scipy": SciPy,
}
LIMITS = ("limit", "limit1")
OURS = ("library", "tensors", "inplace")
#: the peers that are used for training; ratios are taken to the fastest of them
RIVALS = ("torch", "compile", "jax")
