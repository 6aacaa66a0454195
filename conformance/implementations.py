"""The implementations: each loads its package and computes one call, with NumPy arrays.

Each is called as its documentation shows, and only with the options that it `offers`.
"""

from __future__ import annotations

import os
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
#: the loss, and the gradient where the implementation has one
Answer = tuple[Any, Any]


class Implementation:
    """One column of the table."""

    title: ClassVar[str]
    #: the function that is called
    call: ClassVar[str]
    #: the entries of Trial.needs that it supports
    offers: ClassVar[frozenset[str]] = frozenset()
    #: whether it takes (N, d1, …, C) instead of (N, C, d1, …)
    classes_last: ClassVar[bool] = False
    #: whether calls are so slow that each case runs only once
    slow: ClassVar[bool] = False
    version: str = ""

    def __init__(self) -> None:
        """Load the package; ModuleNotFoundError where it is not installed."""

    def run(self, z: Any, y: Any, options: dict[str, Any], upstream: Any) -> Answer:
        raise NotImplementedError


class Library(Implementation):
    title = "this library"
    call = "`softmaxloss.cross_entropy_with_grad`"
    offers = frozenset(
        {
            *("weight", "ignore_index", "label_smoothing", "probabilities", "reduction"),
            *("denominator", "first_class", "multi_label", "size_average", "NumPy views"),
            "sample_weight",
        }
    )

    def __init__(self) -> None:
        import softmaxloss

        self.version = softmaxloss.__version__

    def run(self, z: Any, y: Any, options: dict[str, Any], upstream: Any) -> Answer:
        import softmaxloss

        return softmaxloss.cross_entropy_with_grad(z, y, **options, grad_output=upstream)


class Torch(Implementation):
    title = "PyTorch"
    call = "`torch.nn.functional.cross_entropy` and `backward()`"
    offers = frozenset(
        {
            *("weight", "ignore_index", "label_smoothing", "probabilities", "reduction"),
            "size_average",
        }
    )

    def __init__(self) -> None:
        import torch

        torch.set_num_threads(1)
        self.version = torch.__version__

    def run(self, z: Any, y: Any, options: dict[str, Any], upstream: Any) -> Answer:
        import torch

        logits = self.tensor(z)
        target = self.tensor(y)
        if logits.is_floating_point():
            logits.requires_grad_()
        options = {name: value for name, value in options.items() if name != "multi_label"}
        if "weight" in options:
            options["weight"] = torch.tensor(options["weight"], dtype=logits.dtype)
        loss = self.function()(logits, target, **options)
        given = torch.tensor(upstream, dtype=loss.dtype).expand_as(loss)
        loss.backward(given)
        return self.array(loss.detach()), self.array(logits.grad)

    def function(self) -> Any:
        import torch

        return torch.nn.functional.cross_entropy

    @staticmethod
    def tensor(values: Any) -> Any:
        import torch

        if getattr(values, "dtype", None) == "bfloat16":
            return torch.from_numpy(values.view(np.int16)).view(torch.bfloat16)
        return torch.tensor(values)

    @staticmethod
    def array(tensor: Any) -> Any:
        """NumPy has no bfloat16: its numbers as float32, which the name of the dtype goes with."""
        import ml_dtypes
        import torch

        if tensor.dtype == torch.bfloat16:
            return tensor.float().numpy().astype(ml_dtypes.bfloat16)
        return tensor.numpy()


class TorchCompile(Torch):
    title = "torch.compile"
    call = "the same under `torch.compile`, static shapes"
    slow = True

    def function(self) -> Any:
        import torch

        torch._dynamo.reset()
        return torch.compile(torch.nn.functional.cross_entropy, dynamic=False)


def reduced(losses: Any, options: dict[str, Any], mean: Any, total: Any) -> Any:
    """Where the implementation gives a loss for each example, its users reduce them."""
    match options.get("reduction", "mean"):
        case "none":
            return losses
        case "sum":
            return total(losses)
    return mean(losses)


