"""`explain` and `explain_set`: they check their arguments and compute an explanation."""

import contextlib
import math
import operator
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any, SupportsIndex, TypedDict, Unpack, cast, overload

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Array, as_array, as_floats, read_real
from ..backends import backend_of
from ..class_names import is_text, positions_of, read_class_names
from ..errors import LabelError, OptionError
from ..files import LogitsFile, TargetFile
from ..labels import ClassIndices, read_target
from ..logits import read_logits
from ..options import Options
from ..probabilities import log_of_probabilities
from ..text import plural, shown
from .data import Vector, frozen
from .results import Explanation, SetExplanation, SeveralLabels
from .set_sums import add_up

# The largest difference between given logits and W·x + b, relative to |W|·|x| + |b|: operands and
# result rounded to bfloat16, which has 8 digits, are off by at most 3·2⁻⁸.
LOGITS_TOLERANCE = 2.0**-6

NO_LABEL = -(2**63) - 1  # as ignore_index: no label of an integer dtype is ignored


class _Arguments(TypedDict, total=False):
    """The keyword arguments of `explain`, for its overloads."""

    classes: Sequence[str] | None
    step: float
    steps: int
    first_class: int
    from_probabilities: bool
    features: ArrayLike | None
    linear_weight: ArrayLike | None
    linear_bias: ArrayLike | None


@overload
def explain(
    logits: ArrayLike | None, target: SupportsIndex | str, **arguments: Unpack[_Arguments]
) -> Explanation: ...
@overload
def explain(
    logits: ArrayLike | None, target: ArrayLike, **arguments: Unpack[_Arguments]
) -> Explanation | SeveralLabels: ...


def explain(
    logits: ArrayLike | None,
    target: SupportsIndex | ArrayLike,
    *,
    classes: Sequence[str] | None = None,
    step: float = 0.1,
    steps: int = 1000,
    first_class: int = 0,
    from_probabilities: bool = False,
    features: ArrayLike | None = None,
    linear_weight: ArrayLike | None = None,
    linear_bias: ArrayLike | None = None,
) -> Explanation | SeveralLabels:
    """Explain the loss of one example: J = −log softmax(logits)[target], its gradient, its descent.

    Args:
        logits: shape (C,), computed in float64. None to take those of the layer below.
        target: the true class: its number, or its name as in `classes`. Or several labels, which
            give `SeveralLabels`: a list of names; or a value for each class, shape (C,), which may
            also be one-hot or probabilities.
        classes: C names. Text is always a name and an integer a number: "3" is the class of that
            name, 3 is class number 3.
        step: the size of a descent step, z − step·∂J/∂z.
        steps: the largest number of steps of the path, which ends where a_y reaches 0.99.
        first_class: 1 if the labels count from one.
        from_probabilities: whether `logits` are probabilities: their logarithms are explained,
            whose softmax they are.
        features: x, shape (D,), if the logits are those of a linear layer, z = W·x + b.
        linear_weight: W, shape (C, D) as in torch.nn.Linear.
        linear_bias: b, shape (C,), or None.

    Returns:
        The explanation: its numbers as fields, in words by `print`, as a page by `save_html`.

    Raises:
        ValueError: the logits are not one row, or not probabilities with `from_probabilities`.
        LabelError: the target is not a class.
        OptionError: an option does not fit. Both are ValueErrors.
        TypeError: the logits are not real numbers.

    >>> why = explain([2.0, 1.0, 0.1, -1.2], 2)
    >>> round(why.before.loss, 4), why.rank, round(why.uniform_loss, 4)
    (2.3435, 3, 1.3863)
    >>> why.gradient.round(4)                       # only the true class is pushed up
    array([ 0.6418,  0.2361, -0.904 ,  0.0262])
    >>> round(why.after.loss, 4)                    # smaller than before
    2.2161
    """
    options = Options(first_class=first_class, multi_label="sum", ignore_index=NO_LABEL)
    step, steps = _positive("step", step), _whole_number("steps", steps)
    logits, target = _without_graph(logits), _without_graph(target)
    features, linear_weight, linear_bias = map(
        _without_graph, (features, linear_weight, linear_bias)
    )
    layer = _layer(features, linear_weight, linear_bias)
    z = _logits_of(layer) if logits is None else _one_row(logits)
    if from_probabilities:
        z = log_of_probabilities(z[np.newaxis])[0]
    if logits is not None and layer is not None:
        _require_same_logits(z, layer)
    names = read_class_names(classes, z.size)
    y, first_class = _position(target, z.size, names, options), options.first_class
    if not isinstance(y, int):
        return SeveralLabels.of(z, y, step=step, classes=names, first_class=first_class)
    return Explanation.of(
        z, y, step=step, steps=steps, layer=layer, classes=names, first_class=first_class
    )