class Jax(Implementation):
    title = "JAX"
    call = (
        "`jax.nn.log_softmax` with `jnp.take_along_axis`, or times the probabilities and summed; "
        "gradients by `jax.vjp`; 64-bit types switched on"
    )
    offers = frozenset({"probabilities"})
    classes_last = True

    def __init__(self) -> None:
        os.environ["JAX_PLATFORMS"] = "cpu"
        import jax

        jax.config.update("jax_enable_x64", True)
        self.version = jax.__version__

    def run(self, z: Any, y: Any, options: dict[str, Any], upstream: Any) -> Answer:
        import jax
        import jax.numpy as jnp

        logits, target = jnp.asarray(z), jnp.asarray(y)

        def loss_of(z: Any) -> Any:
            return reduced(self.losses(z, target), options, jnp.mean, jnp.sum)

        loss, pull = jax.vjp(loss_of, logits)
        (grad,) = pull(jnp.broadcast_to(jnp.asarray(upstream, loss.dtype), loss.shape))
        # integers have no gradient in this framework
        return np.asarray(loss), None if grad.dtype == jax.dtypes.float0 else np.asarray(grad)

    def losses(self, z: Any, y: Any) -> Any:
        import jax
        import jax.numpy as jnp

        log_a = jax.nn.log_softmax(z)
        if y.shape == z.shape:
            return -jnp.sum(y * log_a, axis=-1)
        return -jnp.take_along_axis(log_a, y[..., None], axis=-1)[..., 0]


class Optax(Jax):
    title = "Optax (JAX)"
    call = (
        "`optax.losses.softmax_cross_entropy_with_integer_labels`, `softmax_cross_entropy` for "
        "probabilities; gradients by `jax.vjp`; 64-bit types switched on"
    )

    def __init__(self) -> None:
        super().__init__()
        import optax

        self.version = optax.__version__

    def losses(self, z: Any, y: Any) -> Any:
        from optax import losses

        if y.shape == z.shape:
            return losses.softmax_cross_entropy(z, y)
        return losses.softmax_cross_entropy_with_integer_labels(z, y)


class TensorFlow(Implementation):
    title = "TensorFlow"
    call = (
        "`tf.nn.sparse_softmax_cross_entropy_with_logits`, `softmax_cross_entropy_with_logits` for "
        "probabilities, on the CPU; gradients by `tf.GradientTape`"
    )
    offers = frozenset({"probabilities"})
    classes_last = True

    def __init__(self) -> None:
        os.environ.update(CUDA_VISIBLE_DEVICES="-1", TF_CPP_MIN_LOG_LEVEL="3")
        import tensorflow as tf

        self.version = tf.__version__

    def run(self, z: Any, y: Any, options: dict[str, Any], upstream: Any) -> Answer:
        import tensorflow as tf

        logits, target = tf.constant(z), tf.constant(y)
        with tf.GradientTape() as tape:
            tape.watch(logits)
            loss = self.loss(logits, target, options)
        given = tf.broadcast_to(tf.constant(upstream, loss.dtype), tf.shape(loss))
        grad = tape.gradient(loss, logits, output_gradients=given)
        return loss.numpy(), None if grad is None else grad.numpy()

    def loss(self, z: Any, y: Any, options: dict[str, Any]) -> Any:
        import tensorflow as tf

        if y.shape == z.shape:
            losses = tf.nn.softmax_cross_entropy_with_logits(labels=y, logits=z)
        else:
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=z)
        return reduced(losses, options, tf.reduce_mean, tf.reduce_sum)


class Keras(TensorFlow):
    title = "Keras"
    call = (
        "`keras.losses.SparseCategoricalCrossentropy(from_logits=True)`, `CategoricalCrossentropy` "
        "for probabilities, with `dtype` that of the logits (without it float64 is computed in "
        "float32), on TensorFlow; class weights as `sample_weight`, times those of the examples; "
        "`ignore_index` as `ignore_class`"
    )
    offers = frozenset(
        {
            *("probabilities", "ignore_index", "weight", "label_smoothing", "reduction"),
            "sample_weight",
        }
    )

    def __init__(self) -> None:
        os.environ["KERAS_BACKEND"] = "tensorflow"
        super().__init__()
        import keras

        self.version = keras.__version__

    def loss(self, z: Any, y: Any, options: dict[str, Any]) -> Any:
        import keras

        reduction = options.get("reduction", "mean")
        reduction = {"mean": "sum_over_batch_size", "none": None}.get(reduction, reduction)
        common = {"from_logits": True, "reduction": reduction, "dtype": z.dtype.name}
        smoothing = options.get("label_smoothing", 0)
        samples = options.get("sample_weight")
        if samples is not None:
            samples = np.asarray(samples, z.dtype.name)
        if y.shape == z.shape:
            for name in ("weight", "ignore_index"):
                if name in options:
                    raise NotOfferedError(f"{name} with probabilities")
            loss = keras.losses.CategoricalCrossentropy(**common, label_smoothing=smoothing)
            return loss(y, z, sample_weight=samples)
        if smoothing != 0:
            raise NotOfferedError("label_smoothing with indices")
        labels = y.numpy()
        padding = -100 if np.any(labels == -100) else None
        loss = keras.losses.SparseCategoricalCrossentropy(
            **common, ignore_class=options.get("ignore_index", padding)
        )
        if "weight" not in options:
            return loss(y, z, sample_weight=samples)
        if len(options["weight"]) != z.shape[-1]:
            raise NotOfferedError("one weight for each class")
        weights = np.where(labels < 0, 0, np.asarray(options["weight"])[np.maximum(labels, 0)])
        weights = weights.astype(z.dtype.name)
        return loss(y, z, sample_weight=weights if samples is None else weights * samples)


class ScikitLearn(Implementation):
    title = "scikit-learn"
    call = (
        "`sklearn.metrics.log_loss` of `scipy.special.softmax`, with `labels=range(C)`; one call "
        'for each example with reduction "none"; class weights as `sample_weight`, times those of '
        "the examples"
    )
    offers = frozenset({"weight", "sample_weight", "probabilities", "NumPy views"})
    classes_last = True

    def __init__(self) -> None:
        import sklearn

        self.version = sklearn.__version__

    def run(self, z: Any, y: Any, options: dict[str, Any], upstream: Any) -> Answer:
        from scipy.special import softmax

        a = softmax(z, axis=-1)
        rows, classes = a.reshape(-1, a.shape[-1]), range(a.shape[-1])
        by_row = np.shape(y) == np.shape(z)
        target = np.reshape(y, rows.shape if by_row else -1)
        if len(target) != len(rows):
            return self.one(target, rows, classes, None, options), None
        weight = options.get("sample_weight")
        if weight is not None:
            weight = np.ravel(weight)
        if "weight" in options:
            if by_row:
                raise NotOfferedError("weight with probabilities")
            if len(options["weight"]) != len(classes):
                raise NotOfferedError("one weight for each class")
            of_class = np.asarray(options["weight"], float)[target]
            weight = of_class if weight is None else of_class * weight
        if options.get("reduction") != "none":
            return self.one(target, rows, classes, weight, options), None
        losses = [
            self.one(
                target[i : i + 1],
                rows[i : i + 1],
                classes,
                None if weight is None else weight[i : i + 1],
                {"reduction": "sum"},
            )
            for i in range(len(rows))
        ]
        return np.reshape(losses, a.shape[:-1]), None

    @staticmethod
    def one(y: Any, a: Any, classes: Any, weight: Any, options: dict[str, Any]) -> Any:
        from sklearn.metrics import log_loss

        return np.asarray(
            log_loss(
                y,
                a,
                normalize=options.get("reduction", "mean") != "sum",
                labels=None if np.ndim(y) > 1 else classes,
                sample_weight=weight,
            )
        )


class SciPy(Implementation):
    title = "SciPy"
    call = "`-scipy.special.log_softmax(z)[y]`"
    offers = frozenset({"NumPy views"})
    classes_last = True

    def __init__(self) -> None:
        import scipy

        self.version = scipy.__version__

    def run(self, z: Any, y: Any, options: dict[str, Any], upstream: Any) -> Answer:
        from scipy.special import log_softmax

        log_a = log_softmax(z, axis=-1)
        rows = np.indices(np.shape(z)[:-1])  # no array for one example
        losses = -log_a[(*rows, y)]
        return reduced(losses, options, np.mean, np.sum), None


class NotOfferedError(Exception):
    """What an implementation lacks, in words of the table."""


#: name on the command line → implementation, in the order of the columns
IMPLEMENTATIONS: dict[str, type[Implementation]] = {
    "library": Library,
    "torch": Torch,
    "compile": TorchCompile,
    "jax": Jax,
    "optax": Optax,
    "tensorflow": TensorFlow,
    "keras": Keras,
    "sklearn": ScikitLearn,
    "scipy": SciPy,
}