def explain_set(
    logits: ArrayLike | LogitsFile,
    target: ArrayLike | TargetFile,
    *,
    classes: Sequence[str] | None = None,
    first_class: int = 0,
    from_probabilities: bool = False,
    ignore_index: int = -100,
    top: int = 10,
    ids: Sequence[object] | None = None,
    first_row: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
    max_elements: int = 1 << 22,
) -> SetExplanation:
    """Explain the losses of a set: which classes are taken for which, and where to look.

    It counts the confusions, tells whether the probabilities can be trusted, and sorts out the
    examples whose label looks wrong. The mean gradient ∂J/∂z = a − onehot(y) by true class is a
    (C, C) matrix: the entry (i, n), the mean probability of class n over the examples of class i,
    says how hard these push output n down.

    Args:
        logits: shape (N, C); or a file, from `softmaxloss.files.open_logits`, which is read in
            blocks, never as a whole.
        target: class indices, shape (N,), or the names of the classes as in `classes`; one-hot rows
            or probabilities, shape (N, C); or a file of them, from `softmaxloss.files.read_target`.
        classes: C names.
        first_class: 1 if the labels count from one.
        from_probabilities: whether `logits` are probabilities: their logarithms are explained. For
            a file, `open_logits` has this option.
        ignore_index: rows with this label do not count.
        top: the number of examples to name: of those with the highest loss, of those whose label
            looks wrong, and of those that are hard.
        ids: what the rows are called, N names or numbers.
        first_row: the number of the first row, for a shard of a set; see `SetExplanation.merge`.
        on_progress: called with (done, total) after each block, as by `evaluate`.
        max_elements: the largest number of logits in a block.

    Returns:
        The explanation: its numbers as fields, in words by `print`, as a page by `save_html`.

    Raises:
        ValueError: the logits have another shape.
        LabelError: a label is not a class, or the target has another shape.
        OptionError: an option does not fit. Both are ValueErrors.
        TypeError: the logits are not real numbers.

    Gradients are computed in float64, losses and predictions as by `score`. The memory is that of
    the blocks, of the (C, C) matrix, of the pairs that are confused and of 1000 examples; for more
    than 2048 classes only the strong pairs of the matrix are kept, see `SetExplanation`.

    >>> z = np.log([[0.7, 0.2, 0.1], [0.5, 0.3, 0.2], [0.1, 0.1, 0.8]])
    >>> explanation = explain_set(z, [0, 0, 2])
    >>> explanation.pushes.round(4)
    array([[-0.4 ,  0.25,  0.15],
           [  nan,   nan,   nan],
           [ 0.1 ,  0.1 , -0.2 ]])
    >>> explanation.strongest(1)[0].pushed, explanation.top[0].row
    (1, 1)
    """
    options = Options(ignore_index=ignore_index, first_class=first_class)
    logits, target = _without_graph(logits), _without_graph(target)
    if not isinstance(logits, LogitsFile):
        source = _in_memory(logits, from_probabilities)
    elif from_probabilities and not logits.from_probabilities:
        raise OptionError("for a file of probabilities open_logits takes from_probabilities=True")
    else:
        source = logits
    names = read_class_names(classes, source.shape[1])
    labels = _labels_of_set(target, names, options)
    sums = add_up(
        source,
        labels,
        top=_whole_number("top", top),
        ignore_index=options.ignore_index,
        first_class=options.first_class,
        first_row=_whole_number("first_row", first_row),
        ids=_ids(ids, labels.shape[0]),
        on_progress=on_progress,
        max_elements=max_elements,
    )
    return SetExplanation.of(sums, classes=names, first_class=options.first_class)


def _labels_of_set(
    target: Any, names: Sequence[str] | None, options: Options
) -> Array | TargetFile:
    """Class numbers (N,), or probabilities (N, C), which one-hot rows are no more."""
    if isinstance(target, TargetFile):
        return target
    try:
        labels = as_array(target, "target")
    except ValueError as error:  # rows of different lengths
        raise LabelError(str(error)) from None
    if is_text(labels):
        if labels.ndim != 1:
            raise LabelError(
                f"the names of classes have shape {labels.shape}; give one per example"
            )
        return np.asarray(positions_of(labels, names) + options.first_class)
    if labels.ndim == 2:
        labels = read_real(labels, "target")
    one_hot = labels.ndim == 2 and labels.size and ((labels == 0) | (labels == 1)).all()
    if one_hot and (labels.sum(axis=1) == 1).all():
        return np.asarray(labels.argmax(axis=1) + options.first_class)
    return labels


def _without_graph(values: Any) -> Any:
    """A tensor as an array, wherever it lies; anything else as it is."""
    backend = backend_of(values)
    if backend is None:
        return values
    return as_floats(backend.tensors.as_numpy(values.detach().cpu()))


def _ids(ids: Any, count: int) -> Sequence[object] | None:
    """The checked ids of `count` rows."""
    if ids is not None and len(ids) != count:
        raise OptionError(f"there are {len(ids)} ids for {plural(count, 'label')}")
    return None if ids is None else cast(Sequence[object], ids)


def _in_memory(logits: ArrayLike, from_probabilities: bool) -> LogitsFile:
    x = read_logits(logits)
    if x.ndim != 2:
        hint = ": explain explains one example" if x.ndim == 1 else ""
        raise ValueError(f"explain_set takes logits of shape (N, C); got shape {x.shape}{hint}")
    if x.shape[1] == 0:
        raise ValueError(f"logits of shape {x.shape} have no classes (C = 0)")
    if from_probabilities:
        x = log_of_probabilities(x)
    return LogitsFile.in_memory(x)


def _one_row(logits: ArrayLike) -> Vector:
    z = read_logits(logits)
    if z.ndim != 1:
        raise ValueError(
            f"explain takes the logits of one example, shape (C,); got shape {z.shape}: pass one "
            "row of it"
        )
    return z.astype(np.float64)


def _position(
    target: Any, classes: int, names: Sequence[str] | None, options: Options
) -> int | Vector:
    """The true class, counted from 0; or a value for each class where there are several."""
    try:
        words = as_array(target, "target")
    except ValueError as error:
        raise LabelError(str(error)) from None
    if is_text(words):
        return _named(words, classes, names)
    read = read_target(target, (classes,), options)
    if isinstance(read, ClassIndices):
        return int(read.values)
    q = read.values.astype(np.float64)
    used = np.flatnonzero(q)
    return int(used[0]) if used.size == 1 and q[used[0]] == 1.0 else q


def _named(words: Array, classes: int, names: Sequence[str] | None) -> int | Vector:
    """The class of this name; or a 1 for each where there are several names."""
    if words.ndim > 1:
        raise LabelError(f"target has shape {words.shape}; names of classes are one, or a list")
    positions = np.atleast_1d(positions_of(words, names, rows=False))
    if positions.size == 1:
        return int(positions[0])
    q = np.bincount(positions, minlength=classes).astype(np.float64)
    if q.max() > 1:
        twice = words[int(positions.tolist().index(q.argmax()))]
        raise LabelError(f"the label {shown(str(twice))} is given twice")
    return q


# --- the linear layer -----------------------------------------------------------------------------

_Layer = tuple[Vector, Vector, Vector | None]


def _layer(features: Any, weight: Any, bias: Any) -> _Layer | None:
    """The checked arrays x, W and b; None without a layer."""
    if features is None or weight is None:
        if features is bias is weight is None:
            return None
        raise OptionError("the layer takes both features, x, and linear_weight, W: z = W·x + b")
    x, W = read_real(features, "features"), read_real(weight, "linear_weight")
    b = None if bias is None else read_real(bias, "linear_bias")
    if x.ndim != 1:
        raise OptionError(f"features must have shape (D,), got {x.shape}")
    if W.ndim != 2 or W.shape[1] != x.size:
        hint = ": pass linear_weight.T" if W.ndim == 2 and W.shape[0] == x.size else ""
        raise OptionError(
            f"linear_weight has shape {W.shape}; {x.size} features need shape (C, {x.size}), as in "
            f"torch.nn.Linear{hint}"
        )
    if b is not None and b.shape != W.shape[:1]:
        raise OptionError(
            f"linear_bias has shape {b.shape}; {W.shape[0]} classes need shape ({W.shape[0]},)"
        )
    return frozen(x), frozen(W), None if b is None else frozen(b)


def _logits_of(layer: _Layer | None) -> Vector:
    if layer is None:
        raise ValueError("logits are missing: pass them, or features and linear_weight")
    x, W, b = layer
    with np.errstate(over="ignore", invalid="ignore"):
        return _one_row(W @ x if b is None else W @ x + b)


def _require_same_logits(z: Vector, layer: _Layer) -> None:
    x, W, b = layer
    computed = _logits_of(layer)
    if computed.shape != z.shape:
        raise OptionError(f"linear_weight has {computed.size} classes, the logits have {z.size}")
    with np.errstate(over="ignore", invalid="ignore"):
        size = np.abs(W) @ np.abs(x) + (0.0 if b is None else np.abs(b))
        far = np.flatnonzero(np.abs(z - computed) > LOGITS_TOLERANCE * size)
    if far.size:
        n = far[0]
        raise OptionError(
            f"the logits are not those of the layer: z[{n}] is {z[n]:.6g}, W·x + b gives "
            f"{computed[n]:.6g}; pass logits=None to take those"
        )


def _positive(name: str, value: Any) -> float:
    if isinstance(value, Real) and not isinstance(value, bool):
        with contextlib.suppress(OverflowError):
            if 0 < float(value) < math.inf:
                return float(value)
    raise OptionError(f"{name} must be a positive number, got {shown(value, 40)}")


def _whole_number(name: str, value: Any) -> int:
    """A checked count."""
    if not isinstance(value, bool | np.bool_):
        with contextlib.suppress(TypeError):
            if (number := operator.index(value)) >= 0:
                return number
    raise OptionError(f"{name} must be a whole number, 0 or more, got {shown(value, 40)}")
